# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune: make the plan of each destination, and carry out exactly that plan.

A backup goes in two steps, so that a reader is never cut off: its manifest is replaced by a `pruned`
mark now; its archives go on the first prune at least 24 h later. How one goes is in `pruning`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Callable

from ... import retention
from ...errors import LifeboatError
from ...job import Job
from ...listed import copies
from ...naming import archives_prefix, catalog_prefix, manifest_key, mark_key
from ...ports import Destination
from ...progress import Listener, silent
from ...retention import Plan
from ...stored import Copy
from ...sweeping import ORPHAN, Sweep, sweepable, unfinished_before
from ...units import human_duration
from ..copies.strangers import strangers
from ..standing.status import limits
from . import places
from .drill_keeping import outdated
from .pruning import Pruned, Pruning, name_of

_CLOCKS = timedelta(hours=48)  # between a host's clock and a destination's: more is a wrong date


@dataclass(frozen=True)
class Planned:
    """What pruning one destination would do. `failure`: it could not be asked."""

    destination: str
    plan: Plan | None = None
    sweeps: tuple[Sweep, ...] = ()
    failure: str = ""
    excess: str = ""  # why this is more than one run may delete; "" = it is not
    stranger: str = ""  # the id for which somebody has to decide first: two hosts have one name
    unsound: tuple[
        tuple[str, str], ...
    ] = ()  # (id, why) of what looks like a backup and is not sound
    unfinished_before: datetime | None = None  # uploads that began then or later stay
    misdated: tuple[tuple[str, str], ...] = ()  # (id, why) of a mark that does not count
    reports: tuple[str, ...] = ()  # keys of reports of drills that nobody reads any more
    left: tuple[Copy, ...] = ()  # pruned, and what lay beside their manifests may be there still


def plan(
    job: Job, now: datetime, *, held: str = "", host: str = "", known: Collection[str] = ()
) -> Iterator[Planned]:
    """The plan for every destination of `job`; changes nothing. `held`: why nothing may go now.
    `known`: the ids that were begun on this host, where it is the one that makes them.

    Each is made when it is asked for: who lets go of one before has room for 100,000 backups at each.
    """
    return (_plan_one(job, one, host or job.host, now, held, known) for one in job.destinations)


def apply(
    job: Job,
    planned: Iterable[Planned],
    clock: Callable[[], datetime],
    *,
    host: str = "",
    limit: bool = True,
    listener: Listener = silent,
) -> list[Pruned]:
    """Carry out exactly `planned`. What a destination refuses (a lock, no right) is told, not an error.

    limit: a plan that asks for too much at once is not carried out at all.
    """

    def carry_out(one: Planned) -> Pruned:
        return _apply_one(job, one, host or job.host, clock, limit, listener)

    return list(map(carry_out, planned))  # holds no plan while the next one is made


def only(planned: Sequence[Planned], allowed: Mapping[str, Collection[str]]) -> list[Planned]:
    """The same without what is not in `allowed`, {destination: ids}: an earlier plan that people saw."""
    narrowed = []
    for one in planned:
        ids = allowed.get(one.destination, ())
        if one.plan is not None:
            expired = tuple(gone for gone in one.plan.expired if gone[0].id in ids)
            sweeps = tuple(sweep for sweep in one.sweeps if sweep.id in ids)
            reports = tuple(key for key in one.reports if name_of(key) in ids)
            made = replace(one.plan, expired=expired)
            one = replace(one, plan=made, sweeps=sweeps, reports=reports)
        narrowed.append(one)
    return narrowed


