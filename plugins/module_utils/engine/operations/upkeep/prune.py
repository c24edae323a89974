# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune: make the plan of each destination, and carry out exactly that plan.

A backup goes in two steps, so that a reader is never cut off: its manifest is replaced by a `pruned`
mark now; its archives go on the first prune at least 24 h later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Callable, TypeVar

from ... import retention
from ...errors import DestinationError, LifeboatError
from ...job import Job
from ...naming import (
    MENDED,
    archive_prefix,
    archives_prefix,
    catalog_prefix,
    copies,
    manifest_key,
    mark_key,
    signature_key,
)
from ...ports import Destination
from ...progress import Event, Listener, silent
from ...retention import Plan
from ...stored import Copy, Mark
from ...sweeping import ORPHAN, Sweep, id_of, sweepable, unfinished_before
from ...units import human_duration
from ..standing.status import limits
from . import places
from .drill_keeping import outdated

_BATCH = 1000  # keys that one request deletes, where a destination can
_FEW_IDS = 100  # are listed one by one; for more the whole prefix is listed once
_CLOCKS = timedelta(hours=48)  # between a host's clock and a destination's: more is a wrong date
Item = TypeVar("Item")


@dataclass(frozen=True)
class Planned:
    """What pruning one destination would do. `failure`: it could not be asked."""

    destination: str
    plan: Plan | None = None
    sweeps: tuple[Sweep, ...] = ()
    failure: str = ""
    excess: str = ""  # why this is more than one run may delete; "" = it is not
    unsound: tuple[
        tuple[str, str], ...
    ] = ()  # (id, why) of what looks like a backup and is not sound
    unfinished_before: datetime | None = None  # uploads that began then or later stay
    misdated: tuple[tuple[str, str], ...] = ()  # (id, why) of a mark that does not count
    reports: tuple[str, ...] = ()  # keys of reports of drills that nobody reads any more


@dataclass(frozen=True)
class Pruned:
    """What pruning one destination did."""

    destination: str
    pruned: tuple[str, ...] = ()  # ids whose manifest is gone
    swept: tuple[str, ...] = ()  # ids whose archives are gone
    uploads: tuple[str, ...] = ()  # unfinished ones that are gone
    retained: tuple[tuple[str, str], ...] = ()  # (id, why) of what the destination does not let go
    failure: str = ""
    excess: str = ""  # why nothing was done
    reports: tuple[str, ...] = ()  # of drills, by key, that are gone


def plan(job: Job, now: datetime, *, held: str = "", host: str = "") -> list[Planned]:
    """The plan for every destination of `job`; changes nothing. `held`: why nothing may go now."""
    return [_plan_one(job, one, host or job.host, now, held) for one in job.destinations]


def apply(
    job: Job,
    planned: Sequence[Planned],
    clock: Callable[[], datetime],
    *,
    host: str = "",
    limit: bool = True,
    listener: Listener = silent,
) -> list[Pruned]:
    """Carry out exactly `planned`. What a destination refuses (a lock, no right) is told, not an error.

    limit: a plan that asks for too much at once is not carried out at all.
    """
    return [_apply_one(job, one, host or job.host, clock, limit, listener) for one in planned]


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


def name_of(key: str) -> str:
    """What a plan calls a report: its name within the job's catalog."""
    return key.rpartition("/")[2]


def _plan_one(job: Job, destination: Destination, host: str, now: datetime, held: str) -> Planned:
    try:
        there = copies(destination.list(catalog_prefix(host, job.name)))
        by_type = {one.type: one.keep for one in job.schedules if one.keep is not None}
        _warning, stale = limits(job)
        keep = job.keep_for(destination.name)

        def plan_of(some: Sequence[Copy]) -> Plan:
            return retention.plan(some, keep, by_type, now, stale)

        placed = places.planned(destination, host, job, there, plan_of)
        made, unsound = placed.plan, placed.unsound
        # Also of one that takes no place: it was restored all the same.
        held = made.held or held or retention.undecided(there, now)
        misdated = retention.misdated(there, now)
        held = held or _wrong_clock(destination, host, job.name, made)
        if held:
            late = tuple((copy, held) for copy, _why in made.expired)
            made = Plan(made.kept, (), made.deferred + late, held)
            return Planned(destination.name, made, unsound=unsound, misdated=misdated)
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
    return Planned(
        destination.name, made, sweeps, "", excess, unsound, unfinished, misdated, reports
    )


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
    if planned.excess and limit:
        return Pruned(planned.destination, excess=planned.excess)
    one = _Pruning(job.destination(planned.destination), host, job.name, clock, listener)
    try:
        one.prune(planned.plan.expired)
        if not planned.plan.held:
            one.sweep(planned.sweeps)
            one.forget(planned.reports)
            one.clean(planned.unfinished_before)
    except LifeboatError as exc:
        return one.done(str(exc))
    return one.done()


