# SPDX-License-Identifier: GPL-3.0-or-later
"""A pooler is refused: what is set through it would be set in sessions of the application."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import Taken

from .conftest import OS_USER, Server

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""
CONFIGURATION = """[databases]
* = host={server.folder} port={server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
{more}
"""


@pytest.fixture
def pool(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], int]]:
    if not PGBOUNCER:
        pytest.skip("pgbouncer is not installed")
    server.sql("CREATE DATABASE pooled")
    started: list[subprocess.Popen[bytes]] = []

    def start(more: str) -> int:
        folder = server.folder / "pool"
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        file = folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(server=server, port=port, more=more))
        words = ["runuser", "-u", OS_USER, "--"] if OS_USER else []
        started.append(
            subprocess.Popen([*words, PGBOUNCER, "-q", str(file)], stderr=subprocess.DEVNULL)
        )
        for _attempt in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.05)
        raise AssertionError("the pooler does not listen")

    yield start
    for one in started:
        one.send_signal(signal.SIGTERM)
        one.wait(20)
    server.sql("DROP DATABASE pooled WITH (FORCE)")


@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = options"])
def test_a_pooler_is_refused_and_no_session_of_its_application_is_changed(
    server: Server, pool: Callable[[str], int], work: Workspace, tmp_path: Path, more: str
) -> None:
    port = pool(more)
    source = server.source("pooled", host="127.0.0.1", port=port, user="postgres")
    hints = []
    for look in (source.check, lambda: Taken(source, work, tmp_path / "store")):
        with pytest.raises(SourceError) as told:
            look()
        hints.append(told.value.hint)
    asked = [
        "psql",
        "-X",
        "-A",
        "-t",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-U",
        "postgres",
        "pooled",
    ]
    path = subprocess.run([*asked, "-c", "SHOW search_path"], capture_output=True, text=True)
    assert path.stdout == '"$user", public\n', path.stderr
    assert [hint[:43] for hint in hints] == ["give `host` and `port` of the server itself"] * 2
