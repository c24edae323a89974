# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of MongoDB without a server: archives followed to their end, and swaps with views."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from lifeboat.errors import SourceAbsent, VerifyError
from lifeboat.inventory import InventoryWriter, read
from lifeboat.model import Command, Swap
from lifeboat.sources.mongodb import session as mongodb_session
from lifeboat.sources.mongodb.archive import Collection, Walk, definition, read_extended
from lifeboat.sources.mongodb.dump import parts
from lifeboat.sources.mongodb.restore import NEVER, load, make_indexes
from lifeboat.sources.mongodb.session import CommandRefused
from lifeboat.sources.mongodb.swap import Room

from tests.unit.contracts.source_contract import FilePlain

END = b"\xff\xff\xff\xff"


def document(**fields: Any) -> bytes:
    content = b""
    for name, value in fields.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            content += b"\x08" + key + bytes([value])
        elif isinstance(value, int):
            content += b"\x12" + key + struct.pack("<q", value)
        else:
            text = value.encode() + b"\0"
            content += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(content) + 5) + content + b"\0"


def announced(db: str, collection: str, kind: str = "", *indexes: str) -> bytes:
    metadata = json.dumps({"indexes": [{"name": one} for one in indexes]})
    return document(db=db, collection=collection, metadata=metadata, size=0, type=kind)


def segment(db: str, collection: str, *documents: bytes) -> bytes:
    return document(db=db, collection=collection, EOF=False, CRC=0) + b"".join(documents) + END


def ended(db: str, collection: str) -> bytes:
    return document(db=db, collection=collection, EOF=True, CRC=7) + END


BOOK = [document(title="x" * size) for size in (0, 1, 300, 5000)]
ARCHIVE = b"".join(
    [
        b"\x6d\xe2\x99\x81",
        document(concurrent_collections=4, version="0.1", server_version="7.0.1", tool_version="1"),
        announced("shop", "book", "", "_id_", "by title"),
        announced("shop", "empty", "", "_id_"),
        announced("shop", "recent", "view"),
        announced("shop", "weather", "timeseries"),
        announced("shop", "lifeboat-t0k3n-old-book"),
        announced("shop", "$admin.system.users"),
        announced("admin", "system.users"),
        END,
        segment("shop", "book", *BOOK[:2]),
        segment("shop", "system.buckets.weather", BOOK[0]),
        ended("shop", "empty"),
        segment("shop", "book", *BOOK[2:]),
        ended("shop", "book"),
        ended("shop", "recent"),
        ended("shop", "system.buckets.weather"),
        ended("shop", "lifeboat-t0k3n-old-book"),
        segment("", "oplog", BOOK[0]),
        ended("", "oplog"),
    ]
)


def walked(content: bytes, block: int = 1 << 20) -> Walk:
    walk = Walk()
    for start in range(0, len(content), block):
        walk(content[start : start + block])
    return walk


@pytest.mark.parametrize("block", [1, 3, 4, 5, 100, 4096, 1 << 20])
def test_an_archive_is_counted_however_its_blocks_fall(block, tmp_path):
    walk = walked(ARCHIVE, block)
    assert walk.complaint() == ""
    writer = InventoryWriter(tmp_path / "lines")
    walk.write(writer)
    writer.close()
    with open(tmp_path / "lines", "rb") as lines:
        entries = {(one["kind"], one["name"]): one.get("rows") for one in read(lines)}
    assert entries == {
        ("collection", "shop.book"): 4,
        ("index", "shop.book _id_"): None,
        ("index", "shop.book by title"): None,
        ("collection", "shop.empty"): 0,
        ("index", "shop.empty _id_"): None,
        ("view", "shop.recent"): None,
    }
    assert walk.databases() == ["shop"]
    assert walk.header["server_version"] == "7.0.1"


def test_an_archive_cut_at_any_byte_is_told():
    whole = [cut for cut in range(len(ARCHIVE)) if walked(ARCHIVE[:cut]).complaint() == ""]
    # but for the oplog, at whose borders the rest is whole: mongodump's status and the hash tell
    oplog = len(segment("", "oplog", BOOK[0])) + len(ended("", "oplog"))
    assert whole == [len(ARCHIVE) - oplog]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a mongodump archive"),
        (b"PGDMP" + b"\0" * 100, "not a mongodump archive"),
        (b"\x1f\x8b" + ARCHIVE, "not a mongodump archive"),
        (ARCHIVE + b"\x01\0\0\0", "no valid length"),
        (ARCHIVE[:4] + END, "no valid length"),
        (ARCHIVE.replace(BOOK[1], b"\x02\0\0\0" + BOOK[1][4:]), "no valid length"),
        (ARCHIVE.replace(b"\x02db\0", b"\x01db\0", 1), "another kind"),
    ],
)
def test_what_is_no_archive_is_told(content, told):
    assert told in walked(content).complaint()


