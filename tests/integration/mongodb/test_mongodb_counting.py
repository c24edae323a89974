# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore compares has been counted, and not estimated, also where nothing is read for it."""

from __future__ import annotations

import pytest
from lifeboat.sources.mongodb import counting

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import MONGOD

pytestmark = pytest.mark.skipif(bool(MONGOD), reason="a mongod's collStats is a statistic")


@pytest.fixture
def shop(server):
    """Small documents and some that fill many pages, an index, and holes where others were."""
    with server.client() as client:
        book = client.counted.book
        book.insert_many([{"_id": n, "note": "x" * (n % 7 * 40)} for n in range(3000)])
        book.insert_many([{"_id": 5000 + n, "note": "y" * 60_000} for n in range(20)])
        book.create_index("note")
        book.delete_many({"_id": {"$gte": 1000, "$lt": 1700}})
        client.counted.create_collection("empty")
        client.counted["odd \\ name"].insert_one({"_id": 1})
    yield server.source("counted")
    with server.client() as client:
        for name in ("counted", "counted_new"):
            client.drop_database(name)


def test_pages_hold_as_many_documents_as_are_read(shop, server):
    with shop._server.session() as session:
        assert counting.cheapest(session) is counting.by_pages
        for name, rows in (("book", 2320), ("empty", 0), ("odd \\ name", 1)):
            assert counting.by_reading(session, "counted", name) == rows
            assert counting.by_pages(session, "counted", name) == rows


def test_one_document_too_few_or_too_many_is_a_difference(shop, server, work, tmp_path):
    taken = Taken(shop, work, tmp_path / "store")
    swap = staged(shop, taken, work, "counted_new")
    assert differences(shop, taken, swap, work) == []
    with server.client() as client:
        beside = client.counted_new[swap.side + "book"]
        beside.delete_one({"_id": 2999})
        assert "2319" in str(differences(shop, taken, swap, work))
        beside.insert_many([{"_id": -1}, {"_id": -2}])
        assert "2321" in str(differences(shop, taken, swap, work))
    shop.discard(swap)
