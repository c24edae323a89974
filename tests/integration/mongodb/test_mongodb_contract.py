# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB keeps what every source promises, on a real server and MongoDB's own tools."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Int64, ObjectId, Regex, Timestamp
from lifeboat.errors import SourceError
from lifeboat.sources.mongodb import session as mongodb_session
from lifeboat.sources.mongodb.archive import walk
from lifeboat.sources.mongodb.source import MongoDB
from lifeboat.sources.mongodb.swap import Room

from tests.unit.contracts.source_contract import SourceContract, Taken, differences, staged

from .conftest import Server

HARD = {
    "_id": ObjectId("6560a1b2c3d4e5f601234567"),
    "double": -0.0,
    "huge": 1.7976931348623157e308,
    "text": "ü\0 𝄞 \ufeff",
    "document": {"": {"a": {}}},
    "list": [1, "2", {}, None],
    "binary": Binary(bytes(range(256)), 0),
    "uuid": Binary(b"0123456789abcdef", 4),
    "true": True,
    "nothing": None,
    "date": datetime(1969, 7, 20, 20, 17, tzinfo=timezone.utc),
    "pattern": Regex("^a.*$", "im"),
    "stamp": Timestamp(4294967295, 1),
    "int": -(2**31),
    "long": Int64(2**63 - 1),
}
ODD = ["Ünïcode ÄÖ", "a b;--' % \\ {}", "UPPER", "upper", "x" * 60]


