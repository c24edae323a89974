# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather what an auditor asks for, as one mapping of JSON: what happened, when, and how it was proved.

Everything in it comes from the history, the audit log and the names at the destinations. Lines of the
history may be half written or of another version: what cannot be read counts as not there. Pure.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ...errors import LifeboatError, UsageError
from ...job import Job
from ...listed import Copies
from ...model import Manifest
from ...stored import Copy
from ...units import iso, parse_instant
from ..copies.claims import CLAIMS, proved
from ..standing import status
from ..standing.status import Standing
from ..watching import objectives

VERSION = 1
TREND = timedelta(days=92)  # how far back growth is measured
_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_PROGRAMS = ("server", "server_version", "client_version", "dump_version", "sqlite", "rdb_version")
Evidence = dict[str, Any]
Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Period:
    """A month, UTC; one that is not over ends now."""

    name: str  # "2026-11"
    begins: datetime
    ends: datetime

    def holds(self, at: Any) -> bool:
        moment = instant(at)
        return moment is not None and self.begins <= moment < self.ends


@dataclass(frozen=True)
class Gathered:
    """What the door has found out about one job."""

    there: status.Told
    standings: Sequence[Standing]
    runs: Entries  # of the history, oldest first
    drills: Entries
    newest: Manifest | None  # of the newest good backup
    findings: Sequence[tuple[str, str, str]]  # (state, what is wrong, what to do): keys, places
    stored_here: Mapping[str, str]  # {destination: its directory on this host}


def period(text: str, now: datetime) -> Period:
    """The month "2026-11", or the one that is now; raises UsageError."""
    found = _MONTH.fullmatch(text or now.strftime("%Y-%m"))
    if not found or not 1 <= int(found.group(2)) <= 12 or int(found.group(1)) < 1970:
        raise UsageError(f"{text!r} is not a month", hint="write it like 2026-11")
    year, month = int(found.group(1)), int(found.group(2))
    begins = datetime(year, month, 1, tzinfo=timezone.utc)
    if begins > now:
        raise UsageError(f"{found.group()} has not begun yet", hint="name a month that has")
    ends = begins + timedelta(days=calendar.monthrange(year, month)[1])
    return Period(found.group(), begins, min(ends, now + timedelta(seconds=1)))


def of_job(job: Job, found: Gathered, during: Period, now: datetime) -> Evidence:
    """One job: what was promised, what lies where and how that was proved, runs and drills of the period."""
    ours = [one for one in found.drills if one.get("host") == job.host]
    runs = [_run(one) for one in found.runs]
    since = during.begins - TREND
    return {
        "job": job.name,
        "environment": job.environment,
        "schedules": [{"type": one.type, "at": one.at} for one in job.schedules],
        "encryption": [dict(one.record()) for one in job.filters if one.needs_identity],
        "sources": [
            _source(job, one)
            for one in objectives.measure(job, status.every(found.there), ours, now)
        ],
        "destinations": [_destination(job, one.name, there, found) for one, there in found.there],
        "standings": [
            {
                "place": one.destination or one.source,
                "state": one.state,
                "reason": one.reason,
                "next": one.next,
            }
            for one in found.standings
        ],
        "findings": [
            {"state": state, "told": told, "hint": hint} for state, told, hint in found.findings
        ],
        "backups": _backups(found.there),
        "tools": _tools(found.newest),
        "runs": [one for one in runs if during.holds(one["at"])],
        "before": [
            one
            for one in runs
            if (moment := instant(one["at"])) and since <= moment < during.begins
        ],
        "drills": [dict(one) for one in found.drills if during.holds(one.get("at"))],
        "last_drill": dict(found.drills[-1]) if found.drills else None,
        "ever_restored": any(one.get("restorable") for one in found.drills)
        or any("restorable" in proved(copy) for copy in status.every(found.there)),
    }


