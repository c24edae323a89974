# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning carries out its plan and nothing else, in two steps, within a limit, at a real destination."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError
from lifeboat.job import Job
from lifeboat.listed import copies
from lifeboat.manifest import encode
from lifeboat.model import Manifest, Secret
from lifeboat.naming import (
    archive_key,
    backup_id,
    manifest_key,
    mark_key,
    mended_key,
    parse_id,
    signature_key,
)
from lifeboat.operations.upkeep import prune, pruning
from lifeboat.policy import Keep, Schedule
from lifeboat.signing import sign
from lifeboat.stored import Mark
from lifeboat.units import parse_instant

NOW = parse_instant("2026-11-21 12:00")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HOST = "db1"


def sound(id_: str, host: str = HOST, of: str = "") -> Manifest:
    at, type_ = parse_id(id_)
    when = (type_, "production", at, at, "lifeboat 0.1.0", True)
    return Manifest(id_, host, "shop", *when, (), (), rekeyed_from=of)


class Place:
    """A local destination, what a job left there, and a clock."""

    def __init__(self, folder: Path, keep: Keep, **job: object) -> None:
        self.folder = folder
        self.local = Local(name="disk", path=str(folder))
        self.job = Job(
            "shop", HOST, "production", (), (), (self.local,), keep=keep, prunes=("disk",), **job
        )  # type: ignore[arg-type]

    def add(self, at: datetime, *marks: str, type_: str = "daily", host: str = HOST) -> str:
        """A backup of one archive, with marks a minute later; without "committed" no manifest."""
        id_ = backup_id(at, type_, "%04x" % (int(at.timestamp()) // 60 % 65536))
        self._put(archive_key(host, "shop", id_, "db.database.sqlite.zst"), b"archive", at)
        for kind in marks:
            if kind != "committed":
                self._put(
                    mark_key(host, "shop", id_, Mark(kind, at + timedelta(minutes=1))), b"", at
                )
        if "committed" in marks:
            self._put(manifest_key(host, "shop", id_), encode(sound(id_, host)), at)
        return id_

    def mark(self, id_: str, *kinds: str, at: datetime = NOW) -> None:
        """What anybody may do who may only add names."""
        for kind in kinds:
            self._put(mark_key(HOST, "shop", id_, Mark(kind, at)), b"", at)

    def junk(self, beside: str, day: datetime | None = None) -> str:
        """A name that looks like the newest good backup of a day, with nothing behind it."""
        id_ = (day.strftime("%Y%m%d") if day else beside[:8]) + "T235959Z-daily-ffff"
        self._put(manifest_key(HOST, "shop", id_), b"not even JSON", NOW)
        self.mark(id_, "intact")
        return id_

    def good(self, days: int) -> list[str]:
        """One good backup a day, newest first; the newest is of today."""
        newest = NOW.replace(hour=2)
        return [self.add(newest - DAY * back, "committed", "intact") for back in range(days)]

    def _put(self, key: str, content: bytes, at: datetime) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (at.timestamp(), at.timestamp()))

    def plan(self, now: datetime = NOW, **given: str) -> list[prune.Planned]:
        return list(prune.plan(self.job, now, **given))

    def prune(self, now: datetime = NOW, **given: object) -> pruning.Pruned:
        (done,) = prune.apply(self.job, self.plan(now), lambda: now, **given)  # type: ignore[arg-type]
        return done

    def ids(self) -> set[str]:
        there = copies(self.local.list(f"catalog/{HOST}/shop/"))
        return {copy.id for copy in there if copy.committed}

    def archives(self) -> set[str]:
        return {path.name for path in self.folder.glob(f"archives/{HOST}/shop/*")}

    def everything(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, Keep(last=5))


# -- reports of drills


def reported(place: Place, id_: str, *days: int) -> list[Path]:
    """The reports of drills so many days ago."""
    made = []
    for back in days:
        at = NOW - DAY * back
        key = mark_key(HOST, "shop", id_, Mark("report", at))
        place._put(key, b"{}", at)
        made.append(place.folder / key)
    return made


def test_old_reports_of_drills_go_and_the_newest_of_a_job_stay(place: Place) -> None:
    newest, other = place.good(2)
    young = reported(place, newest, 1, 50, 99)
    old = reported(place, other, *range(101, 110))
    assert {Path(key).name for key in place.plan()[0].reports} == {one.name for one in old[3:]}
    assert all(one.exists() for one in (*young, *old))

    done = place.prune()

    assert {Path(key).name for key in done.reports} == {one.name for one in old[3:]}
    left = {one.name for one in place.folder.rglob("*.report-*")}
    assert left == {one.name for one in (*young, *old[:3])}  # half at once
    assert len(place.prune().reports) == 1
    assert len(list(place.folder.rglob("*.report-*"))) == 5
    assert place.prune().reports == ()
    assert place.ids() == {newest, other}


def test_no_report_goes_while_nothing_may_and_none_that_was_not_shown(place: Place) -> None:
    (id_,) = place.good(1)
    reports = reported(place, id_, *range(101, 120))
    future = reported(place, id_, -400)  # takes no place
    assert place.plan(held="a restore")[0].reports == ()
    planned = place.plan()
    (key, *_others) = planned[0].reports

    shown = prune.only(planned, {"disk": {Path(key).name}})
    (done,) = prune.apply(place.job, shown, lambda: NOW)

    assert done.reports == (key,)
    assert len(list(place.folder.rglob("*.report-*"))) == len(reports) + len(future) - 1


# -- two steps


def test_a_backup_goes_in_two_steps_a_day_apart(place: Place) -> None:
    ids = place.good(7)
    done = place.prune()
    assert set(done.pruned) == set(ids[5:])
    assert place.ids() == set(ids[:5])
    assert place.archives() == set(ids)  # whoever reads them has a day
    assert place.prune(NOW + 23 * HOUR).swept == ()
    assert set(place.prune(NOW + DAY).swept) == set(ids[5:])
    assert place.archives() == set(ids[:5])


def test_who_comes_after_a_killed_prune_removes_what_lay_beside_the_manifests(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = place.good(8)
    for id_ in ids:
        place._put(signature_key(HOST, "shop", id_), b"signature", NOW)
        place._put(mended_key(manifest_key(HOST, "shop", id_), NOW), b"manifest", NOW)
        place.mark(id_, "mended")
    with monkeypatch.context() as killed:
        killed.setattr(pruning.Pruning, "tidy", lambda *_given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            place.prune()
    assert place.ids() == set(ids[:5])
    assert any(key.endswith(f"{ids[7]}.json.sig") for key in place.everything())
    place.prune()
    beside = [key for key in place.everything() if ".json." in key]
    assert len(beside) == 10
    assert all(any(id_ in key for id_ in ids[:5]) for key in beside)


def test_what_a_listing_keeps_quiet_about_is_asked_for_before_its_archives_go(place: Place) -> None:
    """A copy that was not let go once has a mark `pruned`; anybody who may add can write one, too."""
    ids = place.good(5)
    place.mark(ids[1], "pruned", at=NOW - 2 * DAY)
    place._put(signature_key(HOST, "shop", ids[1]), b"signature", NOW)
    before, listed = place.everything(), place.local.list
    quiet = manifest_key(HOST, "shop", ids[1])
    place.local.list = lambda prefix: (  # type: ignore[method-assign]
        one for one in listed(prefix) if one.key != quiet
    )
    for when in (NOW, NOW + 3 * DAY):
        place.prune(when)
        assert before.items() <= place.everything().items()


def test_no_mark_makes_archives_go_that_are_still_being_stored(place: Place) -> None:
    place.good(5)
    begun, slow = place.add(NOW - HOUR), place.add(NOW - 3 * DAY)
    place.mark(slow, "writing", at=NOW - HOUR)
    for one in (begun, slow):
        place.mark(one, "pruned", at=NOW - 2 * DAY)
    assert place.prune().swept == ()
    assert {begun, slow} <= place.archives()


def test_no_mark_from_the_future_keeps_what_nobody_writes_any_more(place: Place) -> None:
    place.good(5)
    dead = place.add(NOW - 4 * DAY)
    place.mark(dead, "writing", at=NOW + 3000 * DAY)
    _old(place, dead)
    assert place.prune(_after_all(place)).swept == (dead,)


def test_a_plan_changes_nothing_and_pruning_again_changes_nothing(place: Place) -> None:
    place.good(7)
    before = place.everything()
    place.plan()
    assert place.everything() == before
    place.prune()
    before = place.everything()
    assert place.prune() == pruning.Pruned("disk")
    assert place.everything() == before


def test_only_what_an_earlier_plan_says_goes(place: Place) -> None:
    ids = place.good(7)
    (narrowed,) = prune.only(place.plan(), {"disk": {ids[6]}})
    (done,) = prune.apply(place.job, [narrowed], lambda: NOW)
    assert done.pruned == (ids[6],)
    assert place.ids() == set(ids[:6])


def test_names_that_are_not_ours_stay_as_they_are(place: Place) -> None:
    place.good(9)
    foreign = {
        f"catalog/{HOST}/shop/notes.txt": b"mine",
        f"catalog/{HOST}/shop/20260101T020000Z-daily-7f3a.json.bak": b"mine",
        f"archives/{HOST}/shop/holiday/photo.jpg": b"mine",
        f"archives/{HOST}/other/20200101T020000Z-daily-7f3a/db.tar": b"another job's",
        "archives/db2/shop/20200101T020000Z-daily-7f3a/db.tar": b"another host's",
        "readme": b"mine",
    }
    for key, content in foreign.items():
        place._put(key, content, NOW - 900 * DAY)
    place.prune()
    place.prune(NOW + 3 * HOUR + DAY)
    left = place.everything()
    assert {key: left.get(key) for key in foreign} == foreign


def test_a_manifest_that_nobody_can_read_stays_as_long_as_it_would_have(place: Place) -> None:
    ids = place.good(7)
    for id_ in (ids[2], ids[6]):
        (place.folder / manifest_key(HOST, "shop", id_)).write_bytes(b"not even JSON")
    (planned,) = place.plan()
    assert [id_ for id_, _why in planned.unsound] == [ids[2]]  # the other takes no place anyhow
    assert set(place.prune().pruned) == {ids[6]}
    assert place.ids() == set(ids[:6])


def test_two_hosts_with_one_name_lose_nothing_that_is_under_way(place: Place) -> None:
    ours = place.good(3)
    writing = place.add(NOW - 5 * HOUR)  # the other one's, not committed yet
    theirs = [place.add(NOW - DAY * back - HOUR, "committed", "intact") for back in range(3)]
    done = place.prune()
    assert done.swept == ()
    assert writing in place.archives()
    assert len(place.ids()) == 5  # both together are one job: counted together, newest first
    assert {ours[0], theirs[0]} <= place.ids()


# -- orphans and unfinished uploads


def test_orphans_go_and_one_that_is_committed_meanwhile_stays(place: Place) -> None:
    place.good(5)
    late = place.add(NOW - 3 * DAY - HOUR)
    dead = place.add(NOW - 4 * DAY - HOUR)
    _old(place, late, dead)
    planned = place.plan(_after_all(place))
    assert {sweep.id for sweep in planned[0].sweeps} == {late, dead}
    place._put(manifest_key(HOST, "shop", late), b"{}", NOW)
    (done,) = prune.apply(place.job, planned, lambda: NOW)
    assert done.swept == (dead,)
    assert late in place.archives()


def test_unfinished_uploads_go_when_they_are_older_than_any_run(place: Place) -> None:
    place.good(5)
    left = place.folder / "archives" / HOST / "shop" / ".lifeboat-tmp-old"
    asked: list[tuple[str, datetime]] = []

    def sweep(prefix: str, before: datetime) -> Sequence[str]:
        asked.append((prefix, before))
        return [left.name]

    place.local.sweep = sweep  # type: ignore[method-assign]
    assert place.prune().uploads == (left.name,)
    assert asked == [(f"archives/{HOST}/shop/", NOW - 2 * DAY)]


# -- what is not let go


class Locked(Local):
    """A destination that lets some objects not go, as an object lock does."""

    stuck: tuple[str, ...] = ()

    def locked(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: "locked" for key in keys if any(id_ in key for id_ in self.stuck)}

    def delete(self, key: str) -> None:
        if any(id_ in key for id_ in self.stuck):
            raise DestinationError(f"{key} is locked", permanent=True)
        super().delete(key)


def locked(place: Place, *ids: str) -> Locked:
    made = Locked(name="disk", path=str(place.folder))
    made.stuck = ids
    place.job = Job(
        "shop", HOST, "production", (), (), (made,), keep=place.job.keep, prunes=("disk",)
    )
    return made


def test_what_is_locked_is_told_as_retained_and_the_rest_goes(place: Place) -> None:
    ids = place.good(8)
    destination = locked(place, ids[6])
    done = place.prune()
    assert set(done.pruned) == {ids[5], ids[7]}
    assert [id_ for id_, _why in done.retained] == [ids[6]]
    assert "is locked" in done.retained[0][1]
    assert ids[6] in place.ids()
    names = len(place.everything())
    again = place.prune(NOW + HOUR)
    assert [id_ for id_, _why in again.retained] == [ids[6]]
    assert len(place.everything()) == names  # no mark is added each time
    ((_copy, why),) = place.plan(NOW + HOUR)[0].plan.expired  # type: ignore[union-attr]
    assert "not let go on 2026-11-21" in why
    destination.stuck = ()
    later = NOW + 13 * HOUR
    assert place.prune(later).pruned == (ids[6],)
    assert ids[6] not in place.prune(later + 23 * HOUR).swept  # its day begins when it went
    assert ids[6] in place.archives()


def test_a_destination_that_fails_tells_what_was_done_before(place: Place) -> None:
    ids = place.good(7)
    made = locked(place)

    def delete(key: str) -> None:
        if ids[6] in key:
            raise DestinationError("the line is cut")
        Local.delete(made, key)

    made.delete = delete  # type: ignore[method-assign]
    done = place.prune()
    assert done.failure == "the line is cut"
    assert place.ids() == set(ids) - {ids[5]}


def test_thousands_go_in_batches_of_a_thousand(place: Place) -> None:
    asked: list[int] = []

    def delete_many(keys: Sequence[str]) -> dict[str, str]:
        asked.append(len(keys))
        return {}

    place.local.delete_many = delete_many  # type: ignore[attr-defined]
    for back in range(2105):
        place.add(NOW - 2 * HOUR - HOUR * back, "committed", "intact")
    assert len(place.prune(limit=False).pruned) == 2100
    assert asked == [1000, 1000, 100]


# -- the limit


def watched(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a pruning asks of the destination from now on: "look", "mark ID" and "delete ID"."""
    asked: list[str] = []
    real_list, real_put, real_delete = place.local.list, place.local.put, place.local.delete

    def listed(prefix: str) -> object:
        if prefix == f"catalog/{HOST}/shop/":
            asked.append("look")
        return real_list(prefix)

    def put(key: str, content: bytes) -> None:
        asked.append("mark " + Path(key).name[:26])
        real_put(key, content)

    def delete(key: str) -> None:
        asked.append("delete " + Path(key).name[:26])
        real_delete(key)

    monkeypatch.setattr(place.local, "list", listed)
    monkeypatch.setattr(place.local, "put", put)
    monkeypatch.setattr(place.local, "delete", delete)
    return asked


def test_between_marks_and_deletion_the_catalog_is_read_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_BATCH", 10)
    going = [id_[:26] for id_ in place.good(30)[5:]]
    planned = place.plan()
    asked = watched(place, monkeypatch)

    (done,) = prune.apply(place.job, planned, lambda: NOW, limit=False)

    assert [id_[:26] for id_ in done.pruned] == going
    look = asked.index("look")
    assert asked[:look] == ["mark " + id_ for id_ in going]
    assert asked[look + 1 :] == ["delete " + id_ for id_ in going]


@pytest.mark.parametrize("limit", ["_MARKING_S", "_ROUND_S"])
def test_no_mark_is_older_than_minutes_when_its_backup_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """A slow destination: there is time for one mark, or for one batch, before it must be looked again."""
    monkeypatch.setattr(pruning, limit, -1.0)
    monkeypatch.setattr(pruning, "_BATCH", 1)
    first, second = place.good(7)[5:]
    planned = place.plan()
    asked = watched(place, monkeypatch)
    real_put, said = place.local.put, []

    def put(key: str, content: bytes) -> None:
        """Somebody pins the second one when the first has gone."""
        if second in key and not said and any("delete" in one for one in asked):
            said.append(key)
            place.mark(second, "pin")
        real_put(key, content)

    monkeypatch.setattr(place.local, "put", put)
    (done,) = prune.apply(place.job, planned, lambda: NOW, limit=False)

    assert done.pruned == (first,)
    assert dict(done.retained) == {second: "somebody has given it a pin meanwhile"}
    one = [word + first[:26] for word in ("mark ", "delete ")]
    assert asked[-4:] == ["look", one[1], "mark " + second[:26], "look"]
    assert second in place.ids()


def test_a_run_deletes_at_most_half_unless_told_to(place: Place) -> None:
    ids = place.good(11)
    done = place.prune()  # 6 of 11
    assert "6 of the 11 backups" in done.excess
    assert place.ids() == set(ids)
    assert done.pruned == ()
    assert len(place.prune(limit=False).pruned) == 6


def test_half_is_allowed_and_three_always_are(place: Place) -> None:
    place.good(10)
    assert len(place.prune().pruned) == 5
    few = Place(place.folder / "few", Keep(last=1))
    few.good(4)
    assert len(few.prune().pruned) == 3


def test_a_catalog_that_lost_most_of_its_names_makes_no_thousand_orphans(place: Place) -> None:
    place.good(3)
    for back in range(40):
        place.add(NOW - 4 * DAY - DAY * back)
    _old(place, *place.archives())
    done = place.prune(_after_all(place))
    assert "40 of the 43" in done.excess
    assert len(place.archives()) == 43


def test_what_a_lock_holds_now_does_not_count(place: Place) -> None:
    ids = place.good(5)
    kept = [place.add(NOW - 100 * DAY - DAY * back, "committed", "intact") for back in range(9)]
    locked(place, *kept)
    assert len(place.prune(limit=False).retained) == 9
    done = place.prune(NOW + HOUR)
    assert done.excess == ""
    assert set(ids) <= place.ids()


@pytest.mark.parametrize("kinds", [("bad",), ("bad", "pruned"), ("suspect", "pruned", "locked")])
def test_no_mark_takes_a_backup_out_of_the_limit(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    place = Place(tmp_path, Keep(daily=90))
    ids = place.good(40)
    for id_ in ids[1:]:
        place.mark(id_, *kinds, at=NOW - HOUR)
    for back in range(60):  # nor do names that are kept for being young make half of them more
        place.add(NOW - HOUR - timedelta(minutes=back), "committed")
    assert "go at once, more than half" in place.prune().excess
    assert set(ids) <= place.ids()


# -- what only looks like a backup


def test_names_with_nothing_behind_them_take_no_place(tmp_path: Path) -> None:
    place = Place(tmp_path, Keep(daily=30, minimum=3))
    ids = place.good(20)
    forged = {place.junk(id_) for id_ in ids[1:]}
    done = place.prune()
    assert (done.pruned, done.excess) == ((), "")
    place.job = replace(place.job, keep=Keep(daily=18))
    done = place.prune()
    real = place.ids() - forged
    assert real == set(ids[:18])
    assert set(done.pruned) - forged == set(ids[18:])


def test_no_mark_of_anybody_makes_most_go(tmp_path: Path) -> None:
    place = Place(tmp_path, Keep(daily=30))
    ids = place.good(20)
    for id_ in ids[1:]:
        place.mark(id_, "pruned", "unpin", "suspect", "replaced", at=NOW - HOUR)
        place.mark(place.junk(id_), "pruned")
    assert "more than half" in place.prune().excess
    assert set(ids) <= place.ids()


def test_replaced_is_believed_of_what_was_written_anew_and_keeps_the_pin_else(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Keep(daily=2))
    ids = place.good(6)
    old, other = ids[4], ids[5]
    for id_, of in ((old, old), (other, "")):
        new = id_[:-4] + "ffff"
        place._put(manifest_key(HOST, "shop", new), encode(sound(new, of=of)), NOW)
        place.mark(new, "intact", "pin")
        place.mark(id_, "pin", "replaced", at=NOW - 8 * DAY)
    pruned = set(place.prune().pruned)
    assert old in pruned
    assert other not in pruned
    assert {old[:-4] + "ffff", other[:-4] + "ffff"} <= place.ids()


def test_what_was_replaced_twice_is_replaced(tmp_path: Path) -> None:
    place = Place(tmp_path, Keep(daily=9))
    old = place.good(4)[3]
    second, third = old[:-4] + "fffe", old[:-4] + "ffff"
    for new, of in ((second, old), (third, second)):
        place._put(manifest_key(HOST, "shop", new), encode(sound(new, of=of)), NOW)
        place.mark(new, "intact")
    for id_ in (old, second):
        place.mark(id_, "replaced", at=NOW - 8 * DAY)
    assert set(place.prune().pruned) == {old, second}


def test_where_there_are_signers_an_unsigned_backup_makes_no_signed_one_go(tmp_path: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")]
    subprocess.run(argv, check=True)
    public = (tmp_path / "key.pub").read_text().strip()
    place = Place(tmp_path / "disk", Keep(daily=4), signers=(public,))
    ids = place.good(6)
    secret = Secret.of((tmp_path / "key").read_text())
    for id_ in ids:
        signature = sign(encode(sound(id_)), secret)
        place._put(signature_key(HOST, "shop", id_), signature, NOW)
    forged = []
    for number, id_ in enumerate(ids[1:]):
        new = id_[:8] + "T235959Z-daily-ffff"
        place._put(manifest_key(HOST, "shop", new), encode(sound(new)), NOW)
        place.mark(new, "intact")
        if number % 2:  # and a signature, of somebody else's document
            place._put(signature_key(HOST, "shop", new), signature, NOW)
        forged.append(new)
    done = place.prune()
    assert set(ids[:4]) <= place.ids()
    assert set(ids[4:]) <= set(done.pruned)
    (planned,) = place.plan()
    assert {id_ for id_, why in planned.unsound if "not signed" in why} >= set(forged[:3])


# -- clocks


def test_a_clock_that_ran_ahead_for_a_night_deletes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, Keep(within=30 * DAY))
    ids = place.good(4)
    ahead = NOW + 3650 * DAY
    wrong = place.add(ahead - HOUR, "committed", "intact")
    stored = place.folder / manifest_key(HOST, "shop", wrong)
    os.utime(stored, (NOW.timestamp(), NOW.timestamp()))  # the destination's clock is right
    (planned,) = place.plan(ahead)
    assert planned.plan is not None
    assert "see the clocks" in planned.plan.held
    assert place.prune(ahead, limit=False).pruned == ()
    assert place.prune(NOW, limit=False).pruned == ()  # and when the clock is right again
    assert set(ids) <= place.ids()


def test_a_clock_that_went_back_deletes_nothing(place: Place) -> None:
    ids = place.good(9)
    assert place.prune(NOW - 3650 * DAY).pruned == ()
    assert place.ids() == set(ids)


# -- policies


def test_each_destination_is_planned_by_its_own_rules(tmp_path: Path) -> None:
    near, far = Place(tmp_path / "near", Keep(last=5)), Place(tmp_path / "far", Keep(last=5))
    near.good(8)
    far.good(8)
    far.local.name = "far"
    job = Job(
        "shop",
        HOST,
        "production",
        (),
        (),
        (near.local, far.local),
        schedules=(Schedule("daily", "02:00"),),
        keep=Keep(last=5),
        keep_at=(("far", Keep(last=7)),),
        prunes=("disk", "far"),
    )
    gone = [len(one.plan.expired) for one in prune.plan(job, NOW) if one.plan]
    assert gone == [3, 1]


def test_an_unconfirmed_restore_holds_everything_back(place: Place) -> None:
    place.good(9)
    (planned,) = place.plan(held="the restore of X is neither confirmed nor undone")
    assert planned.plan is not None
    assert (planned.plan.expired, planned.sweeps) == ((), ())
    assert "neither confirmed" in planned.plan.held


def _after_all(place: Place) -> datetime:
    """Local destinations tell when a name came into being here: the orphans' 48 h begin at the test."""
    return max(NOW, *(_changed(place)))


def _changed(place: Place) -> Iterator[datetime]:
    for stored in place.local.list("archives/"):
        yield stored.changed_at


def _old(place: Place, *ids: str) -> None:
    """What the destination says of these archives is years ago."""
    listing = place.local.list

    def listed(prefix: str) -> Iterator[object]:
        for stored in listing(prefix):
            old = any(id_ in stored.key for id_ in ids)
            yield type(stored)(
                stored.key, stored.size_bytes, parse_instant("2020-01-01") if old else NOW - DAY
            )

    place.local.list = listed  # type: ignore[method-assign,assignment]
