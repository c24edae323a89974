# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what was promised for each source: RPO by the newest good copy, RTO by the last drill. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ...job import Job
from ...retention import SKEW
from ...stored import Copy
from ...units import human_duration
from ..drills.report import restore_seconds
from ..standing.status import CRITICAL, GOOD, WARNING, Standing

_MOST_SLACK = timedelta(hours=1)
_DRILLED_LATELY = timedelta(days=35)
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Measured:
    """One source: its objectives, and what is so. None = nothing promised, or never measured."""

    source: str
    rpo: timedelta | None
    rto: timedelta | None
    point: datetime | None  # of the newest good copy that holds the source
    rto_measured_s: float | None
    drilled: datetime | None = None  # when a copy of the job was restored last, as a mark says
    signed: bool = False  # only what is signed is believed of a drill, and a mark is not


def measure(
    job: Job, copies: Iterable[Copy], drills: Sequence[Mapping[str, Any]], now: datetime
) -> list[Measured]:
    """Every source of `job`. copies: of all destinations; drills: the history's, oldest first."""
    drilled: datetime | None = None
    points: dict[str, datetime] = {}
    for copy in copies:  # once, and none is held: there may be 100,000
        if not copy.good or copy.taken_at > now + SKEW:
            continue
        mark = copy.latest("drilled")
        drilled = max(filter(None, (drilled, mark.at if mark else None)), default=None)
        for source in job.sources:
            if copy.taken_at > points.get(source.name, _NEVER) and _holds(job, copy, source.name):
                points[source.name] = copy.taken_at
    told = []
    for source in job.sources:
        promised = job.objectives_for(source.name)
        seconds = restore_seconds(drills, source.name)
        point = points.get(source.name)
        signed = bool(job.signers or job.drill_signers)
        told.append(
            Measured(source.name, promised.rpo, promised.rto, point, seconds, drilled, signed)
        )
    return told


def standings(job: str, measured: Iterable[Measured], now: datetime) -> list[Standing]:
    """One line for each source with an objective."""
    return [_standing(job, one, now) for one in measured if one.rpo or one.rto]


def _standing(job: str, one: Measured, now: datetime) -> Standing:
    state, told, age_s = GOOD, [], None
    if one.point is not None:
        age_s = int((now - one.point).total_seconds())
    if one.rpo:
        promised = f"RPO {_short(one.rpo)}"
        if one.point is None:
            state = CRITICAL
            told.append(f"{promised}: no good backup holds it")
        else:
            age = max(now - one.point, timedelta(0))
            missed = age > one.rpo + slack(one.rpo)
            state = CRITICAL if missed else state
            told.append(f"{promised} {'missed' if missed else 'met'}: {_short(age)}")
    if one.rto:
        promised = f"RTO {_short(one.rto)}"
        marked = one.drilled is not None and now - one.drilled < _DRILLED_LATELY
        if one.rto_measured_s is None and one.drilled and marked and not one.signed:
            told.append(f"{promised}: measured by its drill host, {_short(now - one.drilled)} ago")
        elif one.rto_measured_s is None and marked:
            state = max(state, WARNING, key=[GOOD, WARNING, CRITICAL].index)
            told.append(f"{promised}: a mark says it was drilled, and none of drill_signers does")
        elif one.rto_measured_s is None:
            state = max(state, WARNING, key=[GOOD, WARNING, CRITICAL].index)
            told.append(f"{promised}: never measured by a drill")
        else:
            took = timedelta(seconds=one.rto_measured_s)
            missed = took > one.rto
            state = CRITICAL if missed else state
            told.append(
                f"{promised} {'missed' if missed else 'met'}: {_short(took)} in the last drill"
            )
    return Standing(job, "", state, "; ".join(told), source=one.source, age_s=age_s)


def slack(rpo: timedelta) -> timedelta:
    """What is let pass beyond an RPO: a daily run ends a little later than the one before may have."""
    return min(rpo / 10, _MOST_SLACK)


def _short(length: timedelta) -> str:
    return human_duration(length).replace(" ", "")


def _holds(job: Job, copy: Copy, source: str) -> bool:
    """Whether a good copy holds a source; of one that is not whole only its schedule's sources."""
    if not copy.subset:
        return True
    schedule = job.schedule(copy.type)
    return schedule is not None and source in schedule.sources
