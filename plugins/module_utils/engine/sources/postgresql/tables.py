# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the rows of some tables alone into a new database, for somebody to take them from there.

All else of the database comes without rows, and without indexes, keys and triggers: what a table needs
to be made (schemas, types, functions) is there, and a foreign key has nothing that it could miss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...errors import UsageError
from ..some_tables import refuse_merge

_NAME = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', re.DOTALL)


def chosen(source: str, names: Sequence[str], merge: bool) -> tuple[str, ...]:
    """The tables as an inventory names them; without a schema, of `public`. Raises UsageError."""
    refuse_merge(source, merge)
    made = tuple(one if "." in one else "public." + one for one in names)
    for one in made:
        if not _NAME.fullmatch(one):
            raise UsageError(
                f"source {source}: {one} is not a table's name",
                hint='write orders, audit.orders or "My Schema"."My Table"',
            )
    return made


def sections(only: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The options of each run of pg_restore: what has no rows, then the rows, schema by schema."""
    yield ("--section=pre-data",)
    schemas: dict[str, list[str]] = {}
    for one in only:
        match = _NAME.fullmatch(one)
        schema, table = (_bare(part) for part in match.groups()) if match else ("public", one)
        schemas.setdefault(schema, []).append("--table=" + table)
    for schema, tables in schemas.items():
        yield ("--section=data", "--schema=" + schema, *tables)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
