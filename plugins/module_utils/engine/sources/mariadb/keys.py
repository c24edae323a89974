# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign keys whose names the server does not quote as it writes them: what follows would be read as SQL."""

from __future__ import annotations

import re

from ...errors import SourceError
from .facts import same
from .server import Access, identifier

_NAMES = ("CONSTRAINT_NAME", "COLUMN_NAME", "REFERENCED_COLUMN_NAME")
_TICK = " LIKE '%`%'"
_QUOTED = re.compile("`((?:[^`]|``)*)`")


def unquoted(access: Access, database: str) -> list[str]:
    """The foreign keys with a ` in a name that SHOW CREATE TABLE does not double: ["'k`1' of table 't'"].

    So does MariaDB 11.8.
    """
    rows = access.ask(
        f"SELECT TABLE_NAME, ORDINAL_POSITION, {', '.join(_NAMES)}"
        " FROM information_schema.KEY_COLUMN_USAGE"
        f" WHERE {same('TABLE_SCHEMA', database)} AND REFERENCED_TABLE_NAME IS NOT NULL"
        f" AND ({' OR '.join(one + _TICK for one in _NAMES)})"
    )
    written: dict[str, list[list[str]]] = {}
    told = set()
    for table, number, *names in rows:
        if table not in written:
            asked = f"SHOW CREATE TABLE {identifier(database)}.{identifier(table)}"
            written[table] = _keys(access.ask(asked)[0][1])
        if [one.lower() for one in names] not in [
            _column(key, int(number)) for key in written[table]
        ]:
            told.add(f"{names[0]!r} of table {table!r}")
    return sorted(told)


def refuse(access: Access, source: str, database: str) -> None:
    """Raise SourceError where a dump could not be restored, or a name in it would be run."""
    told = unquoted(access, database)
    if told:
        raise SourceError(
            f"source {source}: the server does not quote a ` in the names of foreign keys, which could not"
            f" be restored: {', '.join(told[:5])}",
            hint="drop the key and add it with CONSTRAINT and a name without `; or rename its column",
        )


def _keys(written: str) -> list[list[str]]:
    """Of each foreign key the names as a client reads them: its own, its columns', the table's, their columns'."""
    lines = (line.strip().lower() for line in written.splitlines())
    return [
        [one.replace("``", "`") for one in _QUOTED.findall(line)]
        for line in lines
        if line.startswith("constraint ") and " foreign key (" in line
    ]


def _column(key: list[str], number: int) -> list[str]:
    """[name of the key, its column of that number, what that refers to], in lower case."""
    columns = (len(key) - 2) // 2  # the table may have its database before it
    if not 0 < number <= columns:
        return []
    return [key[0], key[number], key[number - columns - 1]]
