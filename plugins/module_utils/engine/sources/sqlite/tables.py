# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave some tables of a copied SQLite database, with their indexes, and take away all else."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from .file import connect


def keep_alone(path: Path, only: Collection[str]) -> None:
    """Drop what is none of these tables; raises sqlite3.Error.

    What an index of texts and the like keeps its content in (`words_data` of `words`) stays with it.
    """
    with connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = off")
        listed = connection.execute(
            "SELECT type, name, coalesce(sql, '') FROM sqlite_master"
            " WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        ).fetchall()
        virtual = {name for _kind, name, sql in listed if sql.upper().startswith("CREATE VIRTUAL")}
        kept = tuple(name + "_" for name in virtual.intersection(only))
        for wanted in ("trigger", "view", "virtual", "table"):
            for kind, name, _sql in listed:
                kind = "virtual" if name in virtual else kind
                if kind == wanted and name not in only and not name.startswith(kept or ("\0",)):
                    _drop(connection, kind, name)
        connection.execute("VACUUM")


def _drop(connection: sqlite3.Connection, kind: str, name: str) -> None:
    word = "TABLE" if kind == "virtual" else kind.upper()
    try:
        connection.execute('DROP %s IF EXISTS "%s"' % (word, name.replace('"', '""')))
    except sqlite3.OperationalError:
        if kind != "virtual":
            raise
        # only the application has its module: an empty name of it stays
