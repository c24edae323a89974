# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at what a MongoDB restore would replace, and find what forbids it. Read only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import SourceError
from .archive import OURS, SYSTEM
from .server import About
from .session import Session

# By servers on some system, or by patterns of the tools.
_FORBIDDEN = re.compile(r'[/\\. "$*<>:|?\0]')
_NAMESPACE_BYTES = 255  # database.collection, from server 4.4; before, it was 120


def unfit(database: str) -> str:
    """Why a text cannot be the name of a database to protect; "" = it can."""
    if not database or len(database.encode("utf-8")) > 63:
        return "is not a database name: one has 1 to 63 bytes"
    if database in SYSTEM:
        return "is the server's own"
    found = _FORBIDDEN.search(database)
    return f"is not a database name: it has {found.group()!r}" if found else ""


def too_long(database: str, names: Sequence[str]) -> list[str]:
    """Collections whose name leaves no room for the prefix that they are kept under."""
    room = _NAMESPACE_BYTES - len(database.encode("utf-8")) - 1 - len(OURS) - len("12345678-old-")
    long = [one for one in names if len(one.encode("utf-8")) > room]
    return (
        [f"the name of the collection {long[0]} is too long to be kept under another"]
        if long
        else []
    )


def destined(
    source: str, named: Sequence[str], held: Sequence[str], into: str | None
) -> dict[str, str]:
    """{database in the backup: where it goes}. `named`: the source's own; `held`: the backup's."""
    if into is None and len(held) == len(named) == 1:
        into = named[0]
    if into is None:
        return {one: one for one in held}
    if len(held) != 1:
        raise SourceError(
            f"source {source}: the backup has {len(held)} databases, which do not go into one",
            hint="restore without another name",
        )
    return {held[0]: into}


def look(
    session: Session, about: About, facts: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[dict[str, int], int, list[str]]:
    """({"collections": .., "rows": ..} that are there, their bytes, why it cannot be, in sentences).

    `facts` are the backup's; `names` is of `destined`.
    """
    refusals = [f"{name!r} {why}" for name in names.values() if (why := unfit(name))]
    if facts.get("timeseries"):
        refusals.append(
            f"the backup has {facts['timeseries']} time-series collections, which a server does not"
            " rename: restore it by hand, as its RESTORE.md says"
        )
    dumped = tuple(int(one) for one in re.findall(r"\d+", facts["server_version"])[:2])
    if about.major < dumped:
        refusals.append(
            f"the server is MongoDB {about.version}, older than the {facts['server_version']}"
            " of the backup"
        )
    totals = {"collections": 0, "rows": 0}
    size = 0
    for name in names.values() if not refusals else ():
        there = session.collections(name)
        found = [one for one in there if not one.startswith(OURS)]
        refusals += [
            f"{name} has the time series {one}, which a server does not rename"
            for one in found
            if there[one].get("type") == "timeseries"
        ]
        totals["collections"] += len(found)
        refusals += too_long(name, found)
        if found:
            told = session.ask(name, {"dbStats": 1})
            totals["rows"] += int(told.get("objects", 0))
            size += int(told.get("dataSize", 0)) + int(told.get("indexSize", 0))
    return totals, size, refusals
