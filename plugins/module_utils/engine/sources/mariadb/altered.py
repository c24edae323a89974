# SPDX-License-Identifier: GPL-3.0-or-later
"""Find columns whose values a dump changes: as text in utf8mb4, not all of them can be written."""

from __future__ import annotations

from .facts import ELSEWHERE, same
from .server import Access, QueryError, identifier, literal

# each of their bytes, or what they let in, is a character
_WHOLE = "'utf8mb4', 'utf8mb3', 'utf8', 'latin1', 'ascii', 'ucs2', 'utf16', 'utf16le', 'utf32'"
_UNKNOWN = (1054, 1064, 1146)  # dropped since it was listed; an old MySQL, which casts to no FLOAT


def columns(access: Access, database: str) -> list[str]:
    """["table.column (cp1251)"] of which a value comes back as another. Reads tables that have such
    columns, each up to the first value.
    """
    far = ", ".join(literal(one) for one in ELSEWHERE)  # not read, as the dump does not
    listed = access.ask(
        "SELECT c.TABLE_NAME, c.COLUMN_NAME, COALESCE(c.CHARACTER_SET_NAME, c.DATA_TYPE)"
        " FROM information_schema.COLUMNS c JOIN information_schema.TABLES t"
        " ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME"
        f" WHERE {same('c.TABLE_SCHEMA', database)} AND t.TABLE_TYPE NOT LIKE '%VIEW'"
        f" AND COALESCE(t.ENGINE, '') NOT IN ({far})"
        f" AND (c.CHARACTER_SET_NAME NOT IN ({_WHOLE}) OR c.DATA_TYPE = 'float')"
    )
    return [
        f"{table}.{column} ({kind})"
        for table, column, kind in listed
        if _changes(access, f"{identifier(database)}.{identifier(table)}", column, kind)
    ]


def _changes(access: Access, table: str, column: str, kind: str) -> bool:
    name = identifier(column)
    again = f"CONVERT(CONVERT({name} USING utf8mb4) USING {kind})"
    differs = f"BINARY {again} <> BINARY {name}"
    if kind == "float":
        differs = f"CAST(CAST({name} AS CHAR) AS FLOAT) <> {name}"
    try:
        return access.ask(f"SELECT 1 FROM {table} WHERE {differs} LIMIT 1") != []
    except QueryError as exc:
        if exc.code not in _UNKNOWN:
            raise
        return False
