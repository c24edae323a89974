# SPDX-License-Identifier: GPL-3.0-or-later
"""What restores of some tables alone have in common: where they go, and what of them is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import SourceError, UsageError
from ..inventory import Entry

_SHOWN = 20  # names


def refuse_merge(source: str, merge: bool) -> None:
    """Raises UsageError."""
    if merge:
        raise UsageError(
            f"source {source}: --merge is for files",
            hint="bring a table's rows beside (--into NAME), and take from there what you want",
        )


def refusals(only: Sequence[str], into: str | None, exists: bool) -> list[str]:
    """Why these tables alone are not restored there; [] = they can be."""
    if only and into is None:
        return [
            "tables alone are not put in place of others: bring them beside with --into NAME, "
            "and take their rows from there"
        ]
    if only and exists:
        return ["tables alone come into a new database: this one is there"]
    return []


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
