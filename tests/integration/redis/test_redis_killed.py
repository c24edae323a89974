"""A restore killed at any moment: after recovery the old or the new data is there, and it is told which."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace
from lifeboat.sources.redis import wait as redis_wait
from lifeboat.sources.redis.master import Master

from tests.unit.contracts.source_contract import Taken, staged

from .conftest import Server
from .test_redis_contract import content, fill

CHANGES = ("subprocess.Popen", "os.rename", "os.remove")
SERVERS = {"file": ("save 3600 1",), "appendonly": ("appendonly yes", "appendfsync always")}


def killed_before(moment: int, action: Callable[[], Any]) -> bool:
    """Run `action` in a child, killed before it starts program, or renames or removes file, `moment`."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, _arguments: Any) -> None:
            nonlocal seen
            if event in CHANGES:
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        status = 1
        try:
            sys.addaudithook(hook)
            action()
            status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the step itself failed"
    return status == signal.SIGKILL


class Restore:
    """One restore over and over: `new` is in the backup, `old` is live."""

    def __init__(self, server: Server, work: Workspace, place: Path) -> None:
        self.server, self.work = server, work
        fill(server)
        self.taken = Taken(server.source(), work, place)
        self.new = content(server)

    def begin(self) -> Any:
        self.server.cli("FLUSHALL")
        self.server.pour(("SET", "old", "1"), ("SET", "older", "2", "EX", "1000"))
        self.server.pour(("SET", "there", "3"), database=7)
        self.server.save()
        self.old = content(self.server)
        return staged(self.server.source(), self.taken, self.work)

    def end(self, swap: Any, then: str) -> None:
        """As recovery does, in another process than the one that was killed."""
        source = self.server.source()
        getattr(source, then)(swap)
        assert source.swapped(swap) == (then == "swap")
        expected = self.new if then == "swap" else self.old
        assert content(self.server) == expected
        source.discard(swap)
        assert content(self.server) == expected
        self.server.pour(("SET", "writable", "again"), ("DEL", "writable"))
        assert self.server.cli("CONFIG", "GET", "masterauth") == "masterauth"
        assert not Path(swap.side).parent.exists()


