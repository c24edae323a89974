# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention deletes what the policy says, and never what would be missed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifeboat.errors import ConfigError
from lifeboat.naming import backup_id
from lifeboat.policy import Keep
from lifeboat.retention import SKEW, Plan, misdated, plan
from lifeboat.stored import Copy, Mark, Stored
from lifeboat.sweeping import sweepable
from lifeboat.units import iso, parse_instant

NOW = parse_instant("2026-11-21 12:00")
RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def copy(at: str | datetime, *marks: str, type_: str = "daily", committed: bool = True) -> Copy:
    """A copy taken at an instant; marks as "intact", "tag=v1", a minute after each other."""
    taken_at = parse_instant(at) if isinstance(at, str) else at
    made = tuple(
        Mark(mark.partition("=")[0], taken_at + timedelta(minutes=number), mark.partition("=")[2])
        for number, mark in enumerate(marks)
    )
    suffix = "%04x" % (int(taken_at.timestamp() // 60) % 65536)
    return Copy(backup_id(taken_at, type_, suffix), taken_at, type_, committed, made)


def good(*instants: str | datetime) -> list[Copy]:
    return [copy(at, "intact") for at in instants]


def daily(days: int) -> list[Copy]:
    """One good backup each day at 02:00, the last one today."""
    newest = NOW.replace(hour=2)
    return good(*(newest - DAY * back for back in range(days)))


def dates(copies: Sequence[Copy]) -> list[str]:
    return sorted(one.taken_at.strftime("%Y-%m-%d") for one in copies)


def kept(made: Plan) -> list[Copy]:
    return [one for one, _why in made.kept]


def staying(made: Plan) -> set[str]:
    return {one.id for one, _why in (*made.kept, *made.deferred)}


def why(made: Plan, one: Copy) -> str:
    found = {c.id: ", ".join(reasons) for c, reasons in made.kept}
    found.update((c.id, reason) for c, reason in (*made.deferred, *made.expired))
    return found[one.id]


# -- the rules, in the meaning of restic's documentation


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep(last=2), ["2026-11-20", "2026-11-21"]),
        (Keep(daily=3), ["2026-11-19", "2026-11-20", "2026-11-21"]),
        # 2026-11-21 is a Saturday: weeks end on Sundays
        (Keep(weekly=3), ["2026-11-08", "2026-11-15", "2026-11-21"]),
        (Keep(monthly=3), ["2026-09-30", "2026-10-31", "2026-11-21"]),
        (Keep(yearly=2), ["2025-12-31", "2026-11-21"]),
        (Keep(within=2 * DAY), ["2026-11-20", "2026-11-21"]),
        (Keep(daily=2, monthly=2), ["2026-10-31", "2026-11-20", "2026-11-21"]),
        (Keep(last=1, yearly=0), ["2026-11-21"]),
    ],
)
def test_each_rule_keeps_the_newest_of_its_newest_periods(keep: Keep, expected: list[str]) -> None:
    made = plan(daily(500), keep, {}, NOW)
    assert dates(kept(made)) == expected
    assert len(made.expired) == 500 - len(expected)


def test_periods_without_a_backup_are_not_counted() -> None:
    sundays = good(*(parse_instant("2026-11-15 02:00") - 7 * DAY * week for week in range(8)))
    made = plan([*sundays, *good("2026-11-20 02:00")], Keep(daily=4), {}, NOW)
    assert dates(kept(made)) == ["2026-11-01", "2026-11-08", "2026-11-15", "2026-11-20"]


def test_hours_without_a_backup_are_not_counted() -> None:
    made = plan(
        good("2026-11-21 01:10", "2026-11-21 01:50", "2026-11-21 05:00", "2026-11-20 23:59"),
        Keep(hourly=2),
        {},
        NOW,
    )
    assert [one.taken_at.strftime("%H:%M") for one in kept(made)] == ["05:00", "01:50"]


def test_the_oldest_fills_a_slot_that_no_period_fills() -> None:
    made = plan(daily(20), Keep(daily=3, yearly=2), {}, NOW)
    assert dates(kept(made)) == ["2026-11-02", "2026-11-19", "2026-11-20", "2026-11-21"]


def test_the_oldest_gets_no_slot_when_all_are_filled() -> None:
    made = plan(daily(20), Keep(daily=3), {}, NOW)
    assert dates(kept(made)) == ["2026-11-19", "2026-11-20", "2026-11-21"]