class _Pruning:
    """One destination while it is pruned; remembers what was done, also when it ends in the middle."""

    def __init__(
        self,
        destination: Destination,
        host: str,
        job: str,
        clock: Callable[[], datetime],
        listener: Listener,
    ) -> None:
        self._destination, self._host, self._job = destination, host, job
        self._clock, self._listener = clock, listener
        self._pruned: list[str] = []
        self._swept: list[str] = []
        self._uploads: list[str] = []
        self._reports: list[str] = []
        self._retained: dict[str, str] = {}

    def done(self, failure: str = "") -> Pruned:
        return Pruned(
            self._destination.name,
            tuple(self._pruned),
            tuple(self._swept),
            tuple(self._uploads),
            tuple(self._retained.items()),
            failure,
            reports=tuple(self._reports),
        )

    def prune(self, expired: Sequence[tuple[Copy, str]]) -> None:
        """Mark first: a manifest that vanishes without one looks lost."""
        for batch in _batches(expired):
            for copy, why in batch:
                self._tell("prune", copy.id, why)
                if copy.latest("pruned") is None:
                    self._mark(copy.id)
            stay = self._wanted_since(batch)
            self._retained.update(stay)
            going = [copy for copy, _why in batch if copy.id not in stay]
            keys = {manifest_key(self._host, self._job, copy.id): copy for copy in going}
            for key, why_not in self._delete(list(keys)).items():
                self._retained[keys.pop(key).id] = why_not
            gone = [copy.id for copy in keys.values() if copy.signed]
            self._delete([signature_key(self._host, self._job, id_) for id_ in gone])
            mended = [key for key, copy in keys.items() if copy.latest("mended")]
            for key in mended:
                self._delete([one.key for one in self._destination.list(key) if MENDED in one.key])
            for copy in keys.values():
                self._pruned.append(copy.id)
                if copy.latest("pruned") is not None:
                    self._mark(copy.id)  # the archives stay for a day from now, not from then

    def sweep(self, sweeps: Sequence[Sweep]) -> None:
        ids = {one.id for one in sweeps if one.why != ORPHAN or not self._committed(one.id)}
        for one in sweeps:
            self._tell("sweep", one.id, one.why)
        for batch in _batches(self._archives(ids)):
            for key, why_not in self._delete(batch).items():
                self._retained[id_of(key)] = why_not
        self._swept += sorted(ids - set(self._retained))

    def forget(self, reports: Sequence[str]) -> None:
        """Reports of drills."""
        for batch in _batches(reports):
            stay = self._delete(batch)
            self._reports += [key for key in batch if key not in stay]
            self._retained.update({name_of(key): why for key, why in stay.items()})

    def clean(self, before: datetime | None) -> None:
        """Unfinished uploads of anybody who is gone."""
        prefix = archives_prefix(self._host, self._job)
        try:
            self._uploads += self._destination.sweep(prefix, before) if before else ()
        except DestinationError as exc:
            if not exc.permanent:
                raise
            self._listener(Event("clean", self._destination.name, problem=str(exc)))

    def _wanted_since(self, batch: Sequence[tuple[Copy, str]]) -> dict[str, str]:
        """{id: why} of those that somebody has asked to keep, or to restore, since the plan was made.

        They are marked `pruned` by now: whoever asks for one still later sees that.
        """
        listed = copies(self._destination.list(catalog_prefix(self._host, self._job)))
        held = retention.undecided(listed, self._clock())
        there, stay = {copy.id: copy for copy in listed}, {}
        for copy, _why in batch:
            said = set(there.get(copy.id, copy).marks) - set(copy.marks)
            kinds = sorted({mark.kind for mark in said} & {"pin", "tag"})
            if held or kinds:
                stay[copy.id] = held or f"somebody has given it a {kinds[0]} meanwhile"
        return stay

    def _mark(self, id_: str) -> None:
        mark = Mark("pruned", self._clock())
        self._destination.put(mark_key(self._host, self._job, id_, mark), b"")

    def _committed(self, id_: str) -> bool:
        """Whether there is a manifest by now, though there was none when the plan was made."""
        key = manifest_key(self._host, self._job, id_)  # a signature's name begins with it
        return any(one.key == key for one in self._destination.list(key))

    def _archives(self, ids: Collection[str]) -> Iterator[str]:
        """The keys of all archives of these ids, never all in memory."""
        if len(ids) <= _FEW_IDS:
            prefixes = [archive_prefix(self._host, self._job, id_) for id_ in sorted(ids)]
        else:
            prefixes = [archives_prefix(self._host, self._job)]
        for prefix in prefixes:
            for stored in self._destination.list(prefix):
                if id_of(stored.key) in ids:
                    yield stored.key

    def _delete(self, keys: Sequence[str]) -> Mapping[str, str]:
        """{key: why} of those that stay. A refusal is told, and is no reason to stop."""
        many = getattr(self._destination, "delete_many", None)
        if many is not None and keys:
            told: Mapping[str, str] = many(keys)
            return told
        stay = {}
        for key in keys:
            try:
                self._destination.delete(key)
            except DestinationError as exc:
                if not exc.permanent:
                    raise
                stay[key] = str(exc)
        return stay

    def _tell(self, phase: str, id_: str, why: str) -> None:
        self._listener(Event(phase, f"{id_} at {self._destination.name}: {why}", ended=True))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    left = iter(items)
    batch = list(islice(left, _BATCH))
    while batch:
        yield batch
        batch = list(islice(left, _BATCH))
