# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the Redis source that need no server: the file's ends, its sum, its counts, the handshake."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from lifeboat.errors import ConfigError, SourceError
from lifeboat.model import Command
from lifeboat.sources.redis import rdb, target
from lifeboat.sources.redis.client import _quoted, keyspace, version
from lifeboat.sources.redis.master import Master
from lifeboat.sources.redis.source import Redis

# Of a Redis 7.0 that held SET a 1; database 3: SET b 2, SETEX c.
WHOLE = bytes.fromhex(
    "524544495330303130fa0972656469732d76657205372e302e3135fa0a72656469732d62697473c040fa056374696d65c2"
    "9d99016bfa08757365642d6d656dc200780f00fe00fb0100000161c001fe03fb020100000162c002fca13454fea1010000"
    "000163c002ff"
)
SUMMED = WHOLE + rdb._crc(0, WHOLE).to_bytes(8, "little")


def lines(*told: str) -> list[str]:
    size = len(SUMMED)
    return [*told, f"[offset {size}] Checksum OK", f"[offset {size}] \\o/ RDB looks OK! \\o/"]


def reader_of(content: bytes, block: int) -> rdb.Reader:
    reader = rdb.Reader(Command(("true",)))
    for start in range(0, len(content), block):
        reader._note(content[start : start + block])
    return reader


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_databases_are_counted_however_the_bytes_come(block: int) -> None:
    first, second = WHOLE.index(b"\xfe\x00\xfb") + 2, WHOLE.index(b"\xfe\x03\xfb") + 2
    told = lines(
        "[offset 27] AUX FIELD redis-ver = '7.0.15'",
        f"[offset {first}] Selecting DB ID 0",
        f"[offset {second}] Selecting DB ID 3",
        "[info] 3 keys read",
    )
    found = reader_of(SUMMED, block)._found(told)
    assert found.databases == {0: (1, 0), 3: (2, 1)}
    assert (found.keys, found.fields) == (3, {"redis-ver": "7.0.15"})


def test_what_looks_like_a_database_does_not_hide_one() -> None:
    content = b"\xfe\x80\x00\xfe\x01\xfb\x41\x00\x02\xfb\x01"
    assert reader_of(content, 99)._places[5] == (256, 2)


def test_a_database_that_was_not_seen_is_uncounted(tmp_path: Path) -> None:
    found = reader_of(SUMMED, 99)._found(lines("[offset 3] Selecting DB ID 0"))
    assert found.inventory(tmp_path / "lines").totals == {"databases": 1, "uncounted": 1}


def test_what_follows_the_end_is_told() -> None:
    with pytest.raises(rdb.Broken, match="2 bytes follow"):
        reader_of(SUMMED + b"xx", 99)._found(lines())


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (b"\x3f", 63),
        (b"\x40\x40", 64),
        (b"\x7f\xff", 16383),
        (b"\x80\x00\x00\x40\x00", 16384),
        (b"\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32),
    ],
)
def test_lengths_are_read_as_rdb_c_writes_them(raw: bytes, length: int) -> None:
    assert rdb._length(raw) == length


@pytest.mark.parametrize(
    ("head", "size", "told"),
    [
        (SUMMED[:64], len(SUMMED), ""),
        (b"VALKEY080" + SUMMED[9:], len(SUMMED), ""),
        (b"PGDMP", 100, "does not begin"),
        (b"", 0, "does not begin"),
        (SUMMED[:64], 9, "end of the RDB file is missing"),
    ],
)
def test_the_ends_of_a_dump_are_judged(head: bytes, size: int, told: str) -> None:
    assert (
        told in rdb.complaint(head, SUMMED, size) if told else not rdb.complaint(head, SUMMED, size)
    )


def test_a_dump_without_its_end_is_told() -> None:
    assert "end" in rdb.complaint(SUMMED[:64], SUMMED[:-1], len(SUMMED) - 1)


def test_only_the_mark_of_the_server_is_cut_off() -> None:
    assert rdb.surplus(SUMMED[-24:] + b"0123456789abcdef0123456789abcdef01234567") == 40
    assert rdb.surplus(SUMMED[-64:]) == 0
    assert rdb.surplus(b"short") == 0


