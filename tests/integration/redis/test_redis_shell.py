# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator's shell has for another server does not lead a dump or a restore astray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.model import Secret, Workspace

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import ADMIN, Server
from .test_redis_contract import fill

ELSEWHERE = {
    "REDISCLI_AUTH": "of another server",
    "VALKEYCLI_AUTH": "of another server",
    "REDISCLI_CLUSTER_YES": "1",
    "REDISCLI_RCFILE": "/elsewhere",
    "LC_ALL": "tr_TR.UTF-8",
}


@pytest.mark.parametrize("guarded", [True, False])
def test_what_the_shell_has_changes_nothing(
    make_server: Callable[..., Server],
    work: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    guarded: bool,
) -> None:
    server = make_server("redis", *([f'requirepass "{_quoted(ADMIN)}"'] if guarded else []))
    fill(server)
    keys = server.keys()
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    source = server.source(**({"password": Secret.of(ADMIN)} if guarded else {}))
    assert source.check()["server"]
    taken = Taken(source, work, tmp_path / "store")
    source.check_content(taken.plains, work)
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    source.discard(swap)
    monkeypatch.undo()
    assert server.keys() == keys


def _quoted(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())
