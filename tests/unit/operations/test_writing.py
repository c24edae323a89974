# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that is slow to arrive is never taken for what a dead run left behind."""

from __future__ import annotations

import io
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lifeboat.destinations.local import Local
from lifeboat.listed import copies
from lifeboat.operations.backup import writing
from lifeboat.operations.backup.lanes import Lane
from lifeboat.progress import silent
from lifeboat.stored import Copy, Mark, Stored
from lifeboat.sweeping import ORPHAN, Sweep, sweepable, unfinished_before
from lifeboat.units import parse_instant

NOW = parse_instant("2026-11-21 12:00")
HOUR = timedelta(hours=1)
ID = "20261118T020000Z-daily-7f3a"
GOOD = Copy("20261121T020000Z-daily-0000", NOW, "daily", True, (Mark("intact", NOW),))
ARCHIVE = Stored(f"archives/db1/shop/{ID}/db.database.sqlite", 1, NOW - 50 * HOUR)


class Slow:
    """An archive whose last byte lets one wait for it: ports.Growing."""

    size_hint = 1

    def __init__(self, path: Path) -> None:
        self.path, self.ended = path, threading.Event()
        path.write_bytes(b"x")

    def reader(self) -> io.BufferedReader:
        self.ended.wait(30)
        return self.path.open("rb")

    def wait(self) -> int:
        self.ended.wait(30)
        return 1


def written(*ago: timedelta) -> Copy:
    marks = tuple(Mark("writing", NOW - one) for one in ago)
    return Copy(ID, parse_instant("2026-11-18 02:00"), "daily", False, marks)


def test_who_stores_for_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "EVERY", timedelta(milliseconds=20))
    (tmp_path / "disk").mkdir()
    local = Local(name="disk", path=str(tmp_path / "disk"))
    spool = Slow(tmp_path / "spool")

    def said() -> list[datetime]:
        found = copies(local.list("catalog/db1/shop/"))
        return [mark.at for copy in found for mark in copy.marks if mark.kind == "writing"]

    lane = Lane(local, ("db1", "shop", ID), lambda: NOW, silent)
    lane.take("db.database.sqlite", spool, lambda: None)
    for _wait in range(500):
        if said():
            break
        time.sleep(0.01)
    told = said()
    spool.ended.set()
    lane.give_up()

    assert lane.outcome().state == "lost"
    assert told == [NOW]
    assert not [one for one in threading.enumerate() if one.name == "disk writing"]


@pytest.mark.parametrize(
    ("copy", "sweeps"),
    [
        (written(), (Sweep(ID, ORPHAN),)),
        (written(60 * HOUR, 47 * HOUR), ()),
        (written(60 * HOUR, 49 * HOUR), (Sweep(ID, ORPHAN),)),
    ],
)
def test_archives_stay_for_48_hours_after_the_last_word(
    copy: Copy, sweeps: tuple[Sweep, ...]
) -> None:
    assert sweepable([ARCHIVE], [GOOD, copy], NOW) == sweeps


@pytest.mark.parametrize(
    ("copy", "before"),
    [
        (written(), NOW - 48 * HOUR),
        (written(3 * HOUR), parse_instant("2026-11-18 02:00")),
        (written(49 * HOUR), NOW - 48 * HOUR),
    ],
)
def test_uploads_of_who_is_still_at_work_stay(copy: Copy, before: datetime) -> None:
    assert unfinished_before([GOOD, copy], NOW) == before
