"""A restore goes into the running server, or is refused before anything is touched, with the reason."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import LifeboatError, SourceError
from lifeboat.model import Secret, Workspace
from lifeboat.sources.redis import master as redis_master
from lifeboat.sources.redis import swap as redis_swap

from tests.unit.contracts.source_contract import Taken, differences, planned, staged

from .conftest import ADMIN, Server
from .test_redis_contract import content, fill

MODERN = {"server_version": "7.0.15", "product": "redis", "rdb_version": 10}


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server("redis")


@pytest.fixture
def taken(server: Server, work: Workspace, tmp_path: Path) -> Taken:
    server.cli("FLUSHALL")
    fill(server)
    return Taken(server.source(), work, tmp_path / "store")


def refusals(server: Server, taken: Taken, **facts: Any) -> str:
    record = replace(taken.record, facts={**taken.record.facts, **facts})
    return "; ".join(server.source().target(record, None).refusals)


# -- what comes back


def test_keys_that_expired_meanwhile_are_no_difference(
    server: Server, work: Workspace, tmp_path: Path
) -> None:
    server.cli("FLUSHALL")
    server.pour(("SET", "stays", "1"), ("SET", "goes", "2", "PX", "700"))
    source = server.source()
    taken = Taken(source, work, tmp_path / "store")
    time.sleep(0.8)
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert server.cli("GET", "stays") == "1"
    assert server.cli("GET", "goes") == ""
    assert server.keys() == 1
    source.discard(swap)


def test_what_is_kept_has_the_last_word_of_writers(
    server: Server, taken: Taken, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that comes while the old data is being kept waits; it is in neither, and told so."""
    source = server.source()
    swap = staged(source, taken, work)
    real = redis_swap.save
    answers: list[subprocess.Popen[bytes]] = []

    def save(*words: Any) -> Any:
        answers.append(
            subprocess.Popen(
                ["redis-cli", "-s", server.socket, "SET", "late", "1"], stdout=subprocess.PIPE
            )
        )
        time.sleep(0.2)
        assert answers[0].poll() is None
        return real(*words)

    monkeypatch.setattr(redis_swap, "save", save)
    source.swap(swap)
    assert b"READONLY" in answers[0].communicate()[0] or server.cli("GET", "late") == "1"
    source.discard(swap)


def test_another_server_can_be_the_target(
    server: Server, taken: Taken, work: Workspace, make_server: Callable[..., Server]
) -> None:
    other = make_server("redis")
    before = content(server)
    for into in (other.socket, f"127.0.0.1:{other.port}"):
        other.cli("FLUSHALL")
        source = server.source()
        swap = staged(source, taken, work, into)
        source.swap(swap)
        assert content(other) == before
        source.discard(swap)
    assert content(server) == before
    other.stop()


def test_a_password_that_the_server_gives_to_masters_is_used_and_left(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    server = make_server("redis", f'requirepass "{ADMIN.replace(chr(34), chr(92) + chr(34))}"')
    server.cli("CONFIG", "SET", "masterauth", "of another master")
    server.cli("CONFIG", "SET", "repl-diskless-load", "swapdb")
    fill(server)
    before = content(server)
    source = server.source(password=Secret.of(ADMIN))
    taken = Taken(source, work, tmp_path / "store")
    server.cli("FLUSHALL")
    swap = staged(source, taken, work)
    source.swap(swap)
    assert content(server) == before
    assert server.cli("CONFIG", "GET", "masterauth").split("\n")[1] == "of another master"
    assert server.cli("CONFIG", "GET", "repl-diskless-load").split("\n")[1] == "swapdb"
    source.discard(swap)
    server.stop()


# -- what is refused


def test_a_replica_and_its_master_are_refused(
    server: Server, taken: Taken, make_server: Callable[..., Server]
) -> None:
    replica = make_server("redis")
    replica.cli("REPLICAOF", "127.0.0.1", str(server.port))
    for _attempt in range(100):
        if "master_link_status:up" in replica.cli("INFO", "replication"):
            break
        time.sleep(0.1)
    assert "the server has replicas" in refusals(server, taken)
    assert "the server is a replica" in refusals(replica, taken)
    assert replica.source().check()["role"] == "slave"  # it can be dumped
    replica.stop()
    for _attempt in range(100):
        if "connected_slaves:0" in server.cli("INFO", "replication"):
            break
        time.sleep(0.1)
    assert refusals(server, taken) == ""


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"server_version": "99.1.0"}, "older than the 99.1.0"),
        ({"product": "valkey", "server_version": "9.0.0", "rdb_version": 80}, "does not read"),
        ({"product": "valkey", "server_version": "8.1.1", "rdb_version": 11}, ""),
        ({"modules": ["search"]}, "lacks the modules search"),
        ({"highest_database": 16}, "raise `databases`"),
    ],
)
def test_what_the_server_cannot_hold_is_refused(
    server: Server, taken: Taken, facts: dict[str, Any], told: str
) -> None:
    found = refusals(server, taken, **facts)
    assert told in found if told else found == ""