def events(entries: Iterable[Mapping[str, Any]], during: Period) -> list[Evidence]:
    """Who did what else in the period, with the reason given: restores, gates, prunes, marks, keys."""
    told = ("event", "job", "at", "who", "facts", "seq")
    return [
        {name: entry.get(name) for name in told}
        for entry in entries
        if entry.get("event") not in ("backup", "drill") and during.holds(entry.get("at"))
    ]


def instant(at: Any) -> datetime | None:
    """Of an ISO instant; None for what is none."""
    try:
        return parse_instant(str(at))
    except LifeboatError:
        return None


def number(value: Any) -> float:
    """A number that is one; 0 for anything else."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and abs(value) < 1e18 else 0.0


def total(sizes: Any) -> int:
    """Of {name: bytes}."""
    return int(sum(map(number, sizes.values()))) if isinstance(sizes, Mapping) else 0


def _run(entry: Mapping[str, Any]) -> Evidence:
    outcomes = entry.get("outcomes")
    errors = entry.get("errors")
    return {
        "at": str(entry.get("at")),
        "id": str(entry.get("id") or ""),
        "exit_code": entry.get("exit_code", 1),
        "good": entry.get("exit_code") == 0,
        "seconds": number(entry.get("seconds")),
        "plain_bytes": total(entry.get("plain")),
        "stored_bytes": total(entry.get("stored")),
        "outcomes": dict(outcomes) if isinstance(outcomes, Mapping) else {},
        "errors": [str(one) for one in errors] if isinstance(errors, list) else [],
        "odd": [str(one) for one in entry.get("odd") or ()],
    }


def _source(job: Job, one: objectives.Measured) -> Evidence:
    return {
        "name": one.source,
        "kind": job.source(one.source).kind,
        "rpo_s": one.rpo.total_seconds() if one.rpo else None,
        "rpo_limit_s": (one.rpo + objectives.slack(one.rpo)).total_seconds() if one.rpo else None,
        "rto_s": one.rto.total_seconds() if one.rto else None,
        "point_at": iso(one.point) if one.point else None,
        "rto_measured_s": one.rto_measured_s,
    }


def _destination(job: Job, name: str, there: Copies | LifeboatError, found: Gathered) -> Evidence:
    told = () if isinstance(there, LifeboatError) else there
    return {
        "name": name,
        "answered": not isinstance(there, LifeboatError),
        "error": str(there) if isinstance(there, LifeboatError) else "",
        "copies": sum(1 for one in told if one.committed),
        "deletable": name in job.prunes,  # by this host, as the configuration has it
        "directory": found.stored_here.get(name, ""),
    }


def _backups(there: status.Told) -> list[Evidence]:
    """Every backup that any destination names, the newest first, with each copy and its proofs."""
    found: dict[str, Evidence] = {}
    for destination, held in there:
        for copy in () if isinstance(held, LifeboatError) else held:
            one = found.setdefault(
                copy.id,
                {
                    "id": copy.id,
                    "type": copy.type,
                    "taken_at": iso(copy.taken_at),
                    "good": False,
                    "copies": [],
                },
            )
            one["good"] = one["good"] or copy.good
            one["copies"].append(_copy(destination.name, copy))
    return [found[id_] for id_ in sorted(found, reverse=True)]


def _copy(destination: str, copy: Copy) -> Evidence:
    proofs = proved(copy)
    return {
        "destination": destination,
        "state": copy.state,
        "signed": copy.signed,
        "locked_until": iso(copy.locked_until) if copy.locked_until else None,
        "proved": {claim: iso(proofs[claim]) for claim in CLAIMS if claim in proofs},
        "marks": [{"mark": one.kind, "at": iso(one.at), "value": one.value} for one in copy.marks],
    }


def _tools(newest: Manifest | None) -> Evidence:
    """What wrote the newest good backup: lifeboat, and what its sources said of themselves."""
    if newest is None:
        return {}
    facts = {
        one.name: {key: value for key, value in one.facts.items() if key in _PROGRAMS}
        for one in newest.sources
    }
    return {"id": newest.id, "lifeboat": newest.tool, "sources": facts}
