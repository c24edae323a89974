# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at one job from all sides, once: what is found is one mapping, which metrics and alarms are made of.

It is kept as a file (docs/monitoring.md#how-it-works), so everything in it is JSON; instants are seconds
since 1970. Nothing of it is secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ... import retention
from ...errors import LifeboatError
from ...job import Job
from ...listed import Copies
from ...stored import Copy
from ...units import parse_instant
from ..standing import denied, status
from ..standing.status import Standing
from . import objectives

_RUNS_OF = timedelta(days=30)  # what "runs" counts
Observation = dict[str, Any]
Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Looked:
    """What the door has gathered for one job."""

    there: status.Told
    standings: Sequence[Standing]  # of destinations, objectives, restores
    runs: Entries  # of the history, oldest first
    drills: Entries  # of this host's backups, by whatever host
    prunes: Entries
    attempts: Entries  # to restore, and to take a restore back
    places: Mapping[str, Path]  # directories that may fill up: {"spool": …}
    exposed: Sequence[str]  # what others could read or change
    timers: Mapping[str, bool]  # {type: whether its timer is enabled}
    elsewhere: Mapping[str, Any] | None = None  # the newest drill that any host left a report of


def observe(job: Job, looked: Looked, now: datetime) -> Observation:
    """One job, as it is now. Only the encryption is tried here; all else was gathered."""
    copies = status.every(looked.there)
    warning, critical = status.limits(job)
    return {
        "job": job.name,
        "environment": job.environment,
        "at": now.timestamp(),
        "limits": {"warning_s": warning.total_seconds(), "critical_s": critical.total_seconds()},
        "standings": [{**vars(one), "proved": _proved(one)} for one in looked.standings],
        "destinations": [_destination(job, one.name, there, now) for one, there in looked.there],
        "objectives": [
            _objective(one) for one in objectives.measure(job, copies, looked.drills, now)
        ],
        "run": _run(looked.runs),
        "runs": _runs(looked.runs, now),
        "success_at": _success(looked.runs),
        "drill": _drill(looked.drills),
        "elsewhere": dict(looked.elsewhere) if looked.elsewhere else None,
        "prune": _prune(looked.prunes),
        "encryption": _encryption(job),
        "disks": _disks(looked.places),
        "exposed": sorted(looked.exposed),
        "refused": denied.by_gate(looked.attempts, now),
        "timers": dict(looked.timers),
    }


def _destination(job: Job, name: str, told: Copies | LifeboatError, now: datetime) -> Observation:
    if isinstance(told, LifeboatError):
        return {"name": name, "up": False}
    there = list(told)
    past = [one for one in there if one.committed and one.taken_at <= now + retention.SKEW]
    found: Observation = {"name": name, "up": True, "suspect": bool(past) and past[0].suspect}
    if past:
        found["oldest_at"] = past[-1].taken_at.timestamp()
    if job.signers:
        found["unsigned"] = _unsigned(there)
    by_type = {one.type: one.keep for one in job.schedules if one.keep is not None}
    _warning, stale = status.limits(job)
    try:
        planned = retention.plan(there, job.keep_for(name), by_type, now, stale)
    except LifeboatError:
        return found  # a policy that keeps nothing: `prune` says so
    found["prunable"] = len(planned.expired)
    return found


def _unsigned(there: Sequence[Copy]) -> list[str]:
    """Backups without a signature, later than the first with one: whoever put them there is none of us."""
    committed = [one for one in there if one.committed]
    since = min((one.taken_at for one in committed if one.signed), default=None)
    late = [one for one in committed if since and one.taken_at > since]
    return [one.id for one in late if not one.signed]


def _objective(one: objectives.Measured) -> Observation:
    return {
        "source": one.source,
        "rpo_s": one.rpo.total_seconds() if one.rpo else None,
        "slack_s": objectives.slack(one.rpo).total_seconds() if one.rpo else None,
        "rto_s": one.rto.total_seconds() if one.rto else None,
        "point_at": one.point.timestamp() if one.point else None,
        "rto_measured_s": one.rto_measured_s,
    }


def _run(runs: Entries) -> Observation | None:
    """The newest run that this host remembers."""
    if not runs:
        return None
    last = runs[-1]
    return {
        "at": _seconds(last.get("at")),
        "id": str(last.get("id") or ""),
        "exit_code": int(last.get("exit_code") or 0),
        "seconds": float(last.get("seconds") or 0),
        "phases": dict(last.get("phases") or {}),
        "sizes": dict(last.get("sizes") or {}),
        "stored_bytes": sum((last.get("stored") or {}).values()),
        "lost": sorted(k for k, v in (last.get("outcomes") or {}).items() if v in ("lost", "bad")),
        "errors": [str(one) for one in last.get("errors") or ()],
        "odd": [str(one) for one in last.get("odd") or ()],
    }


def _runs(runs: Entries, now: datetime) -> dict[str, int]:
    since = (now - _RUNS_OF).timestamp()
    recent = [one for one in runs if _seconds(one.get("at")) >= since]
    good = sum(1 for one in recent if one.get("exit_code") == 0)
    return {"good": good, "failed": len(recent) - good}


def _success(runs: Entries) -> float | None:
    return next(
        (_seconds(one.get("at")) for one in reversed(runs) if one.get("exit_code") == 0), None
    )


def _drill(drills: Entries) -> Observation | None:
    """The newest drill that is known here."""
    if not drills:
        return None
    last = drills[-1]
    return {
        "at": _seconds(last.get("at")),
        "good": last.get("exit_code", 0) == 0,
        "seconds": float(last.get("seconds") or 0),
        "error": str(last.get("error") or ""),
    }


def _prune(prunes: Entries) -> Observation | None:
    return {"at": _seconds(prunes[-1].get("at"))} if prunes else None


def _encryption(job: Job) -> Observation:
    """Whether something can be encrypted as the next run will, and when the first key ends."""
    ends: list[float] = []
    try:
        for one in job.filters:
            keys = getattr(one, "public_keys", None)  # of GPG; an age key has no end
            if keys is not None:
                ends += [key.expires_at.timestamp() for key in keys() if key.expires_at]
            one.check()
    except LifeboatError as exc:
        return {"ok": False, "error": str(exc), "expires_at": min(ends, default=None)}
    return {"ok": True, "error": "", "expires_at": min(ends, default=None)}


def _disks(places: Mapping[str, Path]) -> list[Observation]:
    told = []
    for name, path in places.items():
        try:
            found = os.statvfs(path)
        except OSError:
            continue  # not mounted now: its destination says so
        told.append(
            {
                "place": name,
                "free_bytes": found.f_bavail * found.f_frsize,
                "size_bytes": found.f_blocks * found.f_frsize,
            }
        )
    return told


def _proved(one: Standing) -> dict[str, float]:
    """{claim: when it was proved last of a copy there}."""
    return {claim: _seconds(proof["at"]) for claim, proof in one.claims.items() if proof}


def _seconds(at: Any) -> float:
    """Of an ISO instant; 0 for what is none."""
    try:
        return parse_instant(str(at)).timestamp()
    except LifeboatError:
        return 0.0