@pytest.fixture(params=SERVERS)
def restore(request, make_server, work: Workspace, tmp_path: Path):  # type: ignore[no-untyped-def]
    server = make_server("redis", *SERVERS[request.param])
    yield Restore(server, work, tmp_path / "store")
    server.stop()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("first", ["swap", "back"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_state(restore: Restore, first: str) -> None:
    """Before every program that is started; every third time the server dies as well.

    Each of the four has a third of the moments, or it would take too long.
    """
    source = restore.server.source()
    killed = 0
    for moment in range(("swap", "back").index(first), 200, 3):
        swap = restore.begin()
        if first == "back":
            source.swap(swap)
        if not killed_before(moment, lambda swap=swap: getattr(source, first)(swap)):
            break
        killed += 1
        if killed % 3 == 2:
            restore.server.restart()
        restore.end(swap, ("swap", "back")[moment % 2])
    assert killed >= 7


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("server_dies", [False, True])
def test_a_kill_in_the_middle_of_the_data_leaves_the_old(
    restore: Restore, server_dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = restore.begin()

    def half(self: Master, size_bytes: int, blocks: Any) -> None:
        whole = b"".join(blocks)
        self._replica.sendall(b"+FULLRESYNC " + b"0" * 40 + b" 0\r\n$%d\r\n" % size_bytes)
        self._replica.sendall(whole[: size_bytes // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Master, "_send", half)
    assert killed_before(1000, lambda: restore.server.source().swap(swap))
    monkeypatch.undo()
    if server_dies:
        restore.server.restart()
    assert not restore.server.source().swapped(swap)
    assert content(restore.server) == restore.old
    restore.end(swap, "back")


def test_a_server_that_dies_in_the_middle_leaves_the_old_or_the_new(
    restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not we but the server: the restore fails, and is taken back once the server is up again."""
    swap = restore.begin()
    real = Master.hand_over

    def then_die(self: Master, *words: Any) -> None:
        real(self, *words)
        restore.server.stop()

    monkeypatch.setattr(Master, "hand_over", then_die)
    with pytest.raises(Exception, match=r"cannot be used|is not there"):
        restore.server.source().swap(swap)
    monkeypatch.undo()
    restore.server.start()
    restore.end(swap, "back")


def test_what_was_restored_survives_a_crash_of_the_server(restore: Restore) -> None:
    """The append-only file does not bring the old data back, nor an empty server."""
    source = restore.server.source()
    swap = restore.begin()
    source.swap(swap)
    restore.server.restart()
    assert content(restore.server) == restore.new
    assert source.swapped(swap)
    source.back(swap)
    restore.server.restart()
    assert content(restore.server) == restore.old
    assert not source.swapped(swap)
    restore.end(swap, "swap")
    restore.server.restart()
    assert content(restore.server) == restore.new
    assert restore.server.cli("KEYS", "lifeboat*") == ""


def test_a_restore_has_not_ended_before_it_would_survive_a_crash(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    """The append-only file is rewritten slowly: until that is done a crash would bring the old data."""
    restore = Restore(make_server("redis", *SERVERS["appendonly"]), work, tmp_path / "store")
    swap = restore.begin()
    restore.server.cli("CONFIG", "SET", "rdb-key-save-delay", "50000")  # microseconds
    source = restore.server.source()
    source.swap(swap)
    restore.server.restart()
    assert content(restore.server) == restore.new
    source.discard(swap)
    restore.server.stop()


@pytest.fixture
def forgetful(make_server, work: Workspace, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A server that keeps nothing on disk."""
    server = make_server("redis")
    yield Restore(server, work, tmp_path / "store")
    server.stop()


def killed_at_the_handover(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> Any:
    swap = restore.begin()
    monkeypatch.setattr(Master, "hand_over", lambda *_words: os.kill(os.getpid(), signal.SIGKILL))
    assert killed_before(1000, lambda: restore.server.source().swap(swap))
    monkeypatch.undo()
    return swap


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("since", ["lost by a power cut", "given by a stranger"])
def test_data_that_nobody_knows_is_not_taken_for_the_old(
    forgetful: Restore, since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = killed_at_the_handover(forgetful, monkeypatch)
    server, source, kept = forgetful.server, forgetful.server.source(), Path(swap.kept)
    (server.data / "dump.rdb").unlink()  # of the fixture
    if since == "lost by a power cut":
        server.restart()
    else:
        server.cli("REPLICAOF", "NO", "ONE")
        server.cli("CLIENT", "UNPAUSE")  # or ten minutes later
        server.cli("FLUSHALL")
        server.pour(("SET", "evil", "1"))
    for ask in (source.swapped, source.back, source.discard):
        with pytest.raises(SourceError, match="holds neither") as told:
            ask(swap)
    assert str(kept) in told.value.hint
    server.stop()  # as the hint says
    (server.data / "dump.rdb").write_bytes(kept.read_bytes())
    server.start()
    forgetful.end(swap, "back")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may listen below 1024")
def test_no_stranger_can_become_the_master_after_a_kill(
    forgetful: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = killed_at_the_handover(forgetful, monkeypatch)
    assert forgetful.server.cli("ROLE").split("\n")[0] == "slave"
    port = int(forgetful.server.cli("ROLE").split("\n")[2])
    assert 0 < port < 1024
    forgetful.end(swap, "back")


def test_an_application_that_empties_the_server_at_once_takes_nothing_from_an_undo(
    forgetful: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark goes with everything else, before it is read."""
    swap, source = forgetful.begin(), forgetful.server.source()
    real = redis_wait.unpause

    def unpause(server: Any) -> None:
        real(server)
        forgetful.server.cli("FLUSHALL")

    monkeypatch.setattr(redis_wait, "unpause", unpause)
    source.swap(swap)
    monkeypatch.undo()
    assert source.swapped(swap)
    forgetful.end(swap, "back")
