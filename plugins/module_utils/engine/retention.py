# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which backups of one job at one destination to delete. Pure: no clock, no storage.

Rules: docs/design.md#retention. Only good copies count for a rule; whatever is in doubt stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .errors import ConfigError, FormatError
from .model import Copy, Keep, Stored
from .naming import ARCHIVES, parse_id
from .units import human_duration

STALE_AFTER = timedelta(hours=48)  # the freshness limit of a daily job
PRUNED_FOR = timedelta(hours=24)  # whoever reads the archives of a pruned backup gets this long
ORPHAN_AFTER = timedelta(hours=48)  # longer than any run: what is still being written is no orphan
SKEW = timedelta(minutes=10)  # of clocks; what is dated later is not from now
_UNPROVED_FOR = timedelta(days=7)  # time to prove or mend a copy before it may go

# A period is named by the calendar in UTC, so periods are half-open and never overlap. Weeks are
# ISO's: %G-%V; with %Y the last days of a year would fall into a week that does not exist.
_PERIODS = (
    ("hourly", "%Y-%m-%dT%H"),
    ("daily", "%Y-%m-%d"),
    ("weekly", "%G-W%V"),
    ("monthly", "%Y-%m"),
    ("yearly", "%Y"),
)
_COUNTS = ("last", *(rule for rule, _form in _PERIODS))
# Marks that are written after the commit: the manifest was here once, and is lost.
_COMMITTED_ONCE = ("intact", "drilled", "bad")


@dataclass(frozen=True)
class Plan:
    """What to delete and why, newest first. To apply it is to prune `expired`, and nothing else."""

    kept: tuple[tuple[Copy, tuple[str, ...]], ...]  # with all reasons
    expired: tuple[tuple[Copy, str], ...]  # with the reason; empty while `held`
    deferred: tuple[tuple[Copy, str], ...]  # no rule keeps them, but they do not go now; and why
    held: str  # why nothing at all is deleted now; "" = the plan applies


@dataclass(frozen=True)
class Sweep:
    """The archives of one id that belong to no backup any more."""

    id: str
    keys: tuple[str, ...]
    why: str


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
    _check("keep", keep)
    for name in sorted(keep_by_type):
        _check("schedules.%s.keep" % name, keep_by_type[name])
    there = sorted(
        (copy for copy in copies if copy.committed),
        key=lambda copy: (copy.taken_at, copy.id),
        reverse=True,
    )
    past = [copy for copy in there if copy.taken_at <= now + SKEW]
    good = [copy for copy in past if copy.good]
    good_ids = {copy.id for copy in good}
    reasons: dict[str, list[str]] = {copy.id: [] for copy in there}
    waits: dict[str, str] = {}
    for copy in there[: len(there) - len(past)]:
        reasons[copy.id].append("dated in the future")
    for copy in good[:1]:
        reasons[copy.id].append("newest good")
    for copy in [copy for copy in good if copy.latest("drilled")][:1]:
        reasons[copy.id].append("newest drilled")
    # What holds only some sources is counted apart: it never takes the place of a whole backup.
    whole = [copy for copy in good if not copy.subset] or good
    for copy in whole[:1]:
        reasons[copy.id].append("newest whole")
    groups: dict[tuple[str | None, bool], list[Copy]] = {}
    for copy in there:
        own_type = copy.type if copy.type in keep_by_type else None
        groups.setdefault((own_type, copy.subset), []).append(copy)
    for (type_, _subset), members in groups.items():
        own = keep if type_ is None else keep_by_type[type_]
        counted = [copy for copy in members if copy.id in good_ids]
        doubtful = [copy for copy in members if not reasons[copy.id] and copy.id not in good_ids]
        _protect(members, own, now, reasons)
        _count(counted, own, now, reasons)
        _spare(doubtful, counted, now, reasons)
        _floor(counted, own.minimum if type_ else 0, reasons, waits)
    _floor(whole, keep.minimum, reasons, waits)

    held = _held(past, good, now, stale_after)
    going = [copy for copy in there if not reasons[copy.id] and copy.id not in waits]
    if held:
        waits.update({copy.id: held for copy in going})
    return Plan(
        kept=tuple((copy, tuple(reasons[copy.id])) for copy in there if reasons[copy.id]),
        expired=() if held else tuple((copy, _why(copy)) for copy in going),
        deferred=tuple((copy, waits[copy.id]) for copy in there if copy.id in waits),
        held=held,
    )


def sweepable(
    archives: Iterable[Stored], copies: Sequence[Copy], now: datetime
) -> tuple[Sweep, ...]:
    """The archives to delete, by id: those of pruned backups, and those that no run ever committed.

    archives: all objects below archives/<host>/<job>/ of one job; copies: the same job's catalog,
    listed *after* them, so that a backup committed in between is seen. Foreign names stay.
    """
    known = {copy.id: copy for copy in copies}
    # With an empty catalog every archive looks like an orphan; then it is the catalog that is lost.
    trusted = any(copy.committed for copy in copies)
    found: dict[str, list[Stored]] = {}
    for stored in archives:
        id_ = _id_of(stored.key)
        if id_ is not None:
            found.setdefault(id_, []).append(stored)
    swept = []
    for id_, objects in sorted(found.items()):
        why = _sweep_reason(known.get(id_), objects, now, trusted)
        if why:
            swept.append(Sweep(id_, tuple(sorted(stored.key for stored in objects)), why))
    return tuple(swept)


