"""A dump is of one instant, whole, counted in itself, by the least rights; or it fails with one clear error."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import (
    LifeboatError,
    MissingDependency,
    ProcessError,
    SourceAbsent,
    SourceError,
)
from lifeboat.model import Secret, Workspace
from lifeboat.pipeline import Pipeline
from lifeboat.sources.redis.user import BGSAVE, REPLICATION

from tests.unit.contracts.source_contract import Taken

from .conftest import ADMIN, Server
from .test_redis_contract import fill

LOAD = "for number = 1, tonumber(ARGV[1]) do redis.call('SET', 'key ' .. number, number) end"


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server("redis")


@pytest.fixture
def filled(server: Server) -> Server:
    server.cli("FLUSHALL")
    fill(server)
    return server


def counts(taken: Taken) -> dict[str, tuple[int, int]]:
    return {one["name"]: (one["keys"], one["expiring"]) for one in taken.entries}


def failure(action: Callable[[], Any]) -> LifeboatError:
    with pytest.raises(LifeboatError) as caught:
        action()
    return caught.value


# -- what it holds


def test_keys_and_expiries_are_counted_in_the_dump(
    filled: Server, work: Workspace, tmp_path: Path
) -> None:
    taken = Taken(filled.source(), work, tmp_path / "store")
    assert counts(taken) == {"0": (15, 1), "5": (2, 1), "15": (1, 0)}
    assert taken.record.totals == {"databases": 3, "keys": 18}
    assert taken.record.facts["highest_database"] == 15
    assert taken.record.facts["functions"] == 1
    assert abs(taken.record.taken_at.timestamp() - time.time()) < 10
    assert taken.warnings == []


def test_an_empty_server_is_a_backup_too(server: Server, work: Workspace, tmp_path: Path) -> None:
    server.cli("FLUSHALL")
    server.cli("FUNCTION", "FLUSH")
    taken = Taken(server.source(), work, tmp_path / "store")
    assert taken.entries == []
    assert taken.record.totals == {}


def test_a_writer_changes_neither_the_count_nor_the_dump(
    server: Server, work: Workspace, tmp_path: Path
) -> None:
    """Of a counter and its double, written together, the dump has a pair; and the count is the dump's."""
    server.cli("FLUSHALL")
    server.cli("EVAL", LOAD, "0", "200000")
    stopped = threading.Event()

    def write() -> None:
        pair = "redis.call('SET', 'a', ARGV[1]) redis.call('SET', 'key new ' .. ARGV[1], 1)"
        number = 0
        while not stopped.is_set():
            number += 1
            server.pour(("EVAL", pair, "0", str(number)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = Taken(server.source(), work, tmp_path / "store")
    finally:
        stopped.set()
        writer.join()
    reloaded = loaded(taken, server)
    assert counts(taken)["0"][0] == reloaded.keys()
    assert reloaded.keys() == 200_001 + int(reloaded.cli("GET", "a"))
    reloaded.stop()
    shutil.rmtree(reloaded.folder)


def loaded(taken: Taken, like: Server) -> Server:
    """A server that has the dump, as a person would restore it by hand."""
    other = Server(like.product)
    shutil.copy(taken.plains["database"].path, other.data / "dump.rdb")
    return other.start()


def test_what_the_server_saves_itself_can_be_taken_instead(
    filled: Server, work: Workspace, tmp_path: Path
) -> None:
    filled.save()
    filled.pour(("SET", "since", "then"))
    taken = Taken(filled.source(method="bgsave"), work, tmp_path / "store")
    assert counts(taken)["0"] == (16, 1)


def test_a_replica_without_its_master_is_refused_by_either_way(
    make_server: Callable[..., Server], work: Workspace
) -> None:
    """Whether it has lost it, or has never seen it and is empty: both look like data of today."""
    master = make_server("redis")
    master.pour(("SET", "a", "1"))
    replica = make_server("redis", f"replicaof 127.0.0.1 {master.port}")
    for _attempt in range(100):
        if "master_link_status:up" in replica.cli("INFO", "replication"):
            break
        time.sleep(0.1)
    for method in ("bgsave", "replication"):
        assert replica.source(method=method).check()["role"] == "slave"
    master.stop()
    for _attempt in range(100):
        if "master_link_status:down" in replica.cli("INFO", "replication"):
            break
        time.sleep(0.1)
    newborn = make_server("redis", f"replicaof 127.0.0.1 {master.port}")
    for one in (replica, newborn):
        for step in (one.source(method="bgsave").check, lambda one=one: opened(one, work)):
            with pytest.raises(SourceError, match="has lost its master"):
                step()


def opened(server: Server, work: Workspace) -> None:
    with server.source(method="bgsave").open(work):
        pass


def test_users_and_settings_are_kept_for_no_reader_of_the_manifest(
    filled: Server, work: Workspace
) -> None:
    with filled.source().open(work) as dump:
        assert any(line.startswith("user default") for line in dump.private["acl"])
        assert dump.private["config"]["dir"] == str(filled.data)
        assert "requirepass" not in json.dumps(dump.facts)


# -- who may


@pytest.fixture
def guarded(make_server: Callable[..., Server]) -> Iterator[Server]:
    server = make_server("redis", f"requirepass {json.dumps(ADMIN, ensure_ascii=False)}")
    yield server
    server.stop()


def as_users(server: Server, password: str = "p 'w\"\\", **options: Any) -> Any:
    return server.source(
        user="lifeboat",
        password=Secret.of(password),
        restore_user="default",
        restore_password=Secret.of(ADMIN),
        **options,
    )


@pytest.mark.parametrize(("method", "rights"), [("replication", REPLICATION), ("bgsave", BGSAVE)])
def test_the_least_rights_are_given_and_are_enough(
    guarded: Server, work: Workspace, tmp_path: Path, method: str, rights: tuple[str, ...]
) -> None:
    guarded.cli("SET", "key", "value")
    source = as_users(guarded, method=method)
    wanted = source.prepare("lifeboat", True)
    assert wanted == [f"ACL SETUSER lifeboat on -@all {' '.join(rights)} resetpass >***"]
    assert guarded.cli("ACL", "USERS") == "default"
    assert source.prepare("lifeboat", False) == wanted
    assert source.prepare("lifeboat", False) == []
    taken = Taken(source, work, tmp_path / "store")
    assert counts(taken) == {"0": (1, 0)}
    denied = subprocess.run(
        ["redis-cli", "-s", guarded.socket, "--user", "lifeboat", "GET", "key"],
        env={**os.environ, "REDISCLI_AUTH": "p 'w\"\\"},
        capture_output=True,
    )
    assert b"NOPERM" in denied.stdout
    guarded.restart()
    assert source.check()  # the rights are in the configuration file now


def test_a_changed_password_is_given_again(guarded: Server) -> None:
    as_users(guarded).prepare("lifeboat", False)
    assert as_users(guarded, "other").prepare("lifeboat", True) == [
        "ACL SETUSER lifeboat resetpass >***"
    ]
    as_users(guarded, "other").prepare("lifeboat", False)
    assert as_users(guarded, "other").check()


def test_who_dumps_with_all_rights_needs_none(server: Server) -> None:
    assert server.source().prepare("lifeboat", False) == []


# -- what can be wrong


def test_a_server_that_is_down_is_absent_and_named(work: Workspace, tmp_path: Path) -> None:
    down = Server("redis")
    for options in ({}, {"socket": "", "port": down.port}):
        source = down.source(**options)
        error = failure(lambda source=source: Taken(source, work, tmp_path / "store"))
        assert isinstance(error, SourceAbsent)
        assert "source cache: Redis at" in error.message
        assert "see that the server runs" in error.hint
    shutil.rmtree(down.folder)


def test_an_absent_server_is_told_without_a_client(
    monkeypatch: pytest.MonkeyPatch, work: Workspace, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    down = Server("redis")
    assert isinstance(failure(down.source().check), SourceAbsent)
    shutil.rmtree(down.folder)


def test_a_missing_client_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = failure(server.source().check)
    assert isinstance(error, MissingDependency)
    assert "redis-cli" in error.message


def test_a_missing_checker_is_named(
    server: Server, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-cli").symlink_to(str(shutil.which("redis-cli")))
    error = failure(
        lambda: Taken(server.source(programs_path=str(tmp_path / "bin")), work, tmp_path / "store")
    )
    assert isinstance(error, MissingDependency)
    assert "redis-check-rdb" in error.message


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "NOAUTH"),
        ({"password": Secret.of("wrong")}, "WRONGPASS"),
        ({"user": "nobody", "password": Secret.of("x")}, "WRONGPASS"),
    ],
)
def test_a_wrong_password_is_told_and_not_shown(
    guarded: Server, options: dict[str, Any], told: str
) -> None:
    error = failure(guarded.source(**options).check)
    assert told in error.message
    assert error.hint
    assert "wrong" not in "\n".join(error.lines()).replace("WRONGPASS", "")


def test_a_password_where_the_server_has_none_is_told(server: Server) -> None:
    error = failure(server.source(password=Secret.of("x")).check)
    assert "leave out `password`" in error.hint


@pytest.mark.parametrize(
    ("method", "name"), [("replication", "SYNC"), ("bgsave", "BGSAVE"), ("bgsave", "CONFIG")]
)
def test_a_command_that_the_server_has_renamed_is_found_by_a_check(
    make_server: Callable[..., Server], method: str, name: str
) -> None:
    requires = f"requirepass {json.dumps(ADMIN, ensure_ascii=False)}"
    server = make_server("redis", requires, f'rename-command {name} ""')
    source = as_users(server, method=method)
    source.prepare("lifeboat", False)  # by whose rights the check looks
    error = failure(source.check)
    assert f"{name} is renamed or disabled" in error.message
    assert "or set `method: " in error.hint
    server.stop()


def test_a_user_without_the_rights_is_told(
    guarded: Server, work: Workspace, tmp_path: Path
) -> None:
    guarded.cli("ACL", "SETUSER", "lifeboat", "on", ">x", "-@all", "+ping", "+info")
    source = guarded.source(user="lifeboat", password=Secret.of("x"))
    with pytest.raises((ProcessError, SourceError), match="redis-cli"):
        Taken(source, work, tmp_path / "store")
    assert list(work.bulk.iterdir()) == []


class Interrupted:
    """A dump of which the first bytes came, of a server that sends slowly."""

    def __init__(self, server: Server, work: Workspace) -> None:
        server.cli("FLUSHALL")
        server.cli("EVAL", LOAD, "0", "100000")
        server.cli("CONFIG", "SET", "rdb-key-save-delay", "100")  # microseconds a key
        self.server, self.work = server, work

    def take(self, after_first: Callable[[Any], None]) -> None:
        with self.server.source().open(self.work) as dump:
            stream = next(iter(dump.streams()))
            with Pipeline(stream.feed, [], tap=stream.tap, surplus=stream.surplus) as flow:
                blocks = flow.blocks()
                next(blocks)
                after_first(flow)
                for _block in blocks:
                    pass
                flow.check()
            complaint = stream.complaint(flow.head, flow.tail, flow.plain_bytes)
            if complaint:
                raise SourceError(complaint)


@pytest.fixture
def slow(make_server: Callable[..., Server], work: Workspace) -> Iterator[Interrupted]:
    server = make_server("redis")
    yield Interrupted(server, work)
    server.stop()


def test_a_client_killed_in_the_middle_fails_the_dump(slow: Interrupted) -> None:
    error = failure(lambda: slow.take(lambda flow: flow._stages[0].process.kill()))
    assert "redis-cli was ended by signal 9" in error.message
    assert list(slow.work.bulk.iterdir()) == []


def test_a_server_killed_in_the_middle_fails_the_dump(slow: Interrupted) -> None:
    def kill(_flow: Any) -> None:
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(slow.server.process.pid)],
            capture_output=True,
            text=True,
        ).stdout.split()
        slow.server.stop()
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    error = failure(lambda: slow.take(kill))
    assert "redis-cli" in error.message or "missing" in error.message
    assert list(slow.work.bulk.iterdir()) == []