def test_periods_are_half_open() -> None:
    made = plan(
        good("2026-11-20 23:59:59", "2026-11-21 00:00:00", "2026-11-20 00:00:00"),
        Keep(daily=2),
        {},
        NOW,
    )
    assert [one.taken_at.strftime("%d %H:%M:%S") for one in kept(made)] == [
        "21 00:00:00",
        "20 23:59:59",
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2026-12-31 02:00", "2027-01-01 02:00", True),  # both in 2026-W53
        ("2025-12-28 02:00", "2025-12-29 02:00", False),  # 2025-W52 and 2026-W01
        ("2027-01-03 23:00", "2027-01-04 00:00", False),  # Sunday and Monday
        ("2024-12-30 02:00", "2025-01-05 02:00", True),  # 2025-W01
        ("2024-02-29 02:00", "2024-03-01 02:00", True),  # 2024-W09, over a leap day
    ],
)
def test_weeks_are_iso_weeks_also_at_the_edge_of_a_year(one: str, other: str, same: bool) -> None:
    # The oldest is there so that neither of the two is.
    made = plan(good(one, other, "2020-01-01 02:00"), Keep(weekly=2), {}, parse_instant(other))
    assert (dates(kept(made))[0] == "2020-01-01") is same


def test_within_is_counted_from_the_newest_good_one() -> None:
    made = plan(
        good("2026-11-20 02:00", "2026-11-18 02:01", "2026-11-18 02:00"),
        Keep(within=2 * DAY),
        {},
        NOW,
    )
    assert dates([one for one, _why in made.expired]) == ["2026-11-18"]
    assert len(made.kept) == 2


def test_no_rule_at_all_keeps_everything() -> None:
    copies = [*daily(3000), copy("2020-01-01", "partial"), copy("2020-01-02", "bad")]
    made = plan(copies, Keep(tagged=DAY, minimum=2), {}, NOW)
    assert len(made.kept) == 3002


@pytest.mark.parametrize(
    "keep",
    [Keep(last=0), Keep(daily=0, weekly=0, minimum=5), Keep(within=timedelta(0)), Keep(last=-1),
     Keep(last=3, yearly=-1), Keep(last=3, minimum=-1)],
)  # fmt: skip
def test_a_policy_that_would_keep_nothing_is_refused(keep: Keep) -> None:
    with pytest.raises(ConfigError, match=r"^keep"):
        plan(daily(3), keep, {}, NOW)
    with pytest.raises(ConfigError, match=r"^schedules\.weekly\.keep"):
        plan(daily(3), Keep(last=1), {"weekly": keep}, NOW)


# -- what only good copies can do


def test_copies_that_are_not_good_win_no_slot() -> None:
    spoilt = [
        copy("2026-11-20 03:00"),
        copy("2026-11-20 04:00", "partial", "intact"),
        copy("2026-11-20 05:00", "intact", "suspect"),
        copy("2026-11-20 06:00", "bad"),
    ]
    made = plan([*spoilt, *good("2026-11-20 02:00", "2026-11-21 02:00")], Keep(daily=2), {}, NOW)
    assert "daily 2026-11-20" in why(made, good("2026-11-20 02:00")[0])
    assert "not proved" in why(made, spoilt[0])
    assert "partial" in why(made, spoilt[1])
    assert "suspect" in why(made, spoilt[2])
    assert "corrupt" in why(made, spoilt[3])


@pytest.mark.parametrize("marks", [(), ("partial",), ("intact", "suspect"), ("bad",)])
def test_a_copy_that_is_not_good_goes_after_seven_days_if_a_good_one_is_newer(
    marks: tuple[str, ...],
) -> None:
    young, old = copy(NOW - 7 * DAY, *marks), copy(NOW - 7 * DAY - HOUR, *marks)
    made = plan([young, old, *good("2026-11-21 02:00")], Keep(last=1), {}, NOW)
    assert [one for one, _why in made.expired] == [old]
    assert young.id in staying(made)


def test_a_copy_that_is_not_good_stays_while_no_good_one_of_its_kind_is_newer() -> None:
    weekly = copy(NOW - 20 * DAY, type_="weekly")
    made = plan([weekly, *daily(9)], Keep(last=5), {"weekly": Keep(last=4)}, NOW)
    assert "no good one is newer" in why(made, weekly)


