# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the documents of a collection: none is estimated, and no more is read for it than a server needs."""

from __future__ import annotations

import re
from collections.abc import Callable

from .session import CommandRefused, Session

_ON_SQLITE = re.compile(r"FerretDB [^ ]+ and SQLite ")
Count = Callable[[Session, str, str], int]  # (…, database, collection)


def cheapest(session: Session) -> Count:
    """The way to count that is exact on this server, and takes it the least."""
    return by_pages if _counts_pages(session) else by_reading


def by_reading(session: Session, database: str, name: str) -> int:
    """On every server: not from its statistics, which may be off."""
    asked = {"aggregate": name, "pipeline": [{"$count": "rows"}], "cursor": {}}
    return int(next(iter(session.rows(database, asked)), {"rows": 0})["rows"])


def by_pages(session: Session, database: str, name: str) -> int:
    """From what collStats tells where that is counted, without a document being built: a thirtieth of the
    time."""
    try:
        return int(session.ask(database, {"collStats": name})["count"])
    except CommandRefused:  # FerretDB does not find the pages of a name with a backslash
        return by_reading(session, database, name)


def _counts_pages(session: Session) -> bool:
    """Whether collStats counts what lies in a collection's pages, as FerretDB on SQLite does (dbstat: the
    cells of the leaves). Elsewhere, FerretDB on PostgreSQL too, it tells a statistic, and no command says
    which it is: what the server is made of does.
    """
    if "ferretdbVersion" not in session.ask("admin", {"buildInfo": 1}):
        return False
    try:
        told = session.ask("admin", {"getLog": "startupWarnings"})
    except CommandRefused:
        return False
    return any(_ON_SQLITE.search(str(line)) for line in told.get("log", ()))