def test_a_dump_that_is_given_up_ends_its_programs(slow: Interrupted) -> None:
    before = running()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        slow.take(lambda _flow: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert time.monotonic() - began < 5
    assert running() - before == set()


def running() -> set[str]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    return {line for line in listed.splitlines() if "redis-c" in line and "<defunct>" not in line}


def test_a_cluster_and_a_sentinel_are_refused(make_server: Callable[..., Server]) -> None:
    node = make_server("redis", "cluster-enabled yes")
    assert "a cluster is not supported" in failure(node.source().check).hint
    node.stop()


# -- what an archive can be


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_cut_archive_is_told(
    filled: Server, work: Workspace, tmp_path: Path, share: float
) -> None:
    source = filled.source()
    taken = Taken(source, work, tmp_path / "store")
    path = taken.plains["database"].path
    os.truncate(path, int(path.stat().st_size * share))
    error = failure(lambda: source.check_content(taken.plains, work))
    assert "not a whole RDB file" in error.message


def test_a_flipped_bit_is_told(filled: Server, work: Workspace, tmp_path: Path) -> None:
    source = filled.source()
    taken = Taken(source, work, tmp_path / "store")
    path = taken.plains["database"].path
    content = bytearray(path.read_bytes())
    content[content.index(b"visitor") if b"visitor" in content else len(content) // 2] ^= 1
    path.write_bytes(content)
    assert (
        "not a whole RDB file" in failure(lambda: source.check_content(taken.plains, work)).message
    )


@pytest.mark.parametrize(
    "other", [b"PGDMP" + b"\0" * 5000, b"", b"REDIS9999" + b"\xff" + b"\0" * 8]
)
def test_an_archive_of_another_kind_is_told(
    filled: Server, work: Workspace, tmp_path: Path, other: bytes
) -> None:
    source = filled.source()
    taken = Taken(source, work, tmp_path / "store")
    taken.plains["database"].path.write_bytes(other)
    error = failure(lambda: source.check_content(taken.plains, work))
    assert "not a whole RDB file" in error.message