def test_uncommitted_ids_are_no_backups() -> None:
    gone = copy(NOW - 90 * DAY, "intact", "pruned", committed=False)
    made = plan([gone, *daily(3)], Keep(last=2), {}, NOW)
    assert gone.id not in staying(made)
    assert gone not in [one for one, _why in made.expired]


def test_an_accepted_suspect_counts_again() -> None:
    one = copy("2026-11-21 02:00", "intact", "suspect", "accepted")
    made = plan([one, *daily(3)[1:]], Keep(last=1), {}, NOW)
    assert made.held == ""
    assert "last" in why(made, one)


# -- what is never deleted


def test_pins_stay_whatever_their_age_and_state() -> None:
    pinned = [copy("2020-01-01", "intact", "pin"), copy("2020-01-02", "bad", "pin")]
    unpinned = copy("2020-01-03", "intact", "pin", "unpin")
    made = plan([*pinned, unpinned, *daily(5)], Keep(last=2), {}, NOW)
    assert {one.id for one in pinned} <= staying(made)
    assert unpinned.id not in staying(made)


def test_tags_protect_for_ever_unless_a_time_is_given() -> None:
    tagged = copy(NOW - 30 * DAY, "intact", "tag=v1")  # tagged a minute after
    copies = [tagged, *daily(5)]
    assert "tagged v1" in why(plan(copies, Keep(last=2), {}, NOW), tagged)
    month = Keep(last=2, tagged=30 * DAY)
    assert "tagged v1" in why(plan(copies, month, {}, NOW), tagged)
    assert tagged.id not in staying(plan(copies, month, {}, NOW + timedelta(minutes=1)))


def test_future_dates_win_no_slot_and_are_not_deleted_by_age() -> None:
    ahead = good(NOW + timedelta(minutes=11), NOW + 3000 * DAY)
    made = plan([*ahead, *daily(5)], Keep(last=2), {}, NOW)
    assert dates(kept(made)) == ["2026-11-20", "2026-11-21", "2026-11-21", "2035-02-07"]
    assert {why(made, one) for one in ahead} == {"dated in the future"}


def test_a_clock_that_is_minutes_ahead_is_no_future() -> None:
    ahead = good(NOW + timedelta(minutes=10))[0]
    assert "last" in why(plan([ahead, *daily(5)], Keep(last=1), {}, NOW), ahead)


def test_the_newest_drilled_one_stays() -> None:
    drilled = [copy(NOW - 40 * DAY, "intact", "drilled"), copy(NOW - 41 * DAY, "intact", "drilled")]
    made = plan([*drilled, *daily(5)], Keep(last=2), {}, NOW)
    assert why(made, drilled[0]) == "newest drilled"
    assert drilled[1].id not in staying(made)


def test_the_newest_good_one_stays_though_its_type_keeps_others() -> None:
    made = plan(daily(5), Keep(last=0, yearly=1), {}, NOW)
    assert "newest good" in why(made, daily(1)[0])


def test_the_floor_holds_back_the_newest_of_those_that_would_go() -> None:
    made = plan(daily(9), Keep(last=2, minimum=4), {}, NOW)
    assert dates([one for one, _why in made.deferred]) == ["2026-11-18", "2026-11-19"]
    assert {reason for _one, reason in made.deferred} == {"at least 4 good backups stay"}
    assert len(made.expired) == 5


# -- when nothing is deleted at all


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        (copy("2026-11-21 03:00", "partial", "intact"), "partial"),
        (copy("2026-11-21 03:00", "intact", "suspect"), "suspect"),
        (copy("2026-11-21 03:00", "intact", "bad"), "corrupt"),
    ],
)
def test_nothing_goes_while_the_newest_backup_is_not_sound(newest: Copy, said: str) -> None:
    made = plan([newest, *daily(9)], Keep(last=2), {}, NOW)
    assert said in made.held
    assert newest.id in made.held
    assert made.expired == ()
    assert {reason for _one, reason in made.deferred} == {made.held}
    assert len(made.deferred) == 7


def test_nothing_goes_while_the_newest_good_one_is_past_its_limit() -> None:
    copies = daily(9)
    later = copies[0].taken_at + timedelta(hours=48)
    assert plan(copies, Keep(last=2), {}, later).held == ""
    made = plan(copies, Keep(last=2), {}, later + timedelta(seconds=1))
    assert "its limit is 2d" in made.held
    assert made.expired == ()
    assert plan(copies, Keep(last=2), {}, later + DAY, stale_after=3 * DAY).held == ""