def _plan_one(
    job: Job,
    destination: Destination,
    host: str,
    now: datetime,
    held: str,
    known: Collection[str],
) -> Planned:
    try:
        there = list(copies(destination.list(catalog_prefix(host, job.name))))
        by_type = {one.type: one.keep for one in job.schedules if one.keep is not None}
        _warning, stale = limits(job)
        keep = job.keep_for(destination.name)

        def plan_of(some: Sequence[Copy]) -> Plan:
            return retention.plan(some, keep, by_type, now, stale)

        placed = places.planned(destination, host, job, there, plan_of)
        made, unsound = placed.plan, placed.unsound
        # Also of one that takes no place: it was restored all the same.
        stranger = _stranger(destination, host, job.name, there, known, now)
        why = retention.two_hosts(stranger) if stranger else ""
        held = why or made.held or held or retention.undecided(there, now)
        misdated = retention.misdated(there, now)
        held = held or _wrong_clock(destination, host, job.name, made)
        if held:
            late = tuple((copy, held) for copy, _why in made.expired)
            made = Plan(made.kept, (), made.deferred + late, held)
            return Planned(
                destination.name, made, stranger=stranger, unsound=unsound, misdated=misdated
            )
        # One that is committed while this is listed is no orphan: its last archive is hours young.
        stored = destination.list(archives_prefix(host, job.name))
        sweeps = sweepable(stored, there, now)
    except LifeboatError as exc:
        return Planned(destination.name, failure=str(exc))
    orphans = sum(1 for sweep in sweeps if sweep.why == ORPHAN)
    locked = _locked(destination, host, job.name, made)
    excess = retention.excess(made, orphans, locked, {id_ for id_, _why in unsound})
    unfinished = unfinished_before(there, now)
    reports = tuple(mark_key(host, job.name, *one) for one in outdated(there, now))
    gone = (copy for copy in there if not copy.committed and copy.latest("pruned"))
    left = tuple(copy for copy in gone if copy.signed or copy.latest("mended"))
    return Planned(
        destination.name, made, sweeps, "", excess, "", unsound, unfinished, misdated, reports, left
    )


def _stranger(
    destination: Destination,
    host: str,
    job: str,
    there: Sequence[Copy],
    known: Collection[str],
    now: datetime,
) -> str:
    """What somebody has to decide about first; also where nobody has marked it yet."""
    marked = retention.disputed(there, now)
    if marked or not known:
        return marked
    return next((copy.id for copy in strangers(destination, host, job, there, known)), "")


def _locked(destination: Destination, host: str, job: str, made: Plan) -> list[str]:
    """The ids that the destination, asked now, says it does not let go: a mark may be anybody's."""
    locked = getattr(destination, "locked", None)
    before = [copy.id for copy, _why in made.expired if copy.latest("pruned") is not None]
    if locked is None or not before:
        return []
    ids = {manifest_key(host, job, id_): id_ for id_ in before}
    return [ids[key] for key in locked(list(ids))]


def _wrong_clock(destination: Destination, host: str, job: str, made: Plan) -> str:
    """Why nothing goes: the newest good backup came before the time that it says it is of. "" = no.

    A clock that ran ahead for one night makes all older backups look out of date.
    """
    newest = next((copy for copy, why in made.kept if "newest good" in why), None)
    if newest is None or not made.expired:
        return ""
    for stored in destination.list(manifest_key(host, job, newest.id)):
        ahead = newest.taken_at - stored.changed_at
        if ahead > _CLOCKS:
            return (
                "the newest good backup %s was stored %s before the time it is dated: see the clocks"
                % (
                    newest.id,
                    human_duration(ahead),
                )
            )
    return ""


def _apply_one(
    job: Job,
    planned: Planned,
    host: str,
    clock: Callable[[], datetime],
    limit: bool,
    listener: Listener,
) -> Pruned:
    if planned.plan is None:
        return Pruned(planned.destination, failure=planned.failure)
    if planned.stranger:
        return Pruned(planned.destination, stranger=planned.stranger)
    if planned.excess and limit:
        return Pruned(planned.destination, excess=planned.excess)
    one = Pruning(job.destination(planned.destination), host, job.name, clock, listener)
    try:
        one.prune(planned.plan.expired)
        if not planned.plan.held:
            one.tidy_left(planned.left)
            one.sweep(planned.sweeps)
            one.forget(planned.reports)
            one.clean(planned.unfinished_before)
    except LifeboatError as exc:
        return one.done(str(exc))
    return one.done()
