# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore does in a MongoDB server: which names it may take, how it loads, indexes and counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...inventory import InventoryWriter
from .archive import OURS, SYSTEM, Collection, definition, read_extended
from .chosen import patterns
from .session import CommandRefused, Session
from .swap import Room

# By servers on some system, or by patterns of the tools.
_FORBIDDEN = re.compile(r'[/\\. "$*<>:|?\0]')
NEVER = (1 << 31) - 1  # seconds: the most that a TTL index takes, 68 years
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


def mapping(names: Mapping[str, str], side: str, only: Sequence[str]) -> tuple[str, ...]:
    """Words for mongorestore: these databases only, of them the collections `only` or all, beside what is
    there. Indexes are made apart."""
    words: tuple[str, ...] = (
        "--archive",
        "--stopOnError",
        "--noIndexRestore",
        "--bypassDocumentValidation",  # what a rule was made for later was there all the same
    )
    for database, target in names.items():
        words += tuple("--nsInclude=" + one for one in patterns(database, only))
        words += (
            f"--nsExclude={database}.system.*",
            f"--nsExclude={database}.{OURS}*",
            f"--nsFrom={database}.*",
            f"--nsTo={target}.{side}*",
        )
    return words


def make_indexes(room: Room, collection: Collection) -> None:
    """Make the indexes of one restored collection, as its archive describes them.

    Not by mongorestore, which adds the namespace to each: other servers than MongoDB's refuse that,
    and `v`; which version of its own index it makes is the server's to choose. Nothing expires before
    it was compared: the swap sets when (`Room.swap`).
    """
    wanted = []
    expiring = []
    for one in collection.indexes:
        if one["name"] != "_id_" and not one.get("clustered"):
            made = read_extended(one)
            wanted.append({key: made[key] for key in made if key not in ("ns", "v")})
            if collection.options.get("collation"):  # or it would get this one
                wanted[-1].setdefault("collation", {"locale": "simple"})
            if "expireAfterSeconds" in made:
                expiring.append({key: made[key] for key in ("name", "expireAfterSeconds")})
                wanted[-1]["expireAfterSeconds"] = NEVER
    if expiring:
        room.note_expiring(collection.name, expiring)
    if wanted:
        name = room.side + collection.name
        room.session.ask(room.database, {"createIndexes": name, "indexes": wanted})


def count(
    session: Session,
    database: str,
    name: str,
    told: Mapping[str, Any],
    plain: str,
    writer: InventoryWriter,
    pages: bool,
) -> None:
    """Write down what is there. `pages`: see server.counts_pages."""
    if told.get("type") == "view":
        writer.add("view", plain)
        return
    rows = (count_by_pages if pages else count_by_reading)(session, database, name)
    made = definition(told.get("options") or {})
    writer.add("collection", plain, rows=rows, definition=made)
    for one in session.rows(database, {"listIndexes": name}):
        writer.add("index", f"{plain} {one['name']}", definition=definition(one))


def count_by_reading(session: Session, database: str, name: str) -> int:
    """Of documents: by the server, but not from its statistics, which may be off."""
    counting = {"aggregate": name, "pipeline": [{"$count": "rows"}], "cursor": {}}
    return int(next(iter(session.rows(database, counting)), {"rows": 0})["rows"])


def count_by_pages(session: Session, database: str, name: str) -> int:
    """The same where `counts_pages`, without a document being built: a thirtieth of the time."""
    try:
        return int(session.ask(database, {"collStats": name})["count"])
    except CommandRefused:  # FerretDB does not find the pages of a name with a backslash
        return count_by_reading(session, database, name)