def test_nothing_goes_when_nothing_is_good() -> None:
    made = plan([copy(NOW - DAY * back) for back in range(90)], Keep(last=2), {}, NOW)
    assert made.held == "there is no good backup here"
    assert made.expired == ()
    assert plan([], Keep(last=2), {}, NOW) == Plan((), (), (), "there is no good backup here")


def test_nothing_goes_while_a_restore_is_neither_confirmed_nor_undone() -> None:
    def planned(*marks: Mark) -> Plan:
        newest, *others = daily(5)
        one = others[1]._replace(marks=others[1].marks + marks)
        return plan([newest, others[0], one, *others[2:]], Keep(last=1), {}, NOW)

    restored = Mark("restored", NOW - 6 * DAY)
    assert "neither confirmed nor undone" in planned(restored).held
    assert "neither confirmed nor undone" in planned(restored, Mark("settled", restored.at)).held
    assert planned(restored, Mark("settled", restored.at + HOUR)).held == ""
    assert planned(Mark("restored", NOW - 7 * DAY)).held == ""  # forgotten
    assert planned(Mark("restored", NOW + DAY)).held == ""  # anybody's who may add a name


@pytest.mark.parametrize("kind", ["settled", "restored"])
def test_a_mark_from_the_future_ends_no_wait_and_is_told(kind: str) -> None:
    newest, *others = daily(5)
    marks = (Mark("restored", NOW - DAY), Mark(kind, NOW + SKEW + timedelta(seconds=1)))
    copies = [newest._replace(marks=newest.marks + marks), *others]
    said = "its mark %s of 2026-11-21T12:10:01Z is dated in the future"

    assert "neither confirmed nor undone" in plan(copies, Keep(last=1), {}, NOW).held
    assert misdated(copies, NOW) == ((newest.id, said % kind),)


def test_a_settled_of_no_restore_is_told_and_ends_no_wait() -> None:
    newest, *others = daily(5)
    early, later = Mark("settled", NOW - 2 * DAY), Mark("settled", NOW - HOUR)
    marks = (early, Mark("restored", NOW - DAY))
    copies = [newest._replace(marks=newest.marks + marks), *others]

    assert "neither confirmed nor undone" in plan(copies, Keep(last=1), {}, NOW).held
    assert [why for _id, why in misdated(copies, NOW)] == [
        f"its mark settled of {iso(early.at)} comes before any restore"
    ]
    sound = [newest._replace(marks=(*newest.marks, marks[1], later)), *others]
    assert misdated(sound, NOW) == ()
    assert plan(sound, Keep(last=1), {}, NOW).held == ""


@pytest.mark.parametrize(
    ("of_it", "of_another", "held"),
    [
        ([Mark("stranger", NOW - DAY)], [], True),
        ([Mark("stranger", NOW - DAY), Mark("accepted", NOW - DAY)], [], False),
        ([Mark("stranger", NOW - DAY), Mark("accepted", NOW - 2 * DAY)], [], True),
        ([Mark("stranger", NOW - DAY)], [Mark("accepted", NOW)], True),  # speaks of its size
        ([Mark("stranger", NOW - DAY)], [Mark("stranger", NOW), Mark("accepted", NOW)], False),
        (
            [Mark("stranger", NOW)],
            [Mark("stranger", NOW - DAY), Mark("accepted", NOW - HOUR)],
            True,
        ),
        ([Mark("stranger", NOW + DAY)], [], False),  # anybody's who may add a name
        ([Mark("pin", NOW)], [], False),
    ],
)
def test_nothing_goes_while_two_hosts_have_one_name(
    of_it: list[Mark], of_another: list[Mark], held: bool
) -> None:
    newest, second, *others = daily(6)
    newest = newest._replace(marks=(*newest.marks, *of_it))
    copies = [newest, second._replace(marks=(*second.marks, *of_another)), *others]
    made = plan(copies, Keep(last=2), {}, NOW)
    assert ("two hosts seem to have this name" in made.held) == held
    assert (not made.expired) == held
    gone = [copies[0]._replace(committed=False), *copies[1:]]
    if not of_another:  # it is nobody's any more
        assert plan(gone, Keep(last=2), {}, NOW).held == ""


def test_a_newest_copy_that_is_not_proved_yet_holds_nothing_up() -> None:
    made = plan([copy("2026-11-21 03:00"), *daily(9)], Keep(last=2), {}, NOW)
    assert made.held == ""
    assert len(made.expired) == 7


