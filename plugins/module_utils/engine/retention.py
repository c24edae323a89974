# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which backups of one job at one destination to delete. Pure: no clock, no storage.

Rules: docs/design.md#retention. Only good copies count for a rule; whatever is in doubt stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Callable

from .errors import ConfigError
from .policy import Keep
from .stored import Copy
from .units import human_duration, iso

STALE_AFTER = timedelta(hours=48)  # the freshness limit of a daily job
SKEW = timedelta(minutes=10)  # of clocks; what is dated later is not from now
UNDECIDED_FOR = timedelta(days=7)  # a restore that nobody confirms or undoes is let be then
FEW = 3  # so many may always go in one run; of more, at most half: see `excess`
_NO_RULE = "no rule keeps it"
_UNPROVED_FOR = timedelta(days=7)  # time to prove or mend a copy before it may go

# (rule, number of an instant's period, form of its name). Periods are those of the calendar in UTC:
# half-open, they never overlap. Weeks are ISO's, from Monday on, which day 1 of year 1 was. %G and %V
# name them: with %Y the last days of a year would fall into a week that does not exist.
_PERIODS: tuple[tuple[str, Callable[[datetime], int], str], ...] = (
    ("hourly", lambda at: at.toordinal() * 24 + at.hour, "%Y-%m-%dT%H"),
    ("daily", lambda at: at.toordinal(), "%Y-%m-%d"),
    ("weekly", lambda at: (at.toordinal() - 1) // 7, "%G-W%V"),
    ("monthly", lambda at: at.year * 12 + at.month, "%Y-%m"),
    ("yearly", lambda at: at.year, "%Y"),
)
_COUNTS = ("last", *(rule for rule, _number, _form in _PERIODS))


@dataclass(frozen=True)
class Plan:
    """What to delete and why, newest first. To apply it is to prune `expired`, and nothing else."""

    kept: tuple[tuple[Copy, tuple[str, ...]], ...]  # with all reasons
    expired: tuple[tuple[Copy, str], ...]  # with the reason; empty while `held`
    deferred: tuple[tuple[Copy, str], ...]  # no rule keeps them, but they do not go now; and why
    held: str  # why nothing at all is deleted now; "" = the plan applies


def plan(
    copies: Sequence[Copy],
    keep: Keep,
    keep_by_type: Mapping[str, Keep],
    now: datetime,
    stale_after: timedelta = STALE_AFTER,
) -> Plan:
    """Split the committed copies of one job at one destination into kept, expired and deferred.

    `keep_by_type` holds the schedules that have a keep of their own: those are counted within their
    type, all others together under `keep`, whose `minimum` is also the floor of the whole job.
    Raises ConfigError if a policy would keep nothing: an empty vault is never a policy.
    """
    check("keep", keep)
    for name in sorted(keep_by_type):
        check("schedules.%s.keep" % name, keep_by_type[name])
    there = sorted(
        (copy for copy in copies if copy.committed),
        key=lambda copy: (copy.taken_at, copy.id),
        reverse=True,
    )
    past = [copy for copy in there if copy.taken_at <= now + SKEW]
    # Few of 100,000: all others were proved, and nothing else was ever said of them.
    said = {
        copy.id: copy for copy in there if len(copy.marks) != 1 or copy.marks[0].kind != "intact"
    }
    good = [copy for copy in past if copy.id not in said or copy.good]
    good_ids = {copy.id for copy in good}
    subsets = {id_ for id_, copy in said.items() if copy.subset}
    reasons: dict[str, list[str]] = {}  # only of those that have one
    waits: dict[str, str] = {}
    for copy in there[: len(there) - len(past)]:
        reasons.setdefault(copy.id, []).append("dated in the future")
    for copy in good[:1]:
        reasons.setdefault(copy.id, []).append("newest good")
    for copy in said.values():
        if copy.id in good_ids and copy.latest("drilled"):
            reasons.setdefault(copy.id, []).append("newest drilled")
            break
    # What holds only some sources is counted apart: it never takes the place of a whole backup.
    whole = [copy for copy in good if copy.id not in subsets] or good
    for copy in whole[:1]:
        reasons.setdefault(copy.id, []).append("newest whole")
    groups: dict[tuple[str | None, bool], list[Copy]] = {}
    for copy in there:
        own_type = copy.type if copy.type in keep_by_type else None
        groups.setdefault((own_type, copy.id in subsets), []).append(copy)
    for (type_, _subset), members in groups.items():
        own = keep if type_ is None else keep_by_type[type_]
        counted = [copy for copy in members if copy.id in good_ids]
        doubtful = [copy for copy in members if copy.id not in reasons and copy.id not in good_ids]
        if own.unlimited:
            for copy in members:
                reasons.setdefault(copy.id, []).append("no rule: everything is kept")
        _protect([copy for copy in members if copy.id in said], own, now, reasons)
        _count(counted, own, now, reasons)
        _spare(doubtful, counted, now, reasons)
        _floor(counted, own.minimum if type_ else 0, reasons, waits)
    _floor(whole, keep.minimum, reasons, waits)

    stranger = disputed(there, now)
    held = two_hosts(stranger) if stranger else undecided(there, now)
    held = held or _held(past, good, subsets, now, stale_after)
    going = [copy for copy in there if copy.id not in reasons and copy.id not in waits]
    if held:
        waits.update({copy.id: held for copy in going})
    return Plan(
        kept=tuple((copy, tuple(reasons[copy.id])) for copy in there if copy.id in reasons),
        expired=()
        if held
        else tuple((copy, _why(copy, good_ids) if copy.id in said else _NO_RULE) for copy in going),
        deferred=tuple((copy, waits[copy.id]) for copy in there if copy.id in waits),
        held=held,
    )


def excess(
    made: Plan, orphans: int = 0, locked: Collection[str] = (), unsound: Collection[str] = ()
) -> str:
    """Why a plan asks for too much at once, where a policy or a clock may be wrong; "" = it does not.

    More than half of the copies never go in one run, except where those are no more than FEW. What
    stays counts only while it is good: names that anybody may add make no plan smaller.
    orphans: ids that no run ever committed, whose archives would go besides: with a catalog that lost
    most of its names, all archives look so. locked: ids that the destination says it does not let go.
    unsound: ids that only look good.
    """
    going = sum(1 for copy, _why in made.expired if copy.id not in locked) + orphans
    rest = (copy for copy, _why in (*made.kept, *made.deferred) if copy.id not in unsound)
    there = going + sum(1 for copy in rest if copy.good)
    if going <= max(FEW, there // 2):
        return ""
    return "%d of the %d backups here would go at once, more than half" % (going, there)


def check(where: str, keep: Keep) -> None:
    """Raise ConfigError for rules that would keep nothing, or that count below 0."""
    counts = {name: getattr(keep, name) for name in _COUNTS if getattr(keep, name) is not None}
    for name, count in dict(counts, minimum=keep.minimum).items():
        if count < 0:
            raise ConfigError("%s.%s is %d: a count is never negative" % (where, name, count))
    within = keep.within is not None and keep.within > timedelta(0)
    if not keep.unlimited and not within and not any(counts.values()):
        raise ConfigError(
            "%s would keep nothing" % where, hint="give at least one of %s" % ", ".join(_COUNTS)
        )


def _protect(
    members: Sequence[Copy], keep: Keep, now: datetime, reasons: dict[str, list[str]]
) -> None:
    """Whatever the state of a copy: pins, and tags while they protect."""
    for copy in members:
        if copy.replaced:
            continue  # by one that carries its pins and tags
        if copy.pinned:
            reasons.setdefault(copy.id, []).append("pinned")
        for mark in copy.marks:
            if mark.kind == "tag" and (keep.tagged is None or now - mark.at < keep.tagged):
                reasons.setdefault(copy.id, []).append("tagged %s" % mark.value)


def _count(good: Sequence[Copy], keep: Keep, now: datetime, reasons: dict[str, list[str]]) -> None:
    """The rules proper, with restic's and borg's meaning, over good copies, newest first."""
    for copy in good[: keep.last or 0]:
        reasons.setdefault(copy.id, []).append("last")
    for rule, number, form in _PERIODS:
        left, seen, won = getattr(keep, rule) or 0, -1, None
        for copy in good if left else ():
            at = copy.taken_at.astimezone(timezone.utc)
            if number(at) == seen:
                continue
            reasons.setdefault(copy.id, []).append("%s %s" % (rule, at.strftime(form)))
            left, seen, won = left - 1, number(at), copy
            if not left:
                break
        if left and good and won is not good[-1]:
            # A slot is left over: the oldest fills it, or a young job would have no history
            # beyond its last days (so do restic since 0.17 and borg since 1.2).
            reasons.setdefault(good[-1].id, []).append("%s, the oldest" % rule)
    if keep.within is not None and good:
        # Counted from the newest good one, as restic does: a job that stands still loses nothing.
        newest = min(good[0].taken_at, now)  # less `within` may be before there were dates
        for copy in good:
            if newest - copy.taken_at < keep.within:
                reasons.setdefault(copy.id, []).append("within %s" % human_duration(keep.within))


def _spare(
    doubtful: Sequence[Copy],
    good: Sequence[Copy],
    now: datetime,
    reasons: dict[str, list[str]],
) -> None:
    """A copy that is not good counts for nothing; it goes when old, if a good one is newer."""
    for copy in doubtful:
        state, replaced = _doubt(copy), copy.latest("replaced")
        # One that was replaced is as old as that: for so long it is the way back to the former key.
        since = replaced.at if replaced else copy.taken_at
        if now - since <= _UNPROVED_FOR:
            reasons.setdefault(copy.id, []).append("%s, and not older than 7 days" % state)
        elif not good or good[0].taken_at <= copy.taken_at:
            reasons.setdefault(copy.id, []).append("%s, and no good one is newer" % state)


def _floor(
    good: Sequence[Copy], minimum: int, reasons: Mapping[str, list[str]], waits: dict[str, str]
) -> None:
    """Hold back the newest of those that would go, until `minimum` good ones stay."""
    staying = sum(1 for copy in good if copy.id in reasons or copy.id in waits)
    for copy in good:
        if staying >= minimum:
            break
        if copy.id not in reasons and copy.id not in waits:
            waits[copy.id] = "at least %d good backups stay" % minimum
            staying += 1


def disputed(there: Sequence[Copy], now: datetime) -> str:
    """The id of a backup that a host of this name says it did not make; "" = none, or accepted since.

    A mark `accepted` of a backup that is no stranger speaks of its size.
    """
    said = [copy for copy in there if copy.committed and copy.latest("stranger")]
    settled = [mark.at for copy in said for mark in copy.marks if mark.kind == "accepted"]
    waiting = [
        (mark.at, copy.id)
        for copy in said
        for mark in copy.marks
        if mark.kind == "stranger" and mark.at <= now + SKEW
    ]
    at, id_ = max(waiting, default=(now, ""))
    return "" if settled and max(settled) >= at else id_


def two_hosts(id_: str) -> str:
    """Why nothing goes then."""
    return "two hosts seem to have this name: the other one made %s" % id_


def undecided(there: Sequence[Copy], now: datetime) -> str:
    """Why nothing goes while somebody may have to choose another backup: "" = nobody has to."""
    said = [one for one in there for mark in one.marks if mark.kind == "restored"]
    for copy in (one for one in said if one.committed):
        since = waiting_since(copy, now)
        if since is not None and now - since < UNDECIDED_FOR:
            return "the restore of %s is neither confirmed nor undone" % copy.id
    return ""


def waiting_since(copy: Copy, now: datetime) -> datetime | None:
    """When it was restored, while that is neither confirmed nor undone; None = nothing waits.

    Marks may be anybody's. Of those dated in the future `restored` would hold for as long as it likes,
    and `settled` would end the wait for every restore to come: neither counts.
    """
    past = tuple(one for one in copy.marks if one.at <= now + SKEW)
    newest = copy._replace(marks=past).latest("settled", "restored")
    return newest.at if newest is not None and newest.kind == "restored" else None


def misdated(there: Sequence[Copy], now: datetime) -> tuple[tuple[str, str], ...]:
    """(id, why) of the marks about restores that count for nothing, by their date."""
    found = []
    for copy in (one for one in there if one.committed):
        said = [mark for mark in copy.marks if mark.kind in ("restored", "settled")]
        first = min((mark.at for mark in said if mark.kind == "restored"), default=None)
        for mark in said:
            why = ""
            if mark.at > now + SKEW:
                why = "is dated in the future"
            elif first is not None and mark.at < first:
                why = "comes before any restore"
            if why:
                found.append((copy.id, "its mark %s of %s %s" % (mark.kind, iso(mark.at), why)))
    return tuple(found)


def _held(
    past: Sequence[Copy],
    good: Sequence[Copy],
    subsets: set[str],
    now: datetime,
    stale_after: timedelta,
) -> str:
    if not good:
        return "there is no good backup here"
    doubted = _unanswered(past, subsets, now)
    if doubted is not None:
        newest = "the newest backup" if doubted is past[0] else "backup"
        return "%s %s is %s" % (newest, doubted.id, doubted.state)
    age = now - good[0].taken_at
    if age > stale_after:
        return "the newest good backup %s is %s old, its limit is %s" % (
            good[0].id,
            human_duration(age),
            human_duration(stale_after),
        )
    return ""


def _unanswered(past: Sequence[Copy], subsets: set[str], now: datetime) -> Copy | None:
    """The newest copy that went wrong, unless a later good one, whole or of its type, says that all is
    well again: a later run of another source alone says nothing. Older than 7 days it is only asked
    for while it is the newest."""
    answered: set[str] = set()
    for copy in past:
        if copy is not past[0] and now - copy.taken_at > _UNPROVED_FOR:
            return None
        if copy.good:
            if copy.id not in subsets:
                return None
            answered.add(copy.type)
        elif copy.state in ("partial", "suspect", "corrupt") and copy.type not in answered:
            return copy
    return None


def _doubt(copy: Copy) -> str:
    return "not proved" if copy.state == "stored" else copy.state


def _why(copy: Copy, good_ids: set[str]) -> str:
    why = _NO_RULE
    if copy.id not in good_ids:
        why = "%s, older than 7 days, and a good one is newer" % _doubt(copy)
    before = copy.latest("pruned")
    if before is not None:
        why += "; it was not let go on %s" % before.at.strftime("%Y-%m-%d")
    return why
