# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a temporary directory: a user scope, a configuration, a key, and the `lifeboat` command."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ENGINE = Path(__file__).resolve().parents[3] / "plugins/module_utils/engine"
PRELUDE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(
    "lifeboat", {engine!r} + "/__init__.py", submodule_search_locations=[{engine!r}])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
{before}
from lifeboat.cli.main import main
raise SystemExit(main(sys.argv[1:], scope="user", root={root!r}))
"""
PHRASE = "RESTORE PRODUCTION"


class Host:
    """`before` in `lifeboat` is Python code that runs in the process first: how faults are placed."""

    def __init__(self, base: Path, name: str = "h1", disk: Path | None = None) -> None:
        self.base, self.name = base, name
        self.root = base / name
        self.disk = disk or base / "disk"
        self.data = base / f"data-{name}"
        self.data.mkdir()
        self.disk.mkdir(exist_ok=True)
        self.key = base / "operator.key"
        if not self.key.exists():
            subprocess.run(["age-keygen", "-o", str(self.key)], check=True, capture_output=True)
        recipient = subprocess.run(
            ["age-keygen", "-y", str(self.key)], check=True, capture_output=True, text=True
        ).stdout.strip()
        self.configuration: dict[str, Any] = {
            "version": 1,
            "host": name,
            "environment": "production",
            "encryption": {"age_recipients": [recipient]},
            "destinations": {"disk": {"type": "local", "path": str(self.disk)}},
            "jobs": {
                "shop": {
                    "sources": {"db": {"type": "sqlite", "path": str(self.database)}},
                    "destinations": ["disk"],
                    "schedule": "02:00",
                    "keep": {"last": 3},
                }
            },
        }
        self.configure()

    @property
    def job(self) -> dict[str, Any]:
        return self.configuration["jobs"]["shop"]

    @property
    def database(self) -> Path:
        return self.data / "app.db"

    def configure(self) -> None:
        config = self.root / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "config.json").write_text(json.dumps(self.configuration))

    def argv(self, *words: str, before: str = "") -> list[str]:
        code = PRELUDE.format(engine=str(ENGINE), root=str(self.root), before=before)
        return [sys.executable, "-c", code, *words]

    def lifeboat(
        self, *words: str, before: str = "", stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*words, before=before),
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
            start_new_session=True,  # no terminal: nobody can be asked
            env={**os.environ, **(env or {})},
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def run(self, *words: str) -> str:
        """A backup that must go well; its id."""
        done = self.lifeboat("run", "shop", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def restore(self, id_: str, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
        gate = ("--confirm", PHRASE, "--target-host", self.name)
        key = ("--identity", str(self.key))
        return self.lifeboat("restore", "shop", id_, *key, *gate, *words, before=before)

    def fill(self, rows: int) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.execute("create table if not exists book (id integer primary key, title)")
            connection.execute("delete from book")
            connection.executemany(
                "insert into book (title) values (?)", [(f"title {one}",) for one in range(rows)]
            )
        connection.close()

    def rows(self) -> int:
        connection = sqlite3.connect(self.database)
        try:
            return int(connection.execute("select count(*) from book").fetchone()[0])
        finally:
            connection.close()

    def stored(self) -> list[str]:
        """Every file at the destination, relative."""
        return sorted(
            path.relative_to(self.disk).as_posix()
            for path in self.disk.rglob("*")
            if path.is_file()
        )

    def archive(self, name: str = "db.database") -> Path:
        return next(self.disk.glob(f"archives/*/*/*/{name}*"))

    def left_over(self) -> list[str]:
        """Temporary files anywhere: in the spool, the runtime directory, beside the data. How far the last
        operation came stays to be read."""
        places = [self.root / "state" / "spool", self.root / "state" / "run", self.data]
        kept = {self.database.name, self.database.name + "-wal", self.database.name + "-shm"}
        return sorted(
            str(path)
            for place in places
            if place.exists()
            for path in place.rglob("*")
            if path.is_file() and path.name not in kept and path.suffix != ".progress"
        )
