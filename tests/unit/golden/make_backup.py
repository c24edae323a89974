# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the golden backup of a format version with the engine's own operations: make_backup.py VERSION.

Run once for each version of the format, then committed and never made anew (docs/format.md#vectors).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import sys
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENGINE = HERE.parents[2] / "plugins" / "module_utils" / "engine"
IDENTITY = HERE / "test-identity.txt"
WORK = Path("/tmp/golden")  # named in the manifest's facts, so it is no path of one machine
CLOCK = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)


def load_engine() -> None:
    spec = importlib.util.spec_from_file_location(
        "lifeboat", ENGINE / "__init__.py", submodule_search_locations=[str(ENGINE)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit("the engine is not there")
    package = importlib.util.module_from_spec(spec)
    sys.modules["lifeboat"] = package
    spec.loader.exec_module(package)


def make_identity() -> str:
    """The recipient of the test key, which is made when there is none."""
    from lifeboat.model import Command
    from lifeboat.process import run

    if not IDENTITY.exists():
        notice = (
            "# A TEST KEY. It is public, it protects nothing: never use it for data of your own.\n"
        )
        IDENTITY.write_text(notice + run(Command(("age-keygen",))).decode(), encoding="utf-8")
    return run(Command(("age-keygen", "-y", str(IDENTITY)))).decode().strip()


def make_sources() -> None:
    WORK.mkdir()
    with sqlite3.connect(WORK / "notes.db") as database:
        database.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        texts = [("first",), ("größe, 'quoted'",), ("",)]
        database.executemany("INSERT INTO note (text) VALUES (?)", texts)
    (WORK / "uploads" / "empty").mkdir(parents=True)
    (WORK / "uploads" / "plain.txt").write_text("hello\n", encoding="utf-8")
    (WORK / "uploads" / "größe 'quoted'\n.bin").write_bytes(bytes(range(256)) * 8)
    (WORK / "uploads" / "link").symlink_to("plain.txt")
    for path in [*(WORK / "uploads").rglob("*"), WORK / "uploads"]:
        os.utime(path, (CLOCK.timestamp(), CLOCK.timestamp()), follow_symlinks=False)


def main(version: str) -> None:
    load_engine()
    from lifeboat.destinations.local import Local
    from lifeboat.filters.age import Age
    from lifeboat.filters.zstd import Zstd
    from lifeboat.job import Job
    from lifeboat.operations.backup.backup import Request, run
    from lifeboat.sources.files import Files
    from lifeboat.sources.sqlite.source import SQLite

    root = HERE / ("backup-v" + version)
    if root.exists():
        raise SystemExit(f"{root} is there: a vector is never made anew")
    job = Job(
        name="shop",
        host="golden",
        environment="dev",
        sources=(
            SQLite(name="notes", path=str(WORK / "notes.db")),
            Files(name="uploads", paths=[str(WORK / "uploads")]),
        ),
        filters=(Zstd(), Age(recipients=[make_identity()])),
        destinations=(Local(name="disk", path=str(root)),),
    )
    make_sources()
    try:
        request = Request("manual", "901d", tags=("größe 1.0",), pin=True)
        report = run(job, request, WORK / "spool", WORK / "run", lambda: CLOCK)
    finally:
        shutil.rmtree(WORK)
    print(report.id, *(outcome.state for outcome in report.outcomes))


if __name__ == "__main__":
    main(sys.argv[1])
