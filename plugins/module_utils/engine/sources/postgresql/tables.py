# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the rows of some tables alone into a new database, for somebody to take them from there.

All else of the database comes without rows, and without indexes, keys and triggers: what a table needs
to be made (schemas, types, functions) is there, and a foreign key has nothing that it could miss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...errors import SourceError, UsageError
from ...inventory import Entry

_NAME = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', re.DOTALL)
_SHOWN = 20  # names


def chosen(source: str, names: Sequence[str], merge: bool) -> tuple[str, ...]:
    """The tables as an inventory names them; without a schema, of `public`. Raises UsageError."""
    if merge:
        raise UsageError(
            f"source {source}: --merge is for files",
            hint="bring a table's rows beside (--into NAME), and take from there what you want",
        )
    made = tuple(one if "." in one else "public." + one for one in names)
    for one in made:
        if not _NAME.fullmatch(one):
            raise UsageError(
                f"source {source}: {one} is not a table's name",
                hint='write orders, audit.orders or "My Schema"."My Table"',
            )
    return made


def refusals(only: Sequence[str], into: str | None, exists: bool, local: bool) -> list[str]:
    """Why these tables alone are not restored there; [] = they can be."""
    if not only:
        return []
    if not local:
        return ["tables alone cannot come into a container: bring the database beside, as a whole"]
    if into is None:
        return [
            "tables alone are not put in place of others: bring them beside with --into NAME, "
            "and take their rows from there"
        ]
    return ["tables alone come into a new database: this one is there"] if exists else []


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


def alike(
    source: str, only: Sequence[str], recorded: Iterator[Entry], found: Iterator[Entry]
) -> tuple[Iterator[Entry], Iterator[Entry]]:
    """See ports.Narrowable: those tables, of both. Raises SourceError for one that the backup has not."""
    if not only:
        return recorded, found
    names, kept = [], []
    for one in recorded:  # to its end: whoever decodes it looks at how it ended
        if one["kind"] == "table":
            names.append(str(one["name"]))
            kept += [one] if one["name"] in only else []
    missing = sorted(set(only) - set(names))
    if missing:
        more = " …" if len(names) > _SHOWN else ""
        raise SourceError(
            f"source {source}: the backup has no table {', '.join(missing)}",
            hint="it has: " + ", ".join(sorted(names)[:_SHOWN]) + more,
        )
    return iter(kept), (one for one in found if one["kind"] == "table" and one["name"] in only)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
