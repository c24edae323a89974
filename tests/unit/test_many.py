# SPDX-License-Identifier: GPL-3.0-or-later
"""Many backups take little memory each, and one is found without listing the others."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError
from lifeboat.job import Job
from lifeboat.naming import backup_id, catalog_prefix, manifest_key, mark_key
from lifeboat.operations.copies import catalog
from lifeboat.stored import Mark, Stored

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
MANY = 5000
BYTES_EACH = 700  # of 100,000 that is 70 MB beside Python and what it has loaded


class Names:
    """A destination of names alone."""

    kind, options, name = "names", (), "names"

    def list(self, prefix: str) -> Iterator[Stored]:
        for back in range(MANY):
            at = NOW - timedelta(hours=back)
            id_ = backup_id(at, "hourly", "%04x" % back)
            for key in (
                manifest_key("h1", "shop", id_),
                mark_key("h1", "shop", id_, Mark("intact", at)),
            ):
                if key.startswith(prefix):
                    yield Stored(key, 0, at)


def peak(act: Callable[[], Any]) -> int:
    """The bytes that were held at once while it was done."""
    tracemalloc.start()
    try:
        held = act()
        return tracemalloc.get_traced_memory()[1] + 0 * len(held)
    finally:
        tracemalloc.stop()


def test_a_backup_takes_less_than_700_bytes_while_all_are_listed() -> None:
    place: Any = Names()
    job = Job("shop", "h1", "production", (), (), (place,))
    assert peak(lambda: catalog.holdings(job, "h1")[0]) < MANY * BYTES_EACH


def test_of_a_directory_no_more_is_held_than_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "catalog/h1/shop"
    folder.mkdir(parents=True)
    for number in range(MANY):
        (folder / f"{number:040}").touch()
    place = Local("disk", str(tmp_path))
    assert peak(lambda: [sum(1 for _one in place.list("catalog/h1/shop/"))]) < MANY * 250


def test_one_backup_is_found_without_listing_the_others() -> None:
    asked: list[str] = []

    class Listening(Names):
        def list(self, prefix: str) -> Iterator[Stored]:
            asked.append(prefix)
            return super().list(prefix)

    place: Any = Listening()
    id_ = backup_id(NOW - timedelta(hours=7), "hourly", "0007")
    found = catalog.copy_at(place, "h1", "shop", id_)
    assert (found.id, found.good) == (id_, True)
    assert asked == [catalog_prefix("h1", "shop") + id_ + "."]
    with pytest.raises(DestinationError) as caught:
        catalog.copy_at(place, "h1", "shop", backup_id(NOW, "daily", "0007"))
    assert caught.value.missing


def test_names_that_do_not_begin_so_are_not_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "catalog/h1/shop"
    (folder / "ab").mkdir(parents=True)
    for name in ("aa.json", "ab.json", "ab/inner", "b.json"):
        (folder / name).touch()
    place = Local("disk", str(tmp_path))
    found = [one.key.rpartition("shop/")[2] for one in place.list("catalog/h1/shop/ab")]
    assert found == ["ab.json", "ab/inner"]
