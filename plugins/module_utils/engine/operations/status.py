# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a job stands, from what its destinations hold and not from what a run last claimed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import LifeboatError
from ..job import Job
from ..model import Copy
from ..units import human_duration
from .catalog import copies_at

GOOD, WARNING, CRITICAL = "good", "warning", "critical"
# (warning, critical) age of the newest good backup, by the most frequent schedule of the job
_LIMITS = {
    "hourly": (timedelta(hours=2), timedelta(hours=4)),
    "daily": (timedelta(hours=25), timedelta(hours=48)),
    "weekly": (timedelta(days=8), timedelta(days=15)),
    "monthly": (timedelta(days=32), timedelta(days=63)),
}


@dataclass(frozen=True)
class Standing:
    """One job at one destination."""

    job: str
    destination: str
    state: str
    reason: str
    newest_good: str = ""
    age_s: int | None = None
    copies: int = 0


def limits(job: Job) -> tuple[timedelta, timedelta]:
    """When this job's newest good backup is too old: (warning, critical)."""
    fitting = [_LIMITS[one.type] for one in job.schedules if one.type in _LIMITS]
    return min(fitting, default=_LIMITS["daily"])


def standings(job: Job, now: datetime) -> list[Standing]:
    """How each destination of a job stands. One that cannot be asked is critical: it may be lost."""
    told = []
    for destination in job.destinations:
        try:
            there = copies_at(destination, job.host, job.name)
        except LifeboatError as exc:
            told.append(Standing(job.name, destination.name, CRITICAL, str(exc)))
            continue
        told.append(_one(job, destination.name, there, now))
    return told


def worst(found: list[Standing]) -> int:
    """0 good, 1 warning, 2 critical: the monitoring plugins' convention. Nothing at all is critical."""
    order = [GOOD, WARNING, CRITICAL]
    return max((order.index(one.state) for one in found), default=2)


def _one(job: Job, destination: str, there: list[Copy], now: datetime) -> Standing:
    committed = [copy for copy in there if copy.committed]
    good = next((copy for copy in committed if copy.good), None)
    if good is None:
        return Standing(
            job.name, destination, CRITICAL, "there is no good backup", copies=len(committed)
        )
    age = now - good.taken_at
    warning, critical = limits(job)
    state, reason = GOOD, f"newest good is {human_duration(age)} old"
    if age >= critical:
        state = CRITICAL
    elif age >= warning:
        state = WARNING
    newest = committed[0]
    if newest.id != good.id:
        reason += f"; the newest, {newest.id}, is {newest.state}"
        state = max(state, WARNING, key=[GOOD, WARNING, CRITICAL].index)
    if not any(copy.latest("drilled") for copy in committed):
        reason += "; never drilled"
    return Standing(
        job.name, destination, state, reason, good.id, int(age.total_seconds()), len(committed)
    )
