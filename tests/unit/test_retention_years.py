# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty years of backups, failures, clocks that jump and policies of any kind: what always holds."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifeboat.naming import backup_id
from lifeboat.policy import Keep
from lifeboat.retention import FEW, Plan, excess, plan
from lifeboat.stored import Copy, Mark
from lifeboat.units import parse_instant

BEGIN = parse_instant("1997-01-01 02:00")
NOW = parse_instant("2026-11-21 12:00")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FORMS = {
    "hourly": "%Y-%m-%d %H",
    "daily": "%Y-%m-%d",
    "weekly": "%G-%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}
RULES = ("last", *FORMS)


def copy(at: datetime, *kinds: str, type_: str = "daily") -> Copy:
    suffix = "%04x" % (int(at.timestamp()) // 60 % 65536)
    marks = tuple(Mark(kind, at) for kind in kinds)
    return Copy(backup_id(at, type_, suffix), at, type_, True, marks)


def by_rules(made: Plan) -> set[str]:
    """The ids that a rule keeps, whatever else does."""
    return {
        one.id for one, why in made.kept if any(word.startswith((*RULES, "within")) for word in why)
    }


def left(copies: Iterable[Copy], made: Plan) -> list[Copy]:
    gone = {one.id for one, _why in made.expired}
    return [one for one in copies if one.id not in gone]


def oracle(copies: Sequence[Copy], keep: Keep) -> set[str]:
    """The rules once more, written as their documentation says them: by the names of the periods."""
    newest_first = sorted(copies, key=lambda one: one.taken_at, reverse=True)
    wanted = {one.id for one in newest_first[: keep.last or 0]}
    for rule, form in FORMS.items():
        count = getattr(keep, rule) or 0
        newest_of: dict[str, Copy] = {}
        for one in newest_first:
            newest_of.setdefault(one.taken_at.strftime(form), one)
        winners = list(newest_of.values())[:count]
        if count > len(winners) and newest_first:
            winners.append(newest_first[-1])
        wanted.update(one.id for one in winners)
    if keep.within is not None and newest_first:
        since = newest_first[0].taken_at - keep.within
        wanted.update(one.id for one in newest_first if one.taken_at > since)
    return wanted


@st.composite
def policies(draw: st.DrawFn) -> Keep:
    counts = {rule: draw(st.one_of(st.none(), st.integers(0, 5))) for rule in RULES}
    within = draw(st.sampled_from([None, None, 7 * DAY, 30 * DAY]))
    if within is None and not any(counts.values()):
        counts["last"] = 1
    return Keep(**counts, within=within, minimum=draw(st.integers(0, 4)))


GAPS = st.sampled_from(
    [HOUR, 5 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR, 7 * DAY, 30 * DAY, 366 * DAY]
)
STATES = st.sampled_from([("intact",)] * 6 + [(), ("partial", "intact"), ("bad",)])


@settings(max_examples=200, deadline=None)
@given(policies(), st.lists(GAPS, max_size=60))
def test_the_rules_are_those_of_an_oracle(keep: Keep, gaps: list[timedelta]) -> None:
    at, copies = BEGIN, []
    for gap in gaps:
        at += gap
        copies.append(copy(at, "intact"))
    assert by_rules(plan(copies, keep, {}, at)) == oracle(copies, keep)


@settings(max_examples=150, deadline=None)
@given(policies(), st.lists(st.tuples(GAPS, STATES), max_size=60))
def test_what_was_deleted_is_never_wanted_back(
    keep: Keep, runs: list[tuple[timedelta, tuple[str, ...]]]
) -> None:
    """Pruned after every run, the vault holds what the policy would choose of all backups ever made."""
    at, ever, there = BEGIN, [], []
    for gap, state in runs:
        at += gap
        ever.append(copy(at, *state))
        there.append(ever[-1])
        there = left(there, plan(there, keep, {}, at))
        assert by_rules(plan(there, keep, {}, at)) == by_rules(plan(ever, keep, {}, at))


@settings(max_examples=150, deadline=None)
@given(
    policies(),
    st.lists(
        st.tuples(GAPS, STATES, st.sampled_from([0] * 8 + [-3650, -400, -3, 3, 400, 3650])),
        max_size=50,
    ),
)
def test_no_clock_and_no_failure_costs_the_last_good_one_or_more_than_half(
    keep: Keep, runs: list[tuple[timedelta, tuple[str, ...], int]]
) -> None:
    true_time, there = NOW, []
    for gap, state, days_off in runs:
        true_time += gap
        now = true_time + DAY * days_off  # what the host believes while it runs and prunes
        there.append(copy(now, *state))
        made = plan(there, keep, {}, now)
        if excess(made):
            continue
        before, there = there, left(there, made)
        good = [one for one in before if one.good and one.taken_at <= now]
        still = [one for one in there if one.good and one.taken_at <= now]
        assert not good or max(good, key=lambda one: (one.taken_at, one.id)) in still
        assert len(still) >= min(keep.minimum, len(good))
        assert len(before) - len(there) <= max(FEW, len(before) // 2)
        assert all(one in there for one in before if one.taken_at > now + HOUR)
        assert plan(there, keep, {}, now).expired == ()


@settings(max_examples=150, deadline=None)
@given(
    policies(), st.lists(GAPS, min_size=1, max_size=40), st.lists(st.integers(1, 9999), max_size=8)
)
def test_what_is_dated_in_the_future_changes_nothing_for_the_past(
    keep: Keep, gaps: list[timedelta], ahead: list[int]
) -> None:
    at, past = BEGIN, []
    for gap in gaps:
        at += gap
        past.append(copy(at, "intact"))
    future = [copy(at + DAY * days, "intact") for days in set(ahead)]
    with_them, without = plan([*past, *future], keep, {}, at), plan(past, keep, {}, at)
    assert with_them.expired == without.expired
    assert {one.id for one in future} <= {one.id for one, _why in with_them.kept}


@settings(max_examples=150, deadline=None)
@given(policies(), policies(), st.lists(st.tuples(GAPS, st.booleans()), max_size=50))
def test_a_type_with_rules_of_its_own_and_the_others_do_not_touch_each_other(
    keep: Keep, weekly: Keep, runs: list[tuple[timedelta, bool]]
) -> None:
    at, ours, theirs = BEGIN, [], []
    for gap, is_weekly in runs:
        at += gap
        (theirs if is_weekly else ours).append(
            copy(at, "intact", type_="weekly" if is_weekly else "daily")
        )
    together = by_rules(plan([*ours, *theirs], keep, {"weekly": weekly}, at))
    assert together == oracle(ours, keep) | oracle(theirs, weekly)


@settings(max_examples=150, deadline=None)
@given(policies(), st.lists(st.tuples(GAPS, STATES), max_size=40), st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_a_listing(
    keep: Keep, runs: list[tuple[timedelta, tuple[str, ...]]], dice: random.Random
) -> None:
    at, copies = BEGIN, []
    for gap, state in runs:
        at += gap
        copies.append(copy(at, *state))
    mixed = list(copies)
    dice.shuffle(mixed)
    assert plan(mixed, keep, {}, at) == plan(copies, keep, {}, at)


def test_thirty_years_with_failures_and_clock_jumps_keep_the_promised_history() -> None:
    dice = random.Random(20261121)
    keep = Keep(daily=7, weekly=4, monthly=12, yearly=40, minimum=3)
    there: list[Copy] = []
    for day in range(30 * 365):
        now = BEGIN + DAY * day
        if dice.random() < 0.01:
            now += DAY * dice.choice([-4000, -40, 40, 4000])
        state = dice.choices(
            [("intact",), ("partial", "intact"), ("intact", "suspect")], [97, 2, 1]
        )
        there.append(copy(now, *state[0]))
        made = plan(there, keep, {}, now)
        there = there if excess(made) else left(there, made)
    end = BEGIN + DAY * 30 * 365
    good = [one for one in there if one.good and one.taken_at <= end]
    assert set(range(1997, 2027)) <= {one.taken_at.year for one in good}
    assert {one.taken_at.month for one in good if one.taken_at.year == 2026} == set(range(1, 13))
    assert len(there) < 250  # what came from wrong clocks waits for its date; it does not pile up


@pytest.mark.parametrize(
    ("between", "held"),
    [
        (copy(NOW - 9 * HOUR, "intact", "subset", type_="manual"), True),
        (copy(NOW - 9 * HOUR, "intact", "subset", type_="daily"), False),
        (copy(NOW - 9 * HOUR, "intact", type_="weekly"), False),
    ],
)
@pytest.mark.parametrize("wrong", [("partial",), ("intact", "suspect"), ("bad",)])
def test_after_a_run_that_went_wrong_nothing_goes_until_a_good_one_like_it(
    between: Copy, held: bool, wrong: tuple[str, ...]
) -> None:
    odd = copy(NOW - 10 * HOUR, *wrong)
    copies = [between, odd, *(copy(NOW - DAY * back, "intact") for back in range(1, 12))]
    made = plan(copies, Keep(last=2), {}, NOW)
    assert bool(made.held) is held
    assert (odd.id in made.held) is held
    assert bool(made.expired) is not held
    accepted = Copy(
        odd.id,
        odd.taken_at,
        "daily",
        True,
        (*odd.marks, Mark("accepted", NOW), Mark("intact", NOW)),
    )
    if "suspect" in wrong:
        assert plan([between, accepted, *copies[2:]], Keep(last=2), {}, NOW).held == ""