# -- schedules with a keep of their own


@pytest.mark.parametrize("at", ["1970-01-01 00:00", "2026-11-20 12:00"])
def test_no_date_and_no_length_of_time_is_too_much_for_it(at: str) -> None:
    one = good(at)
    assert kept(plan(one, Keep(within=timedelta(days=999_999_999)), {}, NOW)) == one
    assert kept(plan(one, Keep(within=30 * DAY), {}, NOW)) == one


def test_schedules_with_their_own_keep_are_counted_within_their_type() -> None:
    weekly = [copy(NOW - 7 * DAY * back, "intact", type_="weekly") for back in range(10)]
    monthly = [copy(NOW - 30 * DAY * back, "intact", type_="monthly") for back in range(20)]
    manual = [copy(NOW - 3 * HOUR * back, "intact", type_="manual") for back in range(1, 5)]
    made = plan(
        [*daily(30), *weekly, *monthly, *manual],
        Keep(last=6),
        {"weekly": Keep(last=4), "monthly": Keep(last=12)},
        NOW,
    )
    counted = dict.fromkeys(("daily", "weekly", "monthly", "manual"), 0)
    for one in kept(made):
        counted[one.type] += 1
    # manual ones fall under the job's keep, together with the daily ones
    assert counted == {"daily": 2, "weekly": 4, "monthly": 12, "manual": 4}


def test_a_type_keeps_its_own_floor() -> None:
    weekly = [copy(NOW - 7 * DAY * back, "intact", type_="weekly") for back in range(10)]
    made = plan([*daily(9), *weekly], Keep(last=9), {"weekly": Keep(last=1, minimum=3)}, NOW)
    assert len(made.deferred) == 2
    assert {one.type for one, _why in made.deferred} == {"weekly"}


def test_a_type_without_rules_keeps_all_of_its_own() -> None:
    predeploy = [copy(NOW - DAY * back, "intact", type_="predeploy") for back in range(1, 40)]
    made = plan([*daily(9), *predeploy], Keep(last=2), {"predeploy": Keep()}, NOW)
    assert len(made.kept) == 41


# -- properties

_COUNT = st.one_of(st.none(), st.integers(0, 6))
_MARKS = st.sampled_from(
    [("intact",)] * 8
    + [(), ("partial",), ("partial", "intact"), ("bad",), ("intact", "suspect"), ("intact", "pin"),
       ("intact", "drilled"), ("intact", "tag=v1"), ("bad", "drilled")]
)  # fmt: skip
_THIRTY_YEARS_H = 30 * 366 * 24


@st.composite
def keeps(draw: st.DrawFn, most: int = 4) -> Keep:
    counts = {rule: draw(_COUNT) for rule in RULES}
    within = draw(st.sampled_from([None, DAY, 40 * DAY]))
    if within is None and any(n is not None for n in counts.values()) and not any(counts.values()):
        counts["last"] = 1
    tagged = draw(st.sampled_from([None, 10 * DAY]))
    return Keep(**counts, within=within, tagged=tagged, minimum=draw(st.integers(0, most)))


@st.composite
def vaults(draw: st.DrawFn) -> list[Copy]:
    """Backups of thirty years, hours or years apart, in any state, some of the future."""
    ages = draw(
        st.lists(
            st.one_of(st.integers(-100, 24 * 60), st.integers(-100, _THIRTY_YEARS_H)),
            max_size=40,
            unique=True,
        )
    )
    return [
        copy(NOW - HOUR * age, *draw(_MARKS), type_=draw(st.sampled_from(["daily", "weekly"])))
        for age in ages
    ]


def by_type(keep: Keep | None) -> dict[str, Keep]:
    return {} if keep is None else {"weekly": keep}


@settings(max_examples=400, deadline=None)
@given(vaults(), keeps(), st.one_of(st.none(), keeps()))
def test_what_may_never_be_deleted_is_never_deleted(
    copies: list[Copy], keep: Keep, weekly: Keep | None
) -> None:
    made = plan(copies, keep, by_type(weekly), NOW)
    gone = [one for one, _why in made.expired]
    sound = [one for one in copies if one.good and one.taken_at <= NOW]
    left = [one for one in sound if one not in gone]
    newest = max(sound, key=lambda one: one.taken_at, default=None)
    drilled = [one for one in sound if one.latest("drilled")]

    assert len(made.kept) + len(made.expired) + len(made.deferred) == len(copies)
    assert newest not in gone
    assert max(drilled, key=lambda one: one.taken_at, default=None) not in gone
    assert not any(one.pinned or one.taken_at > NOW for one in gone)
    assert len(left) >= min(keep.minimum, len(sound))
    assert not (made.held and gone)
    assert newest is not None or made.held
    doubtful = [one for one in gone if not one.good]
    assert all(NOW - one.taken_at > 7 * DAY for one in doubtful)
    assert all(newest is not None and one.taken_at < newest.taken_at for one in doubtful)


