# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore does in a MongoDB server: how it loads, indexes and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO

from ...errors import VerifyError
from ...inventory import InventoryWriter
from ...model import Command, Swap
from ...pipeline import pour
from ...ports import Plain
from . import counting
from .archive import OURS, Collection, Walk, definition, passing, read_extended, walk
from .chosen import of_them, patterns
from .session import Session
from .swap import Room

NEVER = (1 << 31) - 1  # seconds: the most that a TTL index takes, 68 years


def read(source: str, plain: Plain) -> Walk:
    """What an archive holds; raises VerifyError unless it is whole."""
    walked: Walk = plain.read(walk)
    _require_whole(source, plain, walked)
    return walked


def _require_whole(source: str, plain: Plain, walked: Walk) -> None:
    complaint = walked.complaint()
    if complaint:
        raise VerifyError(f"source {source}: the archive {plain.part}: {complaint}")


def load(
    source: str,
    plain: Plain,
    mongorestore: Callable[..., Command],
    swap: Swap,
    rooms: Mapping[str, Room],
) -> None:
    """Bring one archive beside what is there. `mongorestore`: the program with the words it is given.

    It is decoded once: judged while it passes by, and mongorestore sees its end only if it is whole.
    """
    names: Mapping[str, str] = swap.note["databases"]
    only: Sequence[str] = swap.note.get("only", ())
    chosen: dict[str, list[Collection]] = {}

    def into_server(stream: BinaryIO) -> None:
        walked = Walk()

        def whole() -> Iterator[bytes]:
            yield from passing(stream, walked)
            _require_whole(source, plain, walked)

        blocks, first = whole(), []
        for block in blocks:
            first.append(block)
            if walked.announced:
                break
        held = [one for one in walked.databases() if one in names]
        if not held:
            wanted = ", ".join(sorted(names))
            raise VerifyError(f"source {source}: the archive {plain.part} has none of {wanted}")
        chosen.update({one: of_them(source, only, walked.ours(one)) for one in held})
        mapping = _mapping({one: names[one] for one in held}, swap.side, only)
        pour(chain(first, blocks), mongorestore(*mapping))

    plain.read(into_server)
    for database, collections in chosen.items():
        for one in collections:
            make_indexes(rooms[names[database]], one)


def _mapping(names: Mapping[str, str], side: str, only: Sequence[str]) -> tuple[str, ...]:
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


def count(session: Session, swap: Swap, writer: InventoryWriter) -> None:
    """Write down what lies beside, under the names of the backup."""
    counted = counting.cheapest(session)
    for origin, database in swap.note["databases"].items():
        for name, told in session.collections(database).items():
            if not name.startswith(swap.side):
                continue
            plain = f"{origin}.{name[len(swap.side) :]}"
            if told.get("type") == "view":
                writer.add("view", plain)
                continue
            rows = counted(session, database, name)
            made = definition(told.get("options") or {})
            writer.add("collection", plain, rows=rows, definition=made)
            for one in session.rows(database, {"listIndexes": name}):
                writer.add("index", f"{plain} {one['name']}", definition=definition(one))
