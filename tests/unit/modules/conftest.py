# SPDX-License-Identifier: GPL-3.0-or-later
"""Call a module's main() in this process, as Ansible would on a host; and a host with one job."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.lifeboat.backup.plugins"
Door = Callable[..., dict[str, Any]]


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str]) -> Door:
    """door("engine_install", scope="user", check=True) -> the result, with `failed` and `changed`."""

    def call(
        name: str, *, check: bool = False, umask: int = 0o022, **options: Any
    ) -> dict[str, Any]:
        module = importlib.import_module(f"{PACKAGE}.modules.{name}")
        given = dict(options, _ansible_check_mode=check, _ansible_diff=True)
        capsys.readouterr()
        before = os.umask(umask)
        try:
            with patch_module_args(given), pytest.raises(SystemExit):
                module.main()
        finally:
            os.umask(before)
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return dict({"failed": False, "changed": False}, **result)

    return call


@dataclass
class Host:
    """A user scope with the job `shop`: a SQLite database and a file tree, encrypted, to one disk."""

    door: Door
    root: Path
    environment: str = "dev"

    def configure(self, **job: Any) -> None:
        made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
        self.identity = made.stdout
        self.recipient = made.stdout.split("public key: ")[1].split()[0]
        configuration = {
            "version": 1,
            "host": "db1",
            "environment": self.environment,
            "encryption": {"age_recipients": [self.recipient]},
            "destinations": {"disk": {"type": "local", "path": str(self.disk)}},
            "jobs": {"shop": dict({"sources": self.sources, "destinations": ["disk"]}, **job)},
        }
        path = self.root / "config" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(configuration))

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    @property
    def sources(self) -> dict[str, Any]:
        return {
            "db": {"type": "sqlite", "path": str(self.root / "data" / "app.db")},
            "uploads": {"type": "files", "paths": [str(self.root / "data" / "uploads")]},
        }

    def call(self, name: str, **options: Any) -> dict[str, Any]:
        return self.door(name, scope="user", root=str(self.root), **options)

    def rows(self) -> list[int]:
        with closing(sqlite3.connect(self.root / "data" / "app.db")) as connection, connection:
            return [row[0] for row in connection.execute("SELECT x FROM t ORDER BY x")]

    def destroy(self) -> None:
        with closing(sqlite3.connect(self.root / "data" / "app.db")) as connection, connection:
            connection.execute("DELETE FROM t")
        (self.root / "data" / "uploads" / "one").write_text("ruined")

    def files(self) -> dict[str, bytes]:
        """All that lies at the destination."""
        return {
            str(one.relative_to(self.disk)): one.read_bytes()
            for one in self.disk.rglob("*")
            if one.is_file()
        }


@pytest.fixture
def host(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(door, tmp_path / "host")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    uploads = made.root / "data" / "uploads"
    uploads.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (uploads / "one").write_text("precious")
    made.disk.mkdir()
    with closing(sqlite3.connect(made.root / "data" / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    made.configure()
    return made