def test_parts_name_each_database_and_never_clash():
    assert parts(()) == {"instance": ""}
    assert parts(("Shop!",)) == {"database": "Shop!"}
    assert list(parts(("a!", "a?", "ü"))) == ["database-1-a", "database-2-a", "database-3"]


# -- swaps with views: FerretDB has none, so a server in memory stands for one


class Killed(Exception):
    pass


class Memory:
    """The few commands that a swap asks, on names; `ends` commands that change anything, then Killed."""

    def __init__(self, **holds: Any) -> None:
        self.holds: dict[str, Any] = dict(holds)  # name -> ("view", options) or anything
        self.noted: Any = None
        self.expiring: dict[str, Any] = {}
        self.asked: list[Mapping[str, Any]] = []
        self.ends = 10**6

    def collections(self, _database: str) -> Mapping[str, Any]:
        return {
            name: {"type": "view", "options": what[1]}
            if isinstance(what, tuple)
            else {"type": "collection"}
            for name, what in self.holds.items()
        }

    def rows(self, _database: str, _command: Mapping[str, Any]) -> list[Any]:
        return [one for one in (self.noted, *self.expiring.values()) if one]

    def ask(self, _database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(command)
        if "find" in command:
            return {"cursor": {"firstBatch": [self.noted] if self.noted else []}}
        if self.ends == 0:
            raise Killed
        self.ends -= 1
        if "insert" in command:
            self.noted = command["documents"][0]
        elif "update" in command:
            one = command["updates"][0]["u"]
            self.expiring[one["_id"]] = one
        elif "renameCollection" in command:
            name, to = (command[key].split(".", 1)[1] for key in ("renameCollection", "to"))
            assert to not in self.holds
            self.holds[to] = self.holds.pop(name)
        elif "create" in command:
            options = {key: command[key] for key in command if key != "create"}
            self.holds[command["create"]] = ("view", options)
        elif "drop" in command:
            if command["drop"] == "state":
                self.noted, self.expiring = None, {}
            elif self.holds.pop(command["drop"], None) is None:
                raise CommandRefused("ns not found", 26)
        return {}


def view(of: str) -> tuple[str, dict[str, Any]]:
    return ("view", {"viewOn": of, "pipeline": []})


OLD = {"a": 1, "same": view("a"), "other": view("old"), "gone": view("a"), "lost": 2}
NEW = {"a": 3, "same": view("a"), "other": view("new"), "made": view("a"), "b": 4}


def room() -> Room:
    memory: Any = Memory(**OLD, **{"lifeboat-t-new-" + name: what for name, what in NEW.items()})
    return Room(memory, "shop", "lifeboat-t-new-", "lifeboat-t-old-", "state")


def there(room: Room) -> dict[str, Any]:
    holds: dict[str, Any] = room.session.holds  # type: ignore[attr-defined]
    return {name: what for name, what in holds.items() if not name.startswith("lifeboat-")}


@pytest.mark.parametrize("moment", range(20))
@pytest.mark.parametrize("then", ["swap", "back"])
def test_a_swap_with_views_killed_at_any_command_is_completed_or_taken_back(moment, then):
    swapping = room()
    memory: Any = swapping.session
    memory.ends = moment
    try:
        swapping.swap()
    except Killed:
        pass
    memory.ends = 10**6
    getattr(swapping, then)()
    assert there(swapping) == (NEW if then == "swap" else OLD)
    assert swapping.swapped() == (then == "swap")
    swapping.discard()
    assert memory.holds == (NEW if then == "swap" else OLD)
    assert memory.noted is None


@pytest.mark.parametrize("moment", range(20))
def test_a_swap_with_views_that_was_completed_later_can_be_undone(moment):
    swapping = room()
    memory: Any = swapping.session
    memory.ends = moment
    try:
        swapping.swap()
    except Killed:
        pass
    memory.ends = 10**6
    swapping.swap()
    swapping.back()
    assert there(swapping) == OLD


@pytest.mark.parametrize("moment", range(20))
def test_an_undo_with_views_killed_at_any_command_is_completed(moment):
    swapping = room()
    memory: Any = swapping.session
    swapping.swap()
    memory.ends = moment
    try:
        swapping.back()
    except Killed:
        pass
    memory.ends = 10**6
    swapping.back()
    assert there(swapping) == OLD
    swapping.discard()
    assert memory.holds == OLD


# -- indexes


def test_nothing_expires_before_it_is_swapped_in():
    """Or documents of an old backup would be gone before they are counted."""
    swapping = room()
    memory: Any = swapping.session
    index = {"name": "seen_1", "key": {"seen": {"$numberInt": "1"}}, "expireAfterSeconds": 3600}
    metadata = json.dumps({"indexes": [index, {"name": "x_1", "key": {"x": 1}, "ns": "shop.b"}]})
    make_indexes(swapping, Collection("shop", "b", "", metadata))
    made = next(one for one in memory.asked if "createIndexes" in one)["indexes"]
    assert made == [
        {"name": "seen_1", "key": {"seen": 1}, "expireAfterSeconds": NEVER},
        {"name": "x_1", "key": {"x": 1}},
    ]
    assert not any("collMod" in one for one in memory.asked)
    swapping.swap()
    done = [one for one in memory.asked if "collMod" in one or "renameCollection" in one]
    at = done.index(
        {
            "collMod": "lifeboat-t-new-b",
            "index": {"name": "seen_1", "expireAfterSeconds": 3600},
        }
    )
    assert at < done.index({"renameCollection": "shop.lifeboat-t-new-b", "to": "shop.b"})
    swapping.back()
    swapping.discard()
    assert memory.expiring == {}
    assert memory.holds == OLD


def test_an_index_without_the_collation_of_its_collection_is_made_without():
    swapping = room()
    told = {"options": {"collation": {"locale": "de"}}, "indexes": [{"name": "x", "key": {"x": 1}}]}
    make_indexes(swapping, Collection("shop", "b", "", json.dumps(told)))
    asked: Any = swapping.session
    assert asked.asked[-1]["indexes"][0]["collation"] == {"locale": "simple"}


@pytest.mark.parametrize(
    "other",
    [
        {"key": {"b": 1, "a": 1}, "unique": True},
        {"key": {"a": 1, "b": -1}, "unique": True},
        {"key": {"a": 1, "b": 1}},
        {"key": {"a": 1, "b": 1}, "unique": True, "sparse": True},
        {"key": {"a": 1, "b": 1}, "unique": True, "expireAfterSeconds": 1},
        {"key": {"a": 1, "b": 1}, "unique": True, "collation": {"locale": "de"}},
        {"key": {"a": 1, "b": 1}, "unique": True, "partialFilterExpression": {"a": 1}},
        {"key": {"a": 1, "b": 1}, "unique": True, "capped": True},
        {"key": {"a": 1, "b": 1}, "unique": True, "validator": {"a": {"$exists": True}}},
    ],
)
def test_another_definition_is_another_and_a_servers_own_additions_are_none(other):
    whole = {"v": 2, "key": {"a": 1.0, "b": 1}, "unique": True, "sparse": False, "ns": "shop.b"}
    archived = {"key": {"a": {"$numberInt": "1"}, "b": {"$numberInt": "1"}}, "unique": True}
    assert definition(whole) == definition(read_extended(archived))
    assert definition(other) != definition(whole)


def test_where_nothing_listens_the_source_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb_session, "ANSWER_MS", 1500)
    nobody = {"host": "127.0.0.1", "port": 1}
    with (
        mongodb_session.connected("events", "127.0.0.1:1", **nobody) as session,
        pytest.raises(SourceAbsent, match="does not answer"),
    ):
        session.ask("admin", {"ping": 1})


@pytest.mark.parametrize("wrong", [ARCHIVE[:-30], ARCHIVE[:400] + b"\xfe" * 40 + ARCHIVE[440:]])
def test_mongorestore_never_sees_the_end_of_an_archive_that_is_not_whole(wrong, tmp_path):
    """It writes down whether it saw one; it is killed instead."""
    script = tmp_path / "mongorestore"
    script.write_text(f"#!/bin/sh\ncat >{tmp_path}/came\necho yes >{tmp_path}/ended\n")
    script.chmod(0o755)
    swap = Swap("docs", "shop", "s-", "k-", False, {"databases": {"shop": "shop"}, "state": "s"})

    def restored(content: bytes) -> bool:
        (tmp_path / "archive").write_bytes(content)
        plain = FilePlain("database", "mongodump", tmp_path / "archive")
        load("docs", plain, lambda *_w: Command((str(script),)), swap, {"shop": room()})
        return (tmp_path / "ended").exists()

    with pytest.raises(VerifyError, match="mongodump archive"):
        restored(wrong)
    assert not (tmp_path / "ended").exists()
    assert restored(ARCHIVE)
    assert (tmp_path / "came").read_bytes() == ARCHIVE
