"""A table that is written anew while a dump begins is in it as it was, or the dump is an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from .conftest import Server, back_up


@pytest.fixture
def moving(server: Server) -> Iterator[Server]:
    server.sql("CREATE DATABASE moving")
    server.sql(
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n; CREATE TABLE none (n int);",
        "moving",
    )
    yield server
    server.sql("DROP DATABASE moving WITH (FORCE)")


def meanwhile(
    server: Server, work: Workspace, folder: Path, statements: str, parallel: int = 1
) -> int:
    """Back up while a transaction holds what `statements` lock, until the dump waits for it; its tables."""
    holder = server.psql("moving")
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(f"BEGIN; {statements}; SELECT 'held';\n".encode())
    while holder.stdout.readline() != b"held\n":
        pass

    def let_go() -> None:
        waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
        for _attempt in range(100):
            if server.sql(waits) == "t":
                break
            time.sleep(0.1)
        time.sleep(0.2)
        holder.stdin.write(b"COMMIT;\n")  # type: ignore[union-attr]
        holder.stdin.close()  # type: ignore[union-attr]

    thread = threading.Thread(target=let_go)
    thread.start()
    try:
        backup = back_up(server.source("moving", parallel=parallel), work, folder)
    finally:
        thread.join()
        holder.wait(10)
    return backup.record.totals["tables"]


@pytest.mark.parametrize(
    ("parallel", "statements"),
    [
        (1, "ALTER TABLE t ALTER n TYPE bigint"),
        (2, "ALTER TABLE t ALTER n TYPE bigint"),
        (1, "TRUNCATE t; INSERT INTO t SELECT generate_series(1, 1000)"),
    ],
)
def test_a_table_that_was_rewritten_is_not_backed_up_as_empty(
    moving: Server, work: Workspace, tmp_path: Path, parallel: int, statements: str
) -> None:
    with pytest.raises(SourceError, match=r"public\.t had its rows written anew"):
        meanwhile(moving, work, tmp_path / "archives", statements, parallel)
    assert moving.sql("SELECT count(*) FROM t", "moving") == "1000"


@pytest.mark.parametrize(
    "harmless", ["ALTER TABLE none ALTER n TYPE bigint", "CLUSTER t USING i", "TRUNCATE t"]
)
def test_what_loses_no_row_is_no_error(
    moving: Server, work: Workspace, tmp_path: Path, harmless: str
) -> None:
    moving.sql("CREATE INDEX i ON t (n)", "moving")
    assert meanwhile(moving, work, tmp_path / "archives", harmless) == 2
