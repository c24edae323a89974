# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into one SQLite file: open it, judge whether it is whole, count what it holds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...errors import LifeboatError
from ...files import open_regular
from ...inventory import InventoryWriter
from ...model import Inventory

MAGIC = b"SQLite format 3\0"
COMPANIONS = ("-wal", "-shm", "-journal")
# Findings about values, which an application may live with; everything else is a broken file.
_ABOUT_VALUES = ("NULL value in ", "CHECK constraint failed in ")


class Broken(Exception):
    """The file is not a whole SQLite database; the text says why."""


@contextmanager
def connect(path: Path, *, timeout_s: float = 30.0) -> Iterator[sqlite3.Connection]:
    """An existing database, never a new one; closed at the end.

    Writable where we may: the last writer to close a WAL database cleans up after itself, a
    read-only one would leave -wal and -shm behind, owned by us.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    uri = "file:%s?mode=%s" % (quote(os.fsencode(path)), "rw" if writable else "ro")
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        yield connection
    finally:
        connection.close()


def complaint(head: bytes, size_bytes: int) -> str:
    """What the first 64 bytes and the size tell against a file; "" = nothing."""
    if size_bytes == 0:
        return "it is empty"
    if not head.startswith(MAGIC):
        return "it does not begin as an SQLite database does"
    page_bytes = int.from_bytes(head[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    expected = page_bytes * int.from_bytes(head[28:32], "big")
    if size_bytes != expected:
        return "it has %d bytes, its header says %d" % (size_bytes, expected)
    return ""


def looks_like_one(path: Path) -> bool:
    """Whether opening it is safe: SQLite replays a -wal into whatever lies beside it."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as opened:
            return opened.read(len(MAGIC)) == MAGIC
    except LifeboatError:
        return False


def examine(path: Path) -> tuple[str, ...]:
    """Read the whole file and judge it; what is odd but no damage comes back. Raises Broken."""
    with open(path, "rb") as opened:
        told = complaint(opened.read(64), os.path.getsize(path))
    if told:
        raise Broken(told)
    try:
        with connect(path) as connection:
            findings = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(1000)
    except sqlite3.Error as exc:
        raise Broken(str(exc)) from exc
    damage = [text for text in findings if text != "ok" and not text.startswith(_ABOUT_VALUES)]
    if damage:
        raise Broken("; ".join(damage))
    odd = [text for text in findings if text != "ok"]
    if orphans:
        odd.append("%d rows refer to rows that do not exist" % len(orphans))
    return tuple(odd)


def described(path: Path) -> dict[str, Any]:
    """What a restore or a reader may want to know of a database."""
    with connect(path) as connection:
        return {
            pragma: connection.execute("PRAGMA " + pragma).fetchone()[0]
            for pragma in ("page_size", "encoding", "user_version", "application_id")
        }


def totals(path: Path) -> dict[str, int]:
    """{"tables": 3, "rows": 40}."""
    with connect(path) as connection:
        counts = [rows for kind, _name, rows in _objects(connection) if kind == "table"]
    return {"tables": len(counts), "rows": sum(rows or 0 for rows in counts)}


def first_row(path: Path, statement: str) -> list[str]:
    """What a statement that only reads answers; [] without a row."""
    with connect(path) as connection:
        connection.execute("PRAGMA query_only = on")
        return [str(one) for one in connection.execute(statement).fetchone() or ()]


def count(path: Path, into: Path) -> Inventory:
    """Every table with its rows; views, indexes and triggers by name."""
    writer = InventoryWriter(into)
    with connect(path) as connection:
        for kind, name, rows in _objects(connection):
            writer.add(kind, name, **({} if rows is None else {"rows": rows}))
    return writer.close()


def _objects(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int | None]]:
    listed = connection.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master"
    ).fetchall()
    for kind, name, sql in listed:
        # A virtual table may need a module that only the application has; its own tables are counted.
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL"):
            quoted = '"%s"' % name.replace('"', '""')
            yield kind, name, connection.execute("SELECT count(*) FROM " + quoted).fetchone()[0]
        else:
            yield kind, name, None