def test_a_server_with_less_memory_is_refused(server: Server, taken: Taken) -> None:
    server.cli("CONFIG", "SET", "maxmemory", "100kb")
    assert "maxmemory is 100" in refusals(server, taken)
    assert refusals(server, taken, maxmemory=100 << 10) == ""  # it was as small when it was dumped
    server.cli("CONFIG", "SET", "maxmemory", "0")


def test_a_user_who_may_not_restore_is_refused(server: Server, taken: Taken) -> None:
    server.cli("ACL", "SETUSER", "reader", "on", ">x", "-@all", "+info", "+ping")
    source = server.source(user="reader", password=Secret.of("x"))
    told = source.target(taken.record, None).refusals
    assert any("CONFIG is not allowed" in one for one in told)
    server.cli("ACL", "DELUSER", "reader")


@pytest.mark.parametrize("name", ["CONFIG", "SYNC", "REPLICAOF", "CLIENT", "DEL", "GET"])
@pytest.mark.parametrize("new", ["", "hidden"])
def test_a_server_that_has_renamed_a_command_is_refused_before_it_is_touched(
    taken: Taken, make_server: Callable[..., Server], name: str, new: str
) -> None:
    renaming = make_server("redis", f'rename-command {name} "{new}"')
    (told,) = renaming.source().target(taken.record, None).refusals
    assert told.startswith(f"{name} is renamed or disabled")
    renaming.stop()


def test_commands_that_a_restore_does_without_may_be_renamed(
    taken: Taken, work: Workspace, make_server: Callable[..., Server]
) -> None:
    names = ("BGSAVE", "SAVE", "PSYNC", "SHUTDOWN", "DEBUG", "KEYS", "FLUSHALL", "COMMAND", "ACL")
    renaming = make_server("redis", *(f'rename-command {one} ""' for one in names))
    source = renaming.source()
    assert source.check()
    swap = staged(source, taken, work)
    source.swap(swap)
    assert source.swapped(swap)
    assert renaming.keys() > 0
    source.discard(swap)
    renaming.stop()


@pytest.mark.parametrize("right", ["-sync", "-replicaof", "-config|set", "-del", "~cache:*"])
def test_a_user_who_lacks_one_right_is_refused_before_anything_is_touched(
    server: Server, taken: Taken, right: str
) -> None:
    keys = [] if right.startswith("~") else ["~*"]
    server.cli("ACL", "SETUSER", "almost", "on", ">x", "+@all", *keys, right)
    source = server.source(user="almost", password=Secret.of("x"))
    told = source.target(taken.record, None).refusals
    server.cli("ACL", "DELUSER", "almost")
    assert told
    assert all("is not allowed to user almost" in one for one in told)


def test_a_target_that_is_no_server_is_refused(server: Server, taken: Taken) -> None:
    with pytest.raises(SourceError, match="is no server"):
        server.source().target(taken.record, "other")


