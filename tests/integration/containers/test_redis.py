# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis in a container without any network: dumped and restored from outside, into the running server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.model import Secret, Workspace
from lifeboat.placement import Placement
from lifeboat.sources.redis.source import Redis

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import Container, Watch, podman, wait_for

PASSWORD = "c0nt-ainer's"
SERVER = 'exec redis-server --dir /tmp --appendonly yes --requirepass "$REDIS_PASSWORD"'


@pytest.fixture(scope="module")
def server(make_container: Callable[..., Container]) -> Container:
    made = make_container("-e", f"REDIS_PASSWORD={PASSWORD}", command=("sh", "-c", SERVER))
    assert wait_for(lambda: ask(made, "PING") == "PONG"), podman("logs", made.name)
    return made


def ask(server: Container, *words: str) -> str:
    return podman(
        "exec", "-i", "-e", f"REDISCLI_AUTH={PASSWORD}", server.name, "redis-cli", *words, check=False
    )  # fmt: skip


def test_a_server_in_a_container_comes_back(
    server: Container, work: Workspace, tmp_path: Path
) -> None:
    ask(server, "SET", "key", "before")
    ask(server, "-n", "3", "SET", "other", "before")
    source = Redis(
        name="cache",
        placement=Placement("podman", server.name, source="cache"),
        password=Secret.of(PASSWORD),
    )
    with Watch() as watch:
        taken = Taken(source, work, tmp_path / "store")
        ask_quietly = [("SET", "key", "after"), ("-n", "3", "DEL", "other")]
        for words in ask_quietly:
            podman("exec", server.name, "sh", "-c",
                   'REDISCLI_AUTH="$REDIS_PASSWORD" exec redis-cli "$@"', "sh", *words)  # fmt: skip
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
    assert (ask(server, "GET", "key"), ask(server, "-n", "3", "GET", "other")) == ("before",) * 2
    assert source.swapped(swap)
    source.back(swap)
    assert ask(server, "GET", "key") == "after"
    source.discard(swap)
    assert any(b"redis-cli" in words for words in watch.seen)
    assert not [words for words in watch.seen if PASSWORD.encode() in words]