@settings(max_examples=400, deadline=None)
@given(vaults(), keeps(), st.one_of(st.none(), keeps()))
def test_planning_again_after_applying_deletes_nothing_more(
    copies: list[Copy], keep: Keep, weekly: Keep | None
) -> None:
    first = plan(copies, keep, by_type(weekly), NOW)
    rest = [one for one in copies if one.id in staying(first)]
    assert plan(rest, keep, by_type(weekly), NOW).expired == ()


@settings(max_examples=300, deadline=None)
@given(vaults(), keeps(most=1), st.sampled_from(RULES), st.integers(1, 5))
def test_a_larger_count_never_deletes_more(
    copies: list[Copy], keep: Keep, rule: str, more: int
) -> None:
    counts = {name: getattr(keep, name) for name in RULES}
    counts[rule] = (counts[rule] or 0) + more
    larger = Keep(**counts, within=keep.within, tagged=keep.tagged, minimum=keep.minimum)
    unlimited = keep.within is None and all(getattr(keep, name) is None for name in RULES)
    smaller_stays = set() if unlimited else staying(plan(copies, keep, {}, NOW))
    assert smaller_stays <= staying(plan(copies, larger, {}, NOW))


@settings(max_examples=200, deadline=None)
@given(vaults(), keeps())
def test_a_rule_never_keeps_more_than_its_count(copies: list[Copy], keep: Keep) -> None:
    made = plan(copies, keep, {}, NOW)
    for rule in RULES:
        won = sum(reason.startswith(rule) for _one, reasons in made.kept for reason in reasons)
        assert won <= (getattr(keep, rule) or 0)


@settings(max_examples=100, deadline=None)
@given(vaults(), keeps(), st.randoms())
def test_the_order_of_a_listing_does_not_matter(copies: list[Copy], keep: Keep, dice) -> None:  # type: ignore[no-untyped-def]
    mixed = list(copies)
    dice.shuffle(mixed)
    assert plan(mixed, keep, {}, NOW) == plan(copies, keep, {}, NOW)


def test_thirty_years_of_daily_backups_pruned_daily_keep_a_full_history() -> None:
    keep = Keep(daily=7, weekly=4, monthly=12, yearly=40)
    there: list[Copy] = []
    begin = parse_instant("1997-01-01 02:00")
    for day in range(30 * 365):
        now = begin + DAY * day
        there = [*there, *good(now)]
        gone = {one.id for one, _why in plan(there, keep, {}, now).expired}
        there = [one for one in there if one.id not in gone]
    years = {one.taken_at.year for one in there}
    assert years == set(range(1997, 2027))
    assert len(there) <= 7 + 4 + 12 + 40
    assert {one.taken_at.month for one in there if one.taken_at.year == 2026} == set(range(1, 13))


def test_planning_a_hundred_thousand_backups_takes_seconds() -> None:
    copies = [
        Copy("%06d" % hour, NOW - HOUR * hour, "hourly", True, (Mark("intact", NOW),))
        for hour in range(100_000)
    ]
    began = time.process_time()
    made = plan(copies, Keep(last=3, hourly=48, daily=7, weekly=4, monthly=12, yearly=3), {}, NOW)
    assert len(made.expired) > 99_900
    assert time.process_time() - began < 20  # about 2 s on the slowest machine that was tried


# -- sweeping


def stored(id_: str, name: str, changed_at: datetime, job: str = "shop") -> Stored:
    return Stored("archives/db1/%s/%s/%s" % (job, id_, name), 10, changed_at)


OLD = backup_id(NOW - 90 * DAY, "daily", "7f3a")
LONG_AGO = NOW - 80 * DAY
SOUND = good("2026-11-21 02:00")


