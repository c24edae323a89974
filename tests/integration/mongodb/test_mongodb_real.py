# SPDX-License-Identifier: GPL-3.0-or-later
"""What FerretDB has not: views, time series, an oplog, users. Only where there is a real mongod."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import MONGOD, Server
from .test_mongodb_contract import leftovers

pytestmark = pytest.mark.skipif(not MONGOD, reason="no mongod here: see LIFEBOAT_TEST_MONGOD")


@pytest.fixture(scope="module")
def replica(make_server: Callable[..., Server]) -> Server:
    server = make_server("rs0")
    with server.client() as client:
        client.shop.book.insert_many([{"_id": one} for one in range(100)])
        client.shop.command("create", "recent", viewOn="book", pipeline=[{"$match": {"_id": 7}}])
        client.admin.command("createUser", "clerk", pwd="x", roles=["read"])
    return server


def views(server: Server) -> dict[str, list[int]]:
    with server.client() as client:
        return {
            one["name"]: [row["_id"] for row in client.shop[one["name"]].find()]
            for one in client.shop.list_collections(filter={"type": "view"})
        }


def test_all_databases_of_a_replica_set_are_one_instant(replica, work, tmp_path):
    source = replica.source()
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.facts["consistency"] == "oplog"
    assert taken.warnings == []
    source.check_content(taken.plains, work)
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.discard(swap)
    assert leftovers(replica, "shop") == []


def test_a_view_is_swapped_and_taken_back(replica, work, tmp_path):
    source = replica.source("shop")
    taken = Taken(source, work, tmp_path / "store")
    before = views(replica)
    with replica.client() as client:
        client.shop.drop_collection("recent")
        client.shop.command("create", "recent", viewOn="book", pipeline=[{"$match": {"_id": 8}}])
        client.shop.command("create", "later", viewOn="book", pipeline=[])
    changed = views(replica)
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert {name: rows for name, rows in views(replica).items() if "-" not in name} == before
    source.back(swap)
    assert {name: rows for name, rows in views(replica).items() if "-" not in name} == changed
    source.discard(swap)
    assert leftovers(replica, "shop") == []


def test_time_series_are_dumped_and_refused(replica, work, tmp_path):
    with replica.client() as client:
        client.ticks.create_collection("price", timeseries={"timeField": "at"})
        client.ticks.price.insert_one({"at": datetime(2026, 1, 1, tzinfo=timezone.utc), "n": 1})
    source = replica.source("ticks")
    taken = Taken(source, work, tmp_path / "store")
    assert any("time-series" in one for one in taken.warnings)
    assert any("time-series" in one for one in source.target(taken.record, None).refusals)
    plain = Taken(replica.source("shop"), work, tmp_path / "plain")
    into = replica.source("shop").target(plain.record, "ticks")
    assert any("time series price" in one for one in into.refusals)
