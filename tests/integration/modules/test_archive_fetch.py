# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_fetch: the files are there, proved, and once; out of cold storage it asks, and comes back."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.modules.test_s3_push import KEYS, bucket, call, endpoint

__all__ = ["bucket", "call", "endpoint"]

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def backup(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a backup of one database in tmp_path/disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    (tmp_path / "disk").mkdir()
    dumped = call(
        "db_dump",
        job="shop",
        host="db1",
        path=str(tmp_path / "disk"),
        sources={"db": {"type": "sqlite", "path": str(tmp_path / "app.db")}},
        encryption={"none": True},
    )
    assert not dumped["failed"], dumped
    return str(dumped["id"])


def fetch(call: Call, tmp_path: Path, **other: Any) -> dict[str, Any]:
    there = {"type": "local", "path": str(tmp_path / "disk")}
    given = {"job": "shop", "from_host": "db1", "destination": there}
    return call("archive_fetch", dest=str(tmp_path / "rescue"), **{**given, **other})


def test_files_are_fetched_once(call: Call, backup: str, tmp_path: Path) -> None:
    checked = fetch(call, tmp_path, check=True)
    assert checked["changed"]
    assert not (tmp_path / "rescue").exists()
    done = fetch(call, tmp_path)
    assert (done["changed"], done["id"], done["waiting"]) == (True, backup, [])
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "rescue", check=True)
    again = fetch(call, tmp_path)
    assert (again["changed"], again["files"]) == (False, done["files"])


def test_a_directory_with_something_else_is_left_alone(
    call: Call, backup: str, tmp_path: Path
) -> None:
    (tmp_path / "rescue").mkdir()
    (tmp_path / "rescue" / "notes").write_text("mine")
    refused = fetch(call, tmp_path)
    assert refused["failed"]
    assert "is not empty" in refused["msg"]
    assert [one.name for one in (tmp_path / "rescue").iterdir()] == ["notes"]


def test_what_is_frozen_is_asked_for_and_fetched_later(
    call: Call, backup: str, bucket: Any, endpoint: str, tmp_path: Path
) -> None:
    cold = {
        "type": "s3",
        "bucket": bucket.name,
        "endpoint": endpoint,
        "region": "us-east-1",
        "credential": "s3",
        "storage_class": "GLACIER",
    }
    known = {"credentials": {"s3": KEYS}}
    pushed = call(
        "s3_push",
        job="shop",
        host="db1",
        path=str(tmp_path / "disk"),
        destination=cold,
        **known,
    )
    assert (pushed["failed"], pushed.get("state")) == (False, "archived"), pushed
    where = {"backup": backup, "destination": cold, **known}
    frozen = fetch(call, tmp_path, **where)
    assert "cold storage" in frozen["msg"]
    asked = fetch(call, tmp_path, thaw=True, tier="bulk", **where)
    assert (asked["failed"], asked["changed"]) == (False, True)
    assert {one["hours"] for one in asked["waiting"]} == {"5 to 12 hours"}
    there = fetch(call, tmp_path, thaw=True, **where)
    assert (there["changed"], there["waiting"]) == (True, [])
    assert (tmp_path / "rescue" / f"{backup}.json").exists()
