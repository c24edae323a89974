# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away server that speaks MongoDB's protocol: a real mongod where there is one, else the lab's."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LAB = Path(__file__).resolve().parents[1] / "lab"
_MONGOD = os.environ.get("LIFEBOAT_TEST_MONGOD") or shutil.which("mongod") or ""
_DOCUMENTS_PER_MB = 2000
_AT_ONCE = 2000


def _lab(name: str) -> str:
    built = subprocess.run([str(_LAB / name)], capture_output=True, text=True, check=True)
    return built.stdout.strip()


class MongoDB:
    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, size_mb: int) -> None:
        self.size_mb = size_mb
        self._tools = os.path.dirname(shutil.which("mongodump") or "") or _lab("mongo-tools")
        self._folder = Path(tempfile.mkdtemp(prefix="lb-mo-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def __enter__(self) -> MongoDB:
        (data := self._folder / "data").mkdir()
        argv = [_MONGOD, "--bind_ip=127.0.0.1", f"--port={self._port}", f"--dbpath={data}"]
        if not _MONGOD:
            argv = [_lab("ferretdb"), f"127.0.0.1:{self._port}", str(data)]
        with open(self._folder / "log", "wb") as log:
            self._server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        with self._client() as client:
            client.admin.command("ping")
            self._fill(client["bench"]["orders"])
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.terminate()
        self._server.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def source(self) -> dict[str, object]:
        tools = {"programs_path": self._tools}
        return {"type": "mongodb", "databases": ["bench"], "port": self._port, **tools}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return self._tool("mongodump", "--db=bench")

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        self.drop(name)
        return self._tool("mongorestore", "--nsFrom=bench.*", f"--nsTo={name}.*")

    def into(self, name: str) -> str:
        return name

    def drop(self, name: str) -> None:
        with self._client() as client:
            client.drop_database(name)

    def _tool(self, program: str, *words: str) -> tuple[list[str], dict[str, str]]:
        server = ["--host=127.0.0.1", f"--port={self._port}", "--archive"]
        return [f"{self._tools}/{program}", *server, *words], dict(os.environ)

    def _client(self) -> Any:
        import pymongo

        return pymongo.MongoClient("127.0.0.1", self._port, directConnection=True)

    def _fill(self, orders: Any) -> None:
        """No index: the lab's server does not take one from mongorestore under another name."""
        dice = random.Random(7)
        for first in range(0, self.size_mb * _DOCUMENTS_PER_MB, _AT_ONCE):
            orders.insert_many(
                {
                    "_id": n,
                    "customer": n % 50021,
                    "note": f"order {n} " * 20,
                    "code": dice.randbytes(200),
                }
                for n in range(first, first + _AT_ONCE)
            )
