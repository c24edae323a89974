# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring some collections alone into a new database, for somebody to take from there what is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...errors import SourceError, UsageError
from ...inventory import Entry
from .archive import Collection

_SHOWN = 20  # names


def chosen(source: str, names: Sequence[str], merge: bool) -> tuple[str, ...]:
    """Collections by name; raises UsageError."""
    if merge:
        raise UsageError(
            f"source {source}: --merge is for files",
            hint="bring a collection beside (--into NAME), and take from there what you want",
        )
    return tuple(names)


def refusals(only: Sequence[str], into: str | None, exists: bool) -> list[str]:
    """Why these collections alone are not restored there; [] = they can be."""
    if not only:
        return []
    if into is None:
        return [
            "collections alone are not put in place of others: bring them beside with --into NAME, "
            "and take from there what you want"
        ]
    return ["collections alone come into a new database: this one is there"] if exists else []


def patterns(database: str, only: Sequence[str]) -> list[str]:
    """What mongorestore is to include."""
    return [f"{database}." + re.sub(r"([\\*])", r"\\\1", one) for one in only] or [f"{database}.*"]


def of_them(source: str, only: Sequence[str], there: Sequence[Collection]) -> list[Collection]:
    """Those of `there` that are chosen, or all; raises SourceError for one that the backup has not."""
    names = sorted(one.name for one in there)
    missing = sorted(set(only) - set(names))
    if missing:
        more = " …" if len(names) > _SHOWN else ""
        raise SourceError(
            f"source {source}: the backup has no collection {', '.join(missing)}",
            hint="it has: " + ", ".join(names[:_SHOWN]) + more,
        )
    return [one for one in there if not only or one.name in only]


def alike(
    only: Sequence[str], recorded: Iterator[Entry], found: Iterator[Entry]
) -> tuple[Iterator[Entry], Iterator[Entry]]:
    """See ports.Narrowable: those collections and their indexes, of both."""
    if not only:
        return recorded, found

    def chosen(entry: Entry) -> bool:
        name = entry["name"].partition(".")[2]
        if entry["kind"] == "index":
            return any(name.startswith(one + " ") for one in only)
        return name in only

    kept = [one for one in recorded if chosen(one)]  # to its end: how it ended is looked at
    return iter(kept), filter(chosen, found)