@pytest.mark.parametrize("summed", [True, False])
def test_a_key_is_added_and_the_sum_is_right(tmp_path: Path, summed: bool) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(SUMMED if summed else WHOLE + bytes(8))
    size, blocks = rdb.with_key(path, "mark", "new")
    made = b"".join(blocks)
    assert size == len(made)
    assert made.startswith(WHOLE[:-1] + b"\xfe\x00\x00")
    assert made[-8:] == (rdb._crc(0, made[:-8]).to_bytes(8, "little") if summed else bytes(8))


def test_a_cut_file_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(SUMMED[:-3])
    with pytest.raises(SourceError, match="not a whole RDB file"):
        rdb.with_key(tmp_path / "dump.rdb", "mark", "new")


@pytest.mark.parametrize(
    ("version", "own", "reads"),
    [
        (10, 10, True),
        (9, 12, True),
        (12, 11, False),
        (80, 12, False),
        (12, 80, False),
        (11, 80, True),
    ],
)
def test_who_reads_which_version(version: int, own: int, reads: bool) -> None:
    assert rdb.readable(version, own) is reads


def test_what_info_says_is_read() -> None:
    info = {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.1"}
    assert version(info) == ("valkey", (8, 1, 1))
    assert version({"redis_version": "7.0.15"}) == ("redis", (7, 0, 15))
    assert keyspace({"db0": "keys=5,expires=1", "dbsize": "keys=9"}) == {0: 5}
    assert target.totals({"db0": "keys=5", "db7": "keys=1"}) == {"databases": 2, "keys": 6}


def test_a_password_is_quoted_whatever_it_holds() -> None:
    assert _quoted('a"\n\\') == '"\\x61\\x22\\x0a\\x5c"'


def test_a_socket_is_an_absolute_path() -> None:
    with pytest.raises(ConfigError, match="absolute"):
        Redis(name="cache", socket="redis.sock")


def test_a_server_of_another_host_is_reached_at_its_address() -> None:
    server = Redis(name="cache", host="::1", port=1)._server
    assert (server.host, server.on_loopback) == ("::1", True)
    assert server.command("PING").argv == ("redis-cli", "-h", "::1", "-p", "1", "PING")


def say(port: int, *commands: bytes) -> bytes:
    """What is answered, to the end of the connection or until the data begins."""
    heard = b""
    # who is refused is cut off
    with socket.create_connection(("127.0.0.1", port), 5) as link, suppress(ConnectionError):
        for command in commands:
            words = command.split()
            said = b"*%d\r\n" % len(words)
            link.sendall(said + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in words))
        while block := link.recv(4096):
            heard += block
            if heard.endswith(b"DATA"):
                break
    return heard


def test_a_file_is_handed_to_who_knows_the_password_and_to_nobody_else() -> None:
    with Master("127.0.0.1", "right") as master:
        giving = threading.Thread(target=master.hand_over, args=(4, [b"DA", b"TA"], 20.0))
        giving.start()
        for commands in (
            (b"PSYNC ? -1",),
            (b"AUTH wrong", b"PSYNC ? -1"),
            (b"REPLCONF capa eof",),
            (b"PING", b"SYNC"),
        ):
            assert b"FULLRESYNC" not in say(master.port, *commands)
        heard = say(master.port, b"PING", b"AUTH me right", b"REPLCONF capa eof", b"PSYNC ? -1")
        giving.join()
    begun, _sync, data = heard.partition(b"+FULLRESYNC ")
    assert begun == b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n"
    assert data.endswith(b" 0\r\n$4\r\nDATA")


def test_who_does_not_come_is_not_waited_for_for_ever() -> None:
    with Master("127.0.0.1", "x") as master, pytest.raises(SourceError, match="did not come"):
        master.hand_over(1, [b"x"], 0.3)


def test_an_address_of_another_host_is_told() -> None:
    with pytest.raises(SourceError, match=r"nothing can listen at 192\.0\.2\.1"):
        Master("192.0.2.1", "x")
