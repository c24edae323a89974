# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away server that speaks MongoDB's protocol: a real mongod where there is one, else FerretDB."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from lifeboat.model import Workspace
from lifeboat.sources.mongodb.source import MongoDB

LAB = Path(__file__).resolve().parents[2] / "lab"
MONGOD = os.environ.get("LIFEBOAT_TEST_MONGOD") or shutil.which("mongod") or ""
PASSWORD = "se:cr\"et\\'42 ü#"


def lab(name: str) -> str:
    """What a script of the lab built; a machine that cannot build it skips, by name."""
    built = subprocess.run([str(LAB / name)], capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"{name} cannot be built here: {built.stderr.strip()[-200:]}")
    return built.stdout.strip()


class Server:
    def __init__(self, folder: Path, program: str, replica_set: str = "") -> None:
        self.folder, self.program, self.replica_set = folder, program, replica_set
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def real(self) -> bool:
        return bool(MONGOD)

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        argv = [self.program, f"127.0.0.1:{self.port}", str(data)]
        if self.real:
            argv = [self.program, "--bind_ip=127.0.0.1", f"--port={self.port}", f"--dbpath={data}"]
            argv += [f"--replSet={self.replica_set}"] if self.replica_set else []
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        if self.replica_set:
            member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
            config = {"_id": self.replica_set, "members": [member]}
            with self.client() as client:
                client.admin.command("replSetInitiate", config)
            time.sleep(3)
        with self.client() as client:
            client.admin.command("ping")

    def client(self) -> Any:
        return pymongo.MongoClient("127.0.0.1", self.port, directConnection=True)

    def kill(self) -> None:
        """As a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def source(self, *databases: str, **options: Any) -> MongoDB:
        chosen = {"port": self.port, "programs_path": tools(), **options}
        return MongoDB(name="docs", databases=databases, **chosen)


def tools() -> str:
    """The directory of mongodump and mongorestore."""
    found = shutil.which("mongodump")
    return os.path.dirname(found) if found else lab("mongo-tools")


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(replica_set: str = "") -> Server:
        program = MONGOD or lab("ferretdb")
        folder = Path(tempfile.mkdtemp(prefix="lb-mongo-", dir="/tmp"))
        server = Server(folder, program, replica_set)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")
