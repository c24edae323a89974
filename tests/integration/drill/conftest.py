# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose job has a source of every kind that this machine has a server for, and what drills leave."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.throwaway import passable

from tests.integration.mariadb import conftest as mariadb
from tests.integration.mongodb import conftest as mongodb
from tests.integration.postgresql import conftest as postgresql
from tests.integration.redis import conftest as redis
from tests.integration.rescue.host import Host

make_postgresql = postgresql.make_server
make_mariadb = mariadb.make_server


MONGOD = """#!/bin/sh
for word; do
  case $word in
    --version) echo "db version v7.0.42"; exit ;;
    --dbpath=*) data=${{word#*=}} ;;
    --bind_ip=*) socket=${{word#*=}} ;;
  esac
done
exec {folder}/ferretdb "$socket" "$data"
"""


class DrillHost(Host):
    """`drill` gives the key that opens what this host backs up."""

    def drill(self, *words: str, **how: Any) -> Any:
        return self.lifeboat("drill", "shop", *words, "--json", "--identity", str(self.key), **how)

    def told(self, *words: str, expected: int = 0, **how: Any) -> dict[str, Any]:
        """The one drill of a command that must end with `expected`."""
        done = self.drill(*words, **how)
        assert done.returncode == expected, done.stdout + done.stderr
        (report,) = json.loads(done.stdout)
        return dict(report)

    def history(self) -> list[dict[str, Any]]:
        lines = (self.root / "state/log/history.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["event"] == "drill"]

    def state(self) -> str:
        """Of the newest backup's copy."""
        listed = json.loads(self.lifeboat("list", "shop", "--json").stdout)
        return str(listed[0]["copies"]["disk"])

    @property
    def arenas(self) -> Path:
        return passable(self.root / "state/spool/.drills")

    def left(self) -> list[str]:
        return [str(path) for path in self.arenas.glob("*")] + running(str(self.arenas))


def running(place: str) -> list[str]:
    """Programs whose words name `place`, or that live in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inside = os.readlink(folder / "cwd")
        except OSError:
            continue
        if (place in words or inside.startswith(place)) and int(folder.name) != os.getpid():
            found.append(f"{folder.name}: {words}")
    return found


@pytest.fixture
def host(tmp_path: Path) -> DrillHost:
    """With a database of 1000 books, and one backup."""
    made = DrillHost(tmp_path)
    made.fill(1000)
    made.run()
    return made


@pytest.fixture
def postgresql_source(make_postgresql: Callable[[], Any]) -> dict[str, Any]:
    server = make_postgresql()
    server.sql("CREATE ROLE keeper; CREATE DATABASE shop OWNER keeper")
    server.sql(
        "CREATE TABLE book (id int PRIMARY KEY, title text);"
        "INSERT INTO book SELECT n, 'title ' || n FROM generate_series(1, 500) AS n",
        "shop",
    )
    return {
        "type": "postgresql",
        "database": "shop",
        "host": str(server.folder),
        "port": server.port,
    }


@pytest.fixture
def mariadb_source(make_mariadb: Callable[..., Any]) -> dict[str, Any]:
    server = make_mariadb()
    server.sql("CREATE DATABASE shop")
    server.sql(
        "CREATE TABLE book (id int PRIMARY KEY, title text); CREATE VIEW titles AS SELECT title FROM book;"
        "INSERT INTO book VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "shop",
    )
    return {"type": "mariadb", "database": "shop", "socket": server.socket}


@pytest.fixture
def mongodb_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """And a `mongod` on PATH: FerretDB, which drills start as they would start a mongod."""
    ferretdb = mongodb.lab("ferretdb")
    folder = Path(tempfile.mkdtemp(prefix="lb-mongod-", dir="/tmp"))
    folder.chmod(0o755)
    shutil.copy(ferretdb, folder / "ferretdb")
    (folder / "mongod").write_text(MONGOD.format(folder=folder))
    (folder / "mongod").chmod(0o755)
    (folder / "live").mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    server = mongodb.Server(folder / "live", ferretdb)
    with server.client() as client:
        client.shop.book.insert_many([{"_id": n, "title": f"title {n}"} for n in range(70)])
        client.shop.book.create_index("title")
    yield {
        "type": "mongodb",
        "databases": ["shop"],
        "port": server.port,
        "programs_path": mongodb.tools(),
    }
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis_source() -> Iterator[dict[str, Any]]:
    server = redis.Server("redis").start()
    for number in range(40):
        server.cli("SET", f"key{number}", "value")
    server.cli("-n", "7", "SET", "other", "value")
    yield {"type": "redis", "socket": server.socket}
    server.stop()
