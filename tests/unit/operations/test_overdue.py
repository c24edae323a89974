# SPDX-License-Identifier: GPL-3.0-or-later
"""A prune that does not happen is seen, whoever should have made it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from lifeboat.job import Job
from lifeboat.naming import backup_id
from lifeboat.operations.standing.overdue import overdue, said
from lifeboat.policy import Keep
from lifeboat.stored import Copy, Mark
from lifeboat.units import parse_instant

NOW = parse_instant("2026-11-21 12:00")
DAY = timedelta(days=1)
LIMIT = timedelta(hours=48)


def job(prunes: tuple[str, ...] = ("disk",), pruner: str = "") -> Job:
    return Job("shop", "db1", "dev", (), (), (), keep=Keep(daily=7), prunes=prunes, pruner=pruner)


def copies(days: int, *more: str) -> list[Copy]:
    return [_copy(NOW - DAY * back, *more) for back in range(days)]


def _copy(at: datetime, *more: str) -> Copy:
    marks = tuple(Mark(kind, at) for kind in ("intact", *more))
    return Copy(backup_id(at, "daily", "%04x" % (at.toordinal() % 65536)), at, "daily", True, marks)


@pytest.mark.parametrize(("days", "late"), [(7, 0), (14, 0), (15, 1), (40, 26)])
def test_what_should_have_gone_a_week_ago_is_overdue(days: int, late: int) -> None:
    assert len(overdue(job(), "disk", copies(days), NOW, LIMIT)) == late


def test_what_is_kept_by_hand_or_not_let_go_is_not_overdue() -> None:
    assert overdue(job(), "disk", copies(40, "pin"), NOW, LIMIT) == []
    assert overdue(job(), "disk", copies(40, "pruned"), NOW, LIMIT) == []


def test_a_pin_of_yesterday_counts() -> None:
    there = copies(15)
    pinned = Copy(
        there[-1].id, there[-1].taken_at, "daily", True, (*there[-1].marks, Mark("pin", NOW - DAY))
    )
    assert overdue(job(), "disk", [*there[:-1], pinned], NOW, LIMIT) == []


def test_nothing_is_overdue_while_nothing_may_go() -> None:
    assert overdue(job(), "disk", copies(40)[5:], NOW, LIMIT) == []


def test_what_was_proved_since_was_not_due_then() -> None:
    proved = (Mark("intact", NOW - DAY),)
    there = [Copy(one.id, one.taken_at, "daily", True, proved) for one in copies(40)]
    assert overdue(job(), "disk", there, NOW, LIMIT) == []


def test_it_says_who_should_have_done_it() -> None:
    late = ["x"] * 12
    assert said(job(), "disk", late).endswith("7 days ago: see `lifeboat prune shop`")
    assert said(job((), "vault"), "disk", late).endswith("its pruner vault did not")
    assert said(job(()), "disk", late).endswith("nothing prunes here")
    assert said(job(), "disk", []) == ""
    assert said(job((), "vault"), "disk", []) == ""
    assert "nothing prunes here" in said(job(()), "disk", [])  # growth is never silent
