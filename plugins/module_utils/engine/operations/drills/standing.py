# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether the drills that a job is scheduled for were made, and passed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ...errors import UsageError
from ...job import Job
from ...stored import Copy
from ...units import human_duration, parse_instant
from ..standing.status import CRITICAL, GOOD, WARNING, Standing

# Past that a drill is overdue: its period, and time for one to be made up.
_LIMITS = {
    "daily": timedelta(hours=49),
    "weekly": timedelta(days=9),
    "monthly": timedelta(days=33),
    "quarterly": timedelta(days=94),
}
_LIMIT = timedelta(days=33)


def standings(
    job: Job, copies: Sequence[Copy], drills: Sequence[Mapping[str, Any]], now: datetime
) -> list[Standing]:
    """One line for each schedule of drills. drills: the history's, of all hosts, oldest first.

    Without one yet, a job is given as long as a period lasts, from its oldest copy on.
    """
    told = []
    for schedule in job.drilling.schedules:
        limit = _LIMITS.get(schedule.type, _LIMIT)
        state, reasons = GOOD, []
        for host in job.drilling.hosts or (job.host,):
            ours = [
                one
                for one in drills
                if one.get("type") == schedule.type and one.get("host") == host
            ]
            judged, why = _judge(ours, copies, limit, now)
            state = max(state, judged, key=[GOOD, WARNING, CRITICAL].index)
            reasons.append(f"{host}: {why}" if job.drilling.hosts else why)
        told.append(
            Standing(job.name, "", state, "; ".join(reasons), source=f"{schedule.type} drill")
        )
    return told


def elsewhere(job: Job, newest: Mapping[str, Any] | None, now: datetime) -> list[Standing]:
    """A line for the newest drill, where another host made it. newest: as drill_record.newest."""
    by = str(newest.get("by", job.host)) if newest else job.host
    if newest is None or by == job.host:
        return []
    state, why = _judge([newest], (), _LIMIT, now)
    restored = f"{newest['id']} from {newest['destination']}"
    return [Standing(job.name, "", state, f"{by}, {restored}: {why}", source="drill")]


def _judge(
    drills: Sequence[Mapping[str, Any]], copies: Sequence[Copy], limit: timedelta, now: datetime
) -> tuple[str, str]:
    if drills and not drills[-1].get("passed"):
        return CRITICAL, f"the last failed: {drills[-1].get('error') or 'see the history'}"
    passed = _at(drills[-1]) if drills else None
    if passed is not None:
        age = max(now - passed, timedelta(0))
        late = "overdue: " if age > limit else ""
        return (WARNING if late else GOOD), f"{late}the last passed {human_duration(age)} ago"
    since = min((one.taken_at for one in copies), default=now)
    if now - since > limit:
        return WARNING, "overdue: there was none yet"
    return GOOD, "there was none yet"


def _at(drill: Mapping[str, Any]) -> datetime | None:
    try:
        return parse_instant(str(drill.get("at")))
    except UsageError:
        return None
