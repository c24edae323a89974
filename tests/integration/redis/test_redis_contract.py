"""Redis and Valkey keep what every source promises; the server runs on through every restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import TOKEN, SourceContract, Taken, staged

from .conftest import Server

LIBRARY = """#!lua name=shop
redis.register_function('double', function(keys, args) return args[1] * 2 end)
"""


def fill(server: Server) -> None:
    """Every type, with the content that is hard, in several databases."""
    nul, text = b"a\0b\xff\xfe\x00\xfb\x05\x00\r\n", "grün 🚀"
    server.pour(
        ("SET", b"k\0ey\xff", nul),
        ("SET", text, text),
        ("SET", "empty", ""),
        ("SET", "number", "9223372036854775807"),
        ("SET", "big", b"\xfe\x00\xfb\x01\x00" * 2000),
        ("RPUSH", "list", "one", nul, text, *(str(number) for number in range(500))),
        ("SADD", "set", "one", nul, text),
        ("SADD", "numbers", *(str(number) for number in range(100))),
        ("ZADD", "ranked", "-inf", "low", "1.5", nul, "+inf", text),
        ("HSET", "hash", "field", "value", nul, nul, text, text),
        ("HSET", "large hash", *(f"{one}" for number in range(400) for one in (number, "v" * 20))),
        ("XADD", "stream", "1-1", "field", nul),
        ("XADD", "stream", "2-1", "field", text),
        ("XGROUP", "CREATE", "stream", "workers", "0"),
        ("SETBIT", "bits", "100003", "1"),
        ("PFADD", "seen", *(f"visitor {number}" for number in range(1000))),
        ("SET", "session", "until", "EX", "100000"),
    )
    server.cli("XREADGROUP", "GROUP", "workers", "one", "COUNT", "1", "STREAMS", "stream", ">")
    server.pour(("SET", "elsewhere", "5"), ("SET", "passing", "x", "EX", "100000"), database=5)
    server.pour(("SET", "last", "15"), database=15)
    server.pour(("FUNCTION", "LOAD", "REPLACE", LIBRARY))


def content(server: Server) -> Any:
    """What a user of the server sees: a digest of every key with its value, and what that leaves out."""
    keyspace = server.cli("INFO", "keyspace").split("\n")[1:]
    if not any(keyspace):
        return server.cli("FUNCTION", "LIST", "WITHCODE")
    return (
        server.cli("DEBUG", "DIGEST"),  # an EXPIRE counts as such, not its instant
        [line.split(",avg_ttl")[0] for line in keyspace],
        server.cli("EXPIRETIME", "session"),
        server.cli("XINFO", "GROUPS", "stream", check=False),
        server.cli("FUNCTION", "LIST", "WITHCODE"),
    )


class Contract(SourceContract):
    product = "redis"
    settings: tuple[str, ...] = ()

    @pytest.fixture(autouse=True)
    def _server(self, make_server: Callable[..., Server]) -> Iterator[None]:
        self.live = server = make_server(self.product, *self.settings)
        yield
        assert server.cli("INFO", "replication").startswith("# Replication\r\nrole:master")
        server.stop()

    def prepare(self, ground: Path) -> None:
        fill(self.live)

    def make(self, ground: Path) -> Any:
        return self.live.source()

    def change(self, ground: Path) -> None:
        self.live.pour(("SET", "new", "1"), ("DEL", "list"), ("SET", "number", "0"))
        self.live.pour(("FLUSHDB",), database=15)

    def destroy(self, ground: Path) -> None:
        self.live.cli("FLUSHALL")
        self.live.cli("FUNCTION", "FLUSH")

    def look(self, ground: Path) -> Any:
        return content(self.live)

    def leftovers(self, ground: Path) -> list[str]:
        folder = ground.parent / "kept" / TOKEN
        marks = self.live.cli("KEYS", "lifeboat*").split("\n")
        return [str(path) for path in folder.rglob("*")] + [one for one in marks if one]


class TestRedis(Contract):
    pass


class TestRedisWithAppendOnlyFile(Contract):
    settings = ("appendonly yes", "appendfsync always")


class TestValkey(Contract):
    product = "valkey"


def test_a_backup_of_Redis_comes_back_in_Valkey_and_not_the_reverse(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    valkey, redis = make_server("valkey"), make_server("redis")
    fill(redis)
    before, fields = content(redis), redis.cli("HGETALL", "large hash")
    taken = Taken(redis.source(), work, tmp_path / "redis")
    source = valkey.source()
    swap = staged(source, taken, work)
    source.swap(swap)
    after = content(valkey)
    source.discard(swap)
    assert after[1:] == before[1:]
    assert valkey.cli("HGETALL", "large hash") == fields

    valkey.cli("HEXPIRE", "hash", "9999", "FIELDS", "1", "field")  # new in Valkey 9
    with pytest.raises(SourceError, match="fields that expire"):
        source.check()
    with pytest.raises(SourceError, match="fields that expire"):
        Taken(source, work, tmp_path / "valkey")
    newer = Taken(valkey.source(method="bgsave"), work, tmp_path / "valkey")
    assert "could not be kept" in " ".join(source.target(newer.record, None).refusals)
    told = " ".join(redis.source().target(newer.record, None).refusals)
    assert "does not read" in told
    valkey.cli("FLUSHALL")
    swap = staged(source, newer, work)
    source.swap(swap)
    assert 9000 < int(valkey.cli("HTTL", "hash", "FIELDS", "1", "field")) <= 9999
    source.discard(swap)
