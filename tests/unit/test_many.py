# SPDX-License-Identifier: GPL-3.0-or-later
"""Many backups take little memory each, and one is found without listing the others."""

from __future__ import annotations

import gc
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from lifeboat.cli import prune as prune_door
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError
from lifeboat.job import Job
from lifeboat.manifest import encode
from lifeboat.model import Archive, Manifest, SourceRecord
from lifeboat.naming import (
    archive_key,
    backup_id,
    catalog_prefix,
    manifest_key,
    mark_key,
    parse_id,
)
from lifeboat.operations.backup.replicate import Transfer, replicate
from lifeboat.operations.copies import catalog
from lifeboat.operations.standing import status
from lifeboat.operations.upkeep import prune, rekey, verify
from lifeboat.operations.upkeep.mending import mend
from lifeboat.operations.watching import observe
from lifeboat.policy import Keep
from lifeboat.stored import Mark, Stored

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
MANY = 1000
DIGEST = hashlib.sha256(b"x").hexdigest()
MORE = 180  # bytes of a backup at one more destination: of 100,000 that is 18 MB
KEEP = Keep(last=3, hourly=48, daily=7, weekly=4, monthly=12, yearly=3)


def manifest_of(id_: str) -> Manifest:
    at, type_ = parse_id(id_)
    source = SourceRecord("db", "sqlite", "good")
    when = (type_, "production", at, at, "lifeboat 0.1.0", True)
    return Manifest(id_, "h1", "shop", *when, (source,), ())


IDS = [backup_id(NOW - timedelta(hours=back), "hourly", "%04x" % back) for back in range(MANY)]
DOCUMENTS = {manifest_key("h1", "shop", id_): encode(manifest_of(id_)) for id_ in IDS}
MARKS = [mark_key("h1", "shop", id_, Mark("intact", parse_id(id_)[0])) for id_ in IDS]


class Names:
    """A destination of names, and of manifests without archives."""

    kind, options = "names", ()

    def __init__(self, name: str = "names") -> None:
        self.name = name

    def open(self, key: str) -> BytesIO:
        return BytesIO(DOCUMENTS[key])

    def put(self, key: str, content: bytes) -> None:
        """Whatever is said of a backup."""

    def list(self, prefix: str) -> Iterator[Stored]:
        for key in chain(DOCUMENTS, MARKS):
            if key.startswith(prefix):
                yield Stored("".join(key), 0, NOW)


def peak(act: Callable[[], Any]) -> int:
    """The bytes that were held at once while it was done.

    It is done once before, for what is loaded with the first use is not held for each backup; and what
    Python kept of freed values to use again is given up, for such memory would not be counted.
    """
    act()
    gc.collect()
    tracemalloc.start()
    try:
        held = act()
        return tracemalloc.get_traced_memory()[1] + 0 * len(held)
    finally:
        tracemalloc.stop()


def job_at(*names: str, filters: tuple[Any, ...] = ()) -> Job:
    places: Any = tuple(map(Names, names))
    return Job("shop", "h1", "production", (), filters, places, keep=KEEP, prunes=names)


def bounded(act: Callable[[Job], Any], each: int, more: int = MORE) -> None:
    """Whether a backup at one destination takes no more than `each` bytes, and `more` at each other one."""
    assert peak(lambda: act(job_at("a"))) < MANY * each
    assert peak(lambda: act(job_at("a", "b"))) < MANY * (each + more)


def test_a_backup_takes_little_while_all_are_listed() -> None:
    bounded(lambda job: catalog.holdings(job, "h1")[0], 420)


def test_copies_are_made_of_one_destination_at_a_time_to_say_how_a_job_stands() -> None:
    bounded(lambda job: status.standings(job, status.asked(job), NOW), 1000)


def test_a_job_is_observed_one_destination_at_a_time() -> None:
    def seen(job: Job) -> Any:
        looked = observe.Looked(status.asked(job), (), (), (), (), (), {}, (), {})
        return observe.observe(job, looked, NOW)

    bounded(seen, 910)


def test_a_prune_is_planned_and_told_one_destination_at_a_time() -> None:
    def told(job: Job) -> Any:
        duty = prune_door.Duty("h1", job, True)
        tell = partial(prune_door.planned_lines, duty=duty, prefix="")
        return [sum(1 for _line in chain.from_iterable(map(tell, prune.plan(job, NOW))))]

    bounded(told, 870, more=70)


def test_of_what_is_to_be_encrypted_anew_no_manifest_is_held() -> None:
    class Age:
        needs_identity = True

        def record(self) -> Any:
            return {"kind": "age", "recipients": ["age1"]}

    def planned(job: Job) -> Any:
        stale, left = rekey.plan(replace(job, filters=(Age(),)))  # type: ignore[arg-type]
        assert (len(stale), left) == (0, [])
        return stale

    bounded(planned, 440)


def test_of_what_was_verified_little_is_held() -> None:
    def verified(job: Job) -> Any:
        found = verify.verify(job, catalog.Wanted(), lambda: NOW, every=True)
        assert {one.state for one in found} == {"intact"}
        return found

    bounded(verified, 810, more=470)


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


def test_a_copy_is_mended_and_carried_without_listing_the_others(tmp_path: Path) -> None:
    asked: list[str] = []

    class Listening(Local):
        def list(self, prefix: str) -> Iterator[Stored]:
            asked.append(prefix)
            return super().list(prefix)

    id_ = IDS[7]
    archive = Archive("db.database.sqlite", "db", "database", "sqlite", (), 1, 1, DIGEST)
    made = replace(manifest_of(id_), archives=(archive,))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    from_, bad, empty = (Listening(name, str(tmp_path / name)) for name in ("a", "b", "c"))
    for place, content in ((from_, b"x"), (bad, b"y")):
        place.put(archive_key("h1", "shop", id_, archive.name), content)
        place.put(manifest_key("h1", "shop", id_), encode(made))
    spool = tmp_path / "spool"
    for to, carry in ((bad, mend), (empty, replicate)):
        told = carry(Transfer(from_, to, ("h1", "shop", id_), spool, lambda: NOW))
        assert (told.state, told.error) == ("intact", "")
    assert asked
    assert [prefix for prefix in asked if id_ not in prefix] == []


def test_names_that_do_not_begin_so_are_not_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "catalog/h1/shop"
    (folder / "ab").mkdir(parents=True)
    for name in ("aa.json", "ab.json", "ab/inner", "b.json"):
        (folder / name).touch()
    place = Local("disk", str(tmp_path))
    found = [one.key.rpartition("shop/")[2] for one in place.list("catalog/h1/shop/ab")]
    assert found == ["ab.json", "ab/inner"]