class TestMongoDB(SourceContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: Server) -> Any:
        self.server = server
        yield
        with server.client() as client:
            for name in client.list_database_names():
                if name not in ("admin", "config", "local"):
                    client.drop_database(name)

    def prepare(self, ground: Path) -> None:
        with self.server.client() as client:
            shop = client.shop
            shop.hard.insert_many([HARD, {"_id": 0}, {"_id": "text"}, {"_id": {"a": 1}}])
            shop.book.insert_many([{"_id": one, "title": f"title {one}"} for one in range(500)])
            shop.book.create_index("title", unique=True)
            shop.book.create_index([("title", -1), ("year", 1)], name="by year")
            shop.create_collection("empty")
            for name in ODD:
                shop[name].insert_one({"name": name})

    def make(self, ground: Path) -> MongoDB:
        return self.server.source("shop")

    def change(self, ground: Path) -> None:
        with self.server.client() as client:
            client.shop.book.delete_many({"_id": {"$lt": 100}})
            client.shop.hard.update_one({"_id": 0}, {"$set": {"a": 1}})
            client.shop.drop_collection("empty")
            client.shop.later.insert_one({"a": 1})

    def destroy(self, ground: Path) -> None:
        with self.server.client() as client:
            client.drop_database("shop")

    def look(self, ground: Path) -> Any:
        return look(self.server, "shop")

    def leftovers(self, ground: Path) -> list[str]:
        return leftovers(self.server, "shop")

    # -- what is MongoDB's own

    def test_a_restore_into_another_name_leaves_the_first_alone(self, source, taken, work, ground):
        before = self.look(ground)
        swap = staged(source, taken, work, "shop_copy")
        assert self.look(ground) == before
        source.swap(swap)
        assert self.look(ground) == before
        assert look(self.server, "shop_copy") == before
        source.discard(swap)
        assert leftovers(self.server, "shop_copy") == []

    def test_a_backup_has_nothing_of_what_a_restore_keeps(
        self, source, taken, work, ground, tmp_path
    ):
        source.swap(staged(source, taken, work))
        again = Taken(source, work, tmp_path / "again")
        assert again.record.inventory_digest == taken.record.inventory_digest
        with open(again.plains["database"].path, "rb") as archive:
            names = [one.name for one in walk(archive).collections]
        assert not [one for one in names if one.startswith("lifeboat-")]

    def test_counts_are_those_of_the_archive(self, taken):
        rows = {one["name"]: one["rows"] for one in taken.entries if one["kind"] == "collection"}
        assert rows["shop.book"] == 500
        assert rows["shop.empty"] == 0
        assert len(rows) == 3 + len(ODD)
        indexes = {one["name"] for one in taken.entries if one["kind"] == "index"}
        assert {"shop.book title_1", "shop.book by year", "shop.book _id_"} <= indexes
        assert taken.record.totals["indexes"] == len(indexes)

    def test_an_index_that_is_not_as_it_was_is_a_difference(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        with self.server.client() as client:
            new = client.shop["lifeboat-t0k3n-new-book"]
            new.drop_index("title_1")
            new.create_index("title")
        told = differences(source, taken, swap, work)
        assert len(told) == 1
        assert "index shop.book title_1: definition is" in told[0]

    def test_that_it_is_not_one_instant_is_said(self, taken):
        assert taken.record.facts["consistency"] == "none"
        assert any("different moments" in one for one in taken.warnings)

    def test_a_missing_archive_is_told_before_anything_is_restored(
        self, source, taken, work, ground
    ):
        taken.record.facts["parts"]["database-2"] = "crm"
        with pytest.raises(Exception, match="database-2 is missing"):
            staged(source, taken, work)
        assert self.leftovers(ground) == []

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
    def test_an_archive_cut_anywhere_is_told(self, source, taken, work, share):
        size = taken.plains["database"].path.stat().st_size
        os.truncate(taken.plains["database"].path, int(size * share))
        with pytest.raises(Exception, match=r"cut off"):
            source.check_content(taken.plains, work)

    def test_an_archive_of_another_kind_is_told_and_nothing_is_touched(
        self, source, taken, work, ground
    ):
        before = self.look(ground)
        taken.plains["database"].path.write_bytes(b"PGDMP" + b"\0" * 5000)
        with pytest.raises(Exception, match="not a mongodump archive"):
            staged(source, taken, work)
        assert self.look(ground) == before
        assert self.leftovers(ground) == []

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    @pytest.mark.parametrize(
        ("first", "then"), [("swap", "swap"), ("swap", "back"), ("back", "back")]
    )
    def test_a_kill_before_any_command_leaves_the_old_or_the_new_state(
        self, source, taken, work, ground, first, then
    ):
        new = self.look(ground)
        self.change(ground)
        old = self.look(ground)
        swap = staged(source, taken, work)
        killed = 0
        for moment in range(80):
            getattr(source, "back" if first == "swap" else "swap")(swap)
            if not _killed(moment, lambda: getattr(source, first)(swap)):
                break
            killed += 1
            getattr(source, then)(swap)
            assert source.swapped(swap) == (then == "swap")
            assert self.look(ground) == (new if then == "swap" else old)
        assert killed > 10
        source.discard(swap)
        assert self.leftovers(ground) == []

    @pytest.mark.parametrize("gone", ["old-book", "state"])
    def test_an_undo_without_what_was_kept_is_refused(self, source, taken, work, ground, gone):
        self.change(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        new = self.look(ground)
        assert source.undoing(swap) == swap
        with self.server.client() as client:
            names = client.shop.list_collection_names()
            kept = [one for one in names if one.startswith("lifeboat-")]
            (name,) = (one for one in kept if one.endswith(gone))
            client.shop.drop_collection(name)
        with pytest.raises(SourceError, match="not kept any more, so nothing was undone"):
            source.undoing(swap)
        assert self.look(ground) == new

    def test_what_an_application_makes_after_the_swap_is_not_lost_by_an_undo(
        self, source, taken, work, ground
    ):
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        with self.server.client() as client:
            client.shop.later.insert_one({"made": "after the swap"})
        source.back(swap)
        assert self.look(ground) == changed
        with self.server.client() as client:
            kept = [one for one in client.shop.list_collection_names() if one.endswith("app-later")]
            assert len(kept) == 1
            source.discard(swap)
            assert client.shop[kept[0]].find_one()["made"] == "after the swap"

    def test_what_an_application_makes_in_the_middle_is_put_aside_and_told(
        self, source, taken, work, ground, monkeypatch
    ):
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        move = Room._move

        def interrupted(room: Room, name: str, to: str, view: Any) -> None:
            move(room, name, to, view)
            if name == "book" or to == "lifeboat-t0k3n-app-book":  # it writes on and on
                with self.server.client() as client:
                    client.shop.book.insert_one({"_id": "app"})
                    monkeypatch.undo() if to != "lifeboat-t0k3n-old-book" else None

        monkeypatch.setattr(Room, "_move", interrupted)
        with pytest.raises(SourceError, match=r"shop\.book was made anew") as told:
            source.swap(swap)
        assert "lifeboat-t0k3n-app-book" in told.value.hint
        source.back(swap)
        assert not source.swapped(swap)
        source.discard(swap)
        assert self.look(ground) == changed
        with self.server.client() as client:
            for name in ("lifeboat-t0k3n-app-book", "lifeboat-t0k3n-ap2-book"):
                assert [one["_id"] for one in client.shop[name].find()] == ["app"]
        assert len(self.leftovers(ground)) == 2

    def test_a_swap_that_failed_leaves_nothing_half_done_where_an_application_never_stops(
        self, source, taken, work, ground, monkeypatch
    ):
        swap = staged(source, taken, work)
        move = Room._move

        def interrupted(room: Room, name: str, to: str, view: Any) -> None:
            move(room, name, to, view)
            if name == "book":
                with self.server.client() as client:
                    client.shop.book.insert_one({"_id": "app"})

        before = self.look(ground)
        monkeypatch.setattr(Room, "_move", interrupted)
        with pytest.raises(SourceError, match="made anew"):
            source.swap(swap)
        with pytest.raises(SourceError, match="again and again") as told:
            source.back(swap)
        assert "recover" in told.value.hint
        monkeypatch.undo()
        with self.server.client() as client:
            client.shop.drop_collection("lifeboat-t0k3n-app-book")
        source.back(swap)
        assert self.look(ground) == before

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    def test_a_discard_refuses_while_anything_kept_is_not_back(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        _killed(12, lambda: source.swap(swap))
        with pytest.raises(Exception, match="not removed"):
            source.discard(swap)
        source.back(swap)
        source.discard(swap)
        assert self.leftovers(ground) == []


class TestAllDatabases(SourceContract):
    """No database named: one archive of all, without the server's own; restored in one go."""

    _server = TestMongoDB._server

    def prepare(self, ground: Path) -> None:
        with self.server.client() as client:
            for name in ("shop", "crm", "Big-One"):
                client[name].book.insert_many([{"_id": one, "in": name} for one in range(100)])
                client[name].book.create_index("in")
            client.crm.people.insert_one(HARD)

    def make(self, ground: Path) -> MongoDB:
        return self.server.source()

    def change(self, ground: Path) -> None:
        with self.server.client() as client:
            client.shop.book.delete_one({"_id": 1})
            client.crm.drop_collection("people")
            client.crm.firms.insert_one({})

    def destroy(self, ground: Path) -> None:
        with self.server.client() as client:
            for name in ("shop", "crm", "Big-One"):
                client.drop_database(name)

    def look(self, ground: Path) -> Any:
        return {name: look(self.server, name) for name in ("shop", "crm", "Big-One")}

    def leftovers(self, ground: Path) -> list[str]:
        return [one for name in self.look(ground) for one in leftovers(self.server, name)]

    def test_the_servers_own_databases_are_not_touched(self, source, ground, work, tmp_path):
        with self.server.client() as client:
            client.admin.own.insert_one({"_id": 1, "at": "dump"})
            taken = Taken(source, work, tmp_path / "store")
            client.admin.own.update_one({"_id": 1}, {"$set": {"at": "restore"}})
            swap = staged(source, taken, work)
            source.swap(swap)
            assert client.admin.own.find_one() == {"_id": 1, "at": "restore"}
            client.admin.drop_collection("own")

    def test_a_database_made_since_is_not_touched(self, source, taken, work, ground):
        with self.server.client() as client:
            client.later.x.insert_one({"_id": 1})
        swap = staged(source, taken, work)
        source.swap(swap)
        assert look(self.server, "later")["x"][0] == [repr({"_id": 1})]


class TestSeveralDatabases:
    """Each in an archive of its own."""

    _server = TestMongoDB._server

    def test_each_comes_back_from_an_archive_of_its_own(self, work, tmp_path):
        names = ("shop", "crm", "Big-One")
        with self.server.client() as client:
            for name in names:
                client[name].book.insert_many([{"_id": one, "in": name} for one in range(100)])
        before = [look(self.server, name) for name in names]
        source = self.server.source(*names)
        taken = Taken(source, work, tmp_path / "store")
        parts = taken.record.facts["parts"]
        assert parts == {
            "database-1-shop": "shop",
            "database-2-crm": "crm",
            "database-3-big-one": "Big-One",
        }
        assert set(parts) <= set(taken.plains)
        with self.server.client() as client:
            client.drop_database("shop")
            client.crm.book.delete_one({"_id": 1})
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert [look(self.server, name) for name in names] == before
        source.back(swap)
        assert look(self.server, "shop") == {}
        source.discard(swap)
        assert [leftovers(self.server, name) for name in names] == [[], [], []]


def look(server: Server, database: str) -> dict[str, Any]:
    """What an application sees: documents as they are written, indexes by name."""
    with server.client() as client:
        found = client[database]
        return {
            name: (
                sorted(repr(one) for one in found[name].find()),
                {one["name"]: repr(one["key"].to_dict()) for one in found[name].list_indexes()},
            )
            for name in found.list_collection_names()
            if not name.startswith("lifeboat-")
        }


def leftovers(server: Server, database: str) -> list[str]:
    with server.client() as client:
        return [
            one for one in client[database].list_collection_names() if one.startswith("lifeboat-")
        ]


def _killed(moment: int, action: Any) -> bool:
    """Run `action` in a child that is killed before its command number `moment`; False = it ended first."""
    child = os.fork()
    if child == 0:
        seen = 0
        ask = mongodb_session.Session.ask

        def counted(self: Any, database: str, command: Any) -> Any:
            nonlocal seen
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            return ask(self, database, command)

        status = 1
        try:
            mongodb_session.Session.ask = counted
            action()
            status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the step itself failed"
    return status == signal.SIGKILL