def test_data_that_the_server_cannot_read_is_refused_before_it_is_touched(
    server: Server, taken: Taken, work: Workspace
) -> None:
    before = content(server)
    source = server.source()
    swap = staged(source, taken, work)
    side = Path(swap.side)
    side.write_bytes(b"REDIS0099" + side.read_bytes()[9:])
    with pytest.raises(SourceError, match="does not read 99"):
        source.swap(swap)
    source.back(swap)
    source.discard(swap)
    assert content(server) == before


def test_a_server_that_cannot_reach_us_keeps_its_data(
    server: Server, taken: Taken, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_swap, "_COME_S", 1.0)
    before = content(server)
    source = server.source()
    monkeypatch.setattr(redis_master.Master, "_admitted", lambda _self, _link: False)
    swap = staged(source, taken, work)
    with pytest.raises(SourceError, match="did not come to fetch"):
        source.swap(swap)
    assert "role:master" in server.cli("INFO", "replication")  # of nobody who comes after us
    assert not source.swapped(swap)
    source.back(swap)
    source.discard(swap)
    assert content(server) == before
    server.pour(("SET", "writable", "again"))


def test_a_stranger_is_given_nothing(
    server: Server, taken: Taken, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes first, without the password or with a wrong one, gets no data and stops nobody."""
    heard: list[bytes] = []
    real = redis_master.Master.hand_over

    def hand_over(self: redis_master.Master, *words: Any) -> None:
        for line in ("PSYNC ? -1", "AUTH wrong", "REPLCONF listening-port 1"):
            stranger = subprocess.Popen(
                ["redis-cli", "-p", str(self.port), *line.split()], stdout=subprocess.PIPE
            )
            strangers.append(stranger)
        real(self, *words)

    strangers: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(redis_master.Master, "hand_over", hand_over)
    source = server.source()
    swap = staged(source, taken, work)
    source.swap(swap)
    heard = [stranger.communicate()[0] for stranger in strangers]
    assert all(b"REDIS" not in one and b"FULLRESYNC" not in one for one in heard)
    assert source.swapped(swap)
    source.discard(swap)


def test_an_archive_whose_end_is_missing_touches_nothing(
    server: Server, taken: Taken, work: Workspace
) -> None:
    before = content(server)
    source = server.source()
    swap = planned(source, taken)
    with pytest.raises(LifeboatError, match="not a whole RDB"):
        source.stage(swap, taken.record, taken.cut(9), work)
    assert not Path(swap.side).parent.exists()
    assert content(server) == before


# -- TLS, and what others can see


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("mine", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder


@pytest.fixture
def encrypted(make_server: Callable[..., Server], certificates: Path) -> Iterator[Server]:
    words = [
        f"tls-cert-file {certificates}/mine.pem",
        f"tls-key-file {certificates}/mine.key",
        f"tls-ca-cert-file {certificates}/mine.pem",
        "tls-auth-clients yes",
        "tls-replication yes",
    ]
    probe = Server("redis")
    server = make_server("redis", *words, f"tls-port {probe.port}")
    shutil.rmtree(probe.folder)
    server.tls_port = probe.port  # type: ignore[attr-defined]
    yield server
    server.stop()


def test_dump_and_restore_work_by_tls(
    encrypted: Server, certificates: Path, work: Workspace, tmp_path: Path
) -> None:
    fill(encrypted)
    before = content(encrypted)
    options = {
        "socket": "",
        "port": encrypted.tls_port,  # type: ignore[attr-defined]
        "tls": True,
        "client_certificate": str(certificates / "mine.pem"),
        "client_key": str(certificates / "mine.key"),
    }
    with pytest.raises(SourceError) as caught:
        encrypted.source(**options, ca_certificate=str(certificates / "other.pem")).check()
    assert "certificate" in caught.value.message
    source = encrypted.source(**options, ca_certificate=str(certificates / "mine.pem"))
    taken = Taken(source, work, tmp_path / "store")
    encrypted.cli("FLUSHALL")
    swap = staged(source, taken, work)
    source.swap(swap)
    assert content(encrypted) == before
    assert encrypted.cli("CONFIG", "GET", "tls-replication").split("\n")[1] == "yes"
    source.discard(swap)
