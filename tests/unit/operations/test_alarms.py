# SPDX-License-Identifier: GPL-3.0-or-later
"""People are told once, again when it is worse or goes on, and when it is over; a storm is one message."""

from __future__ import annotations

import pytest
from lifeboat.operations.watching import alarms
from lifeboat.operations.watching.alarms import Known, Message, News, Problem

HOUR = 3600.0
LATE = Problem("shop/disk", "shop", "warning", "shop at disk: newest good is 26h old")
LOST = Problem("shop/disk", "shop", "critical", "shop at disk: there is no good backup")


def decide(
    known: dict[str, Known], *found: Problem, at: float = 0.0, jobs: tuple[str, ...] = ("shop",)
) -> tuple[dict[str, Known], list[str]]:
    after, news = alarms.decide(known, found, jobs, ("shop", "blog"), at, 24 * HOUR)
    return after, [one.kind for one in news]


def test_a_problem_is_told_once() -> None:
    known, told = decide({}, LATE)
    assert told == ["new"]
    assert decide(known, LATE, at=6 * HOUR)[1] == []


def test_what_goes_on_is_told_again_after_a_day_and_says_since_when() -> None:
    known, _told = decide({}, LATE)
    again, told = decide(known, LATE, at=25 * HOUR)
    assert told == ["still"]
    assert decide(again, LATE, at=26 * HOUR)[1] == []
    assert again["shop/disk"].since == 0.0


def test_what_gets_worse_is_told_at_once_and_what_gets_better_is_not() -> None:
    known, _told = decide({}, LATE)
    worse, told = decide(known, LOST, at=HOUR)
    assert told == ["worse"]
    assert decide(worse, LATE, at=2 * HOUR)[1] == []


def test_what_is_over_is_told_once() -> None:
    known, _told = decide({}, LATE)
    after, told = decide(known, at=HOUR)
    assert (after, told) == ({}, ["over"])
    assert decide(after, at=2 * HOUR)[1] == []


def test_a_check_of_one_job_says_nothing_of_others() -> None:
    known, _told = decide({}, LATE)
    assert decide(known, at=HOUR, jobs=("blog",)) == (known, [])


def test_of_a_job_that_was_removed_nothing_is_told() -> None:
    gone = {"old/disk": Known("old", "critical", "old", 0, 0)}
    assert decide(gone, at=HOUR) == ({}, [])


@pytest.mark.parametrize("jump_h", [-1000, 1000])
def test_a_clock_that_jumps_silences_nothing(jump_h: float) -> None:
    known, _told = decide({}, LATE, at=2000 * HOUR)
    at = (2000 + jump_h) * HOUR
    after, told = decide(known, LATE, at=at)
    assert told == ["still"]
    assert after["shop/disk"].told_at == at
    assert after["shop/disk"].since <= at


def test_one_check_sends_one_message_with_the_worst_first() -> None:
    news = [News("over", "good", "a"), News("new", "warning", "b"), News("new", "critical", "c")]
    made = alarms.message("h1", news, 0.0, ["mail"])
    assert made is not None
    assert made.title == "lifeboat on h1: critical"
    assert made.body.splitlines() == ["c", "b", "recovered: a"]
    assert alarms.message("h1", [], 0.0, ["mail"]) is None


def test_fifty_failures_become_one_message_of_bounded_length() -> None:
    storm = [Message("t", f"job {n} failed", "critical", n, ("mail",)) for n in range(50)]
    (one,) = alarms.merged(storm)
    lines = one.body.splitlines()
    assert lines[0] == "(30 more before these)"
    assert lines[-1] == "job 49 failed"
    assert len(lines) == 21