def _check(where: str, keep: Keep) -> None:
    counts = {name: getattr(keep, name) for name in _COUNTS if getattr(keep, name) is not None}
    for name, count in dict(counts, minimum=keep.minimum).items():
        if count < 0:
            raise ConfigError("%s.%s is %d: a count is never negative" % (where, name, count))
    within = keep.within is not None and keep.within > timedelta(0)
    if not _unlimited(keep) and not within and not any(counts.values()):
        raise ConfigError(
            "%s would keep nothing" % where, hint="give at least one of %s" % ", ".join(_COUNTS)
        )


def _unlimited(keep: Keep) -> bool:
    """No rule at all: everything is kept."""
    return keep.within is None and all(getattr(keep, name) is None for name in _COUNTS)


def _protect(
    members: Sequence[Copy], keep: Keep, now: datetime, reasons: dict[str, list[str]]
) -> None:
    """Whatever the state of a copy: no rules at all, pins, and tags while they protect."""
    for copy in members:
        if _unlimited(keep):
            reasons[copy.id].append("no rule: everything is kept")
        if copy.pinned:
            reasons[copy.id].append("pinned")
        for mark in copy.marks:
            if mark.kind == "tag" and (keep.tagged is None or now - mark.at < keep.tagged):
                reasons[copy.id].append("tagged %s" % mark.value)


def _count(good: Sequence[Copy], keep: Keep, now: datetime, reasons: dict[str, list[str]]) -> None:
    """The rules proper, with restic's and borg's meaning, over good copies, newest first."""
    for copy in good[: keep.last or 0]:
        reasons[copy.id].append("last")
    for rule, form in _PERIODS:
        left, seen = getattr(keep, rule) or 0, ""
        for copy in good:
            period = copy.taken_at.astimezone(timezone.utc).strftime(form)
            if left and period != seen:
                reasons[copy.id].append("%s %s" % (rule, period))
                left, seen = left - 1, period
            elif left and copy is good[-1]:
                # A slot is left over: the oldest fills it, or a young job would have no history
                # beyond its last days (so do restic since 0.17 and borg since 1.2).
                reasons[copy.id].append("%s, the oldest" % rule)
    if keep.within is not None and good:
        # Counted from the newest good one, as restic does: a job that stands still loses nothing.
        since = min(good[0].taken_at, now) - keep.within
        for copy in good:
            if copy.taken_at > since:
                reasons[copy.id].append("within %s" % human_duration(keep.within))


def _spare(
    doubtful: Sequence[Copy],
    good: Sequence[Copy],
    now: datetime,
    reasons: dict[str, list[str]],
) -> None:
    """A copy that is not good counts for nothing; it goes when old, if a good one is newer."""
    for copy in doubtful:
        state = _doubt(copy)
        if now - copy.taken_at <= _UNPROVED_FOR:
            reasons[copy.id].append("%s, and not older than 7 days" % state)
        elif not good or good[0].taken_at <= copy.taken_at:
            reasons[copy.id].append("%s, and no good one is newer" % state)


def _floor(
    good: Sequence[Copy], minimum: int, reasons: Mapping[str, list[str]], waits: dict[str, str]
) -> None:
    """Hold back the newest of those that would go, until `minimum` good ones stay."""
    staying = sum(1 for copy in good if reasons[copy.id] or copy.id in waits)
    for copy in good:
        if staying >= minimum:
            break
        if not reasons[copy.id] and copy.id not in waits:
            waits[copy.id] = "at least %d good backups stay" % minimum
            staying += 1


def _held(past: Sequence[Copy], good: Sequence[Copy], now: datetime, stale_after: timedelta) -> str:
    if not good:
        return "there is no good backup here"
    if past[0].state in ("partial", "suspect", "corrupt"):
        return "the newest backup %s is %s" % (past[0].id, past[0].state)
    age = now - good[0].taken_at
    if age > stale_after:
        return "the newest good backup %s is %s old, its limit is %s" % (
            good[0].id,
            human_duration(age),
            human_duration(stale_after),
        )
    return ""


def _doubt(copy: Copy) -> str:
    return "not proved" if copy.state == "stored" else copy.state


def _why(copy: Copy) -> str:
    if copy.good:
        return "no rule keeps it"
    return "%s, older than 7 days, and a good one is newer" % _doubt(copy)


def _id_of(key: str) -> str | None:
    """The id in archives/<host>/<job>/<id>/<name>; None for any other key."""
    parts = key.split("/")
    if len(parts) != 5 or parts[0] != ARCHIVES:
        return None
    try:
        parse_id(parts[3])
    except FormatError:
        return None
    return parts[3]


def _sweep_reason(
    copy: Copy | None, objects: Sequence[Stored], now: datetime, trusted: bool
) -> str:
    """Why these archives may go; "" = they stay. A manifest keeps them, whatever marks say."""
    if copy is not None and copy.committed:
        return ""
    pruned = copy.latest("pruned") if copy is not None else None
    if pruned is not None:
        return "pruned" if now - pruned.at >= PRUNED_FOR else ""
    if not trusted or (copy is not None and copy.latest(*_COMMITTED_ONCE)):
        return ""
    newest = max(stored.changed_at for stored in objects)
    return "never committed" if now - newest > ORPHAN_AFTER else ""