def test_archives_of_a_pruned_backup_go_after_a_day() -> None:
    one = Copy(OLD, NOW - 90 * DAY, "daily", False, (Mark("intact", LONG_AGO), Mark("pruned", NOW)))
    objects = [stored(OLD, "db.tar", LONG_AGO), stored(OLD, "SHA256SUMS", LONG_AGO)]
    assert sweepable(objects, [one], NOW + timedelta(hours=23, minutes=59)) == ()
    (sweep,) = sweepable(objects, [one], NOW + timedelta(hours=24))
    assert (sweep.id, sweep.why) == (OLD, "pruned")


def test_a_pruned_mark_beside_a_manifest_sweeps_nothing() -> None:
    one = Copy(OLD, NOW - 90 * DAY, "daily", True, (Mark("pruned", LONG_AGO),))
    assert sweepable([stored(OLD, "db.tar", LONG_AGO)], [one, *SOUND], NOW) == ()


def test_orphans_go_when_none_of_their_objects_changed_for_48_hours() -> None:
    still, edge = NOW - timedelta(hours=48), NOW - timedelta(hours=48, seconds=1)
    objects = [stored(OLD, "db.tar", LONG_AGO), stored(OLD, "up.tar", still)]
    assert sweepable(objects, SOUND, NOW) == ()
    objects = [stored(OLD, "db.tar", LONG_AGO), stored(OLD, "up.tar", edge)]
    assert [sweep.why for sweep in sweepable(objects, SOUND, NOW)] == ["never committed"]


def test_committed_archives_are_never_swept() -> None:
    one = copy("2020-01-01", "bad", "partial")
    assert sweepable([stored(one.id, "db.tar", LONG_AGO)], [one], NOW) == ()


def test_a_lost_catalog_makes_no_orphans() -> None:
    assert sweepable([stored(OLD, "db.tar", LONG_AGO)], [], NOW) == ()


@pytest.mark.parametrize("kind", ["intact", "drilled", "bad"])
def test_a_lost_manifest_makes_no_orphan(kind: str) -> None:
    one = Copy(OLD, NOW - 90 * DAY, "daily", False, (Mark(kind, LONG_AGO),))
    assert sweepable([stored(OLD, "db.tar", LONG_AGO)], [one, *SOUND], NOW) == ()


@pytest.mark.parametrize("kind", ["partial", "suspect", "pin", "tag"])
def test_marks_of_a_run_that_never_committed_protect_nothing(kind: str) -> None:
    one = Copy(OLD, NOW - 90 * DAY, "daily", False, (Mark(kind, LONG_AGO),))
    assert len(sweepable([stored(OLD, "db.tar", LONG_AGO)], [one, *SOUND], NOW)) == 1


@pytest.mark.parametrize(
    "key",
    ["archives/db1/shop/holiday/photo.jpg", "archives/%s" % OLD, "other/db1/shop/%s/x" % OLD,
     "archives/db1/shop/%s/sub/x" % OLD, "archives/db1/shop/%s" % OLD, ""],
)  # fmt: skip
def test_names_that_are_not_ours_are_never_swept(key: str) -> None:
    assert sweepable([Stored(key, 1, LONG_AGO)], SOUND, NOW) == ()


def test_what_was_written_again_with_other_keys_takes_no_place_and_goes_by_age() -> None:
    """The new one has the same instant; the old one keeps neither pin, tag nor a place in a rule."""
    old = [copy(one.taken_at, "intact", "pin", "tag=v1", "replaced") for one in daily(10)]
    new = [
        Copy(backup_id(one.taken_at, "daily", "fffe"), one.taken_at, "daily", True, one.marks)
        for one in daily(10)
    ]
    made = plan([*old, *new], Keep(last=10), {}, NOW)
    assert {one.id for one in new} <= {one.id for one in kept(made)}
    gone = {one.id for one, _why in made.expired}
    assert gone == {one.id for one in old if NOW - one.taken_at > timedelta(days=7)}


def test_a_replaced_copy_stays_7_days_from_its_mark_however_old_it_is() -> None:
    old = copy(NOW - 10 * DAY, "intact")
    marked = [
        old._replace(marks=(*old.marks, Mark("replaced", NOW - age))) for age in (HOUR, 8 * DAY)
    ]
    young, ripe = (
        plan([copy(NOW - HOUR, "intact"), one], Keep(daily=1), {}, NOW) for one in marked
    )
    assert "replaced, and not older than 7 days" in why(young, marked[0])
    assert [one.id for one, _why in ripe.expired] == [old.id]
