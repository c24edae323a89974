# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune: make the plan of each destination, and carry out exactly that plan.

A backup goes in two steps, so that a reader is never cut off: its manifest is replaced by a `pruned`
mark now; its archives go on the first prune at least 24 h later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .. import retention
from ..errors import DestinationError, LifeboatError
from ..job import Job
from ..model import Mark
from ..naming import archives_prefix, catalog_prefix, copies, manifest_key, mark_key
from ..ports import Destination
from ..progress import Event, Listener, silent
from .status import limits


@dataclass(frozen=True)
class Planned:
    """What pruning one destination would do. `failure`: it could not be asked."""

    destination: str
    plan: retention.Plan | None = None
    sweeps: tuple[retention.Sweep, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Pruned:
    """What pruning one destination did."""

    destination: str
    pruned: tuple[str, ...] = ()  # ids whose manifest is gone
    swept: tuple[str, ...] = ()  # ids whose archives are gone
    refused: tuple[str, ...] = ()  # what the destination would not let go
    failure: str = ""


def plan(job: Job, now: datetime, *, held: str = "", host: str = "") -> list[Planned]:
    """The plan for every destination of `job`; changes nothing. `held`: why nothing may go now."""
    return [_plan_one(job, one, host or job.host, now, held) for one in job.destinations]


def apply(
    job: Job,
    planned: list[Planned],
    clock: Callable[[], datetime],
    *,
    host: str = "",
    listener: Listener = silent,
) -> list[Pruned]:
    """Carry out exactly `planned`. What a destination refuses (a lock, no right) is told, not an error."""
    return [_apply_one(job, one, host or job.host, clock, listener) for one in planned]


def _plan_one(job: Job, destination: Destination, host: str, now: datetime, held: str) -> Planned:
    try:
        # archives first: a backup that is committed in between must not look like an orphan
        stored = list(destination.list(archives_prefix(host, job.name)))
        there = copies(destination.list(catalog_prefix(host, job.name)))
        by_type = {one.type: one.keep for one in job.schedules if one.keep is not None}
        _warning, stale = limits(job)
        made = retention.plan(there, job.keep_for(destination.name), by_type, now, stale)
        sweeps = () if made.held else retention.sweepable(stored, there, now)
    except LifeboatError as exc:
        return Planned(destination.name, failure=str(exc))
    if held:
        made = retention.Plan(made.kept, (), made.deferred + made.expired, held)
        sweeps = ()
    return Planned(destination.name, made, sweeps)


def _apply_one(
    job: Job, planned: Planned, host: str, clock: Callable[[], datetime], listener: Listener
) -> Pruned:
    if planned.plan is None:
        return Pruned(planned.destination, failure=planned.failure)
    destination = job.destination(planned.destination)
    pruned: list[str] = []
    swept: list[str] = []
    refused: list[str] = []
    try:
        for copy, why in planned.plan.expired:
            listener(Event("prune", f"{copy.id} at {destination.name}: {why}", ended=True))
            mark = mark_key(host, job.name, copy.id, Mark("pruned", clock()))
            destination.put(mark, b"")
            if _delete(destination, manifest_key(host, job.name, copy.id), refused):
                pruned.append(copy.id)
        for sweep in planned.sweeps:
            listener(Event("sweep", f"{sweep.id} at {destination.name}: {sweep.why}", ended=True))
            gone = [_delete(destination, key, refused) for key in sweep.keys]
            if all(gone):
                swept.append(sweep.id)
    except LifeboatError as exc:
        return Pruned(
            destination.name, tuple(pruned), tuple(swept), tuple(refused), failure=str(exc)
        )
    return Pruned(destination.name, tuple(pruned), tuple(swept), tuple(refused))


def _delete(destination: Destination, key: str, refused: list[str]) -> bool:
    """Whether the object is gone; a refusal is noted, and is no reason to stop."""
    try:
        destination.delete(key)
    except DestinationError as exc:
        if not exc.permanent:
            raise
        refused.append(f"{key}: {exc}")
        return False
    return True
