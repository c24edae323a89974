# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill told: phases, times against objectives, what was restored. Also as the history keeps it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..copies.unlocking import fingerprint
from ..standing.history import past

EVENT = "drill"  # in the history
# What a restore of the data takes; the start of a throw-away server and the user's check do not count.
_OF_A_RESTORE = ("choose", "fetch", "restore", "compare")


class Phases:
    """Seconds by phase; one that is entered again adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def watch(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - began


@dataclass(frozen=True)
class Tried:
    """One source of a drill.

    how: "restored" (for real, and compared), "read" (to its end only: it has no throw-away place), or
    "failed". phases: seconds of fetch, start, restore, compare.
    """

    name: str
    kind: str
    how: str
    phases: Mapping[str, float]
    totals: Mapping[str, int] = field(default_factory=dict)  # what was found
    rto: timedelta | None = None  # the objective
    problem: str = ""
    detail: str = ""
    hint: str = ""
    bad: bool = False  # the copy is at fault, not this host
    unreadable: bool = False  # and its bytes are right

    @property
    def seconds(self) -> float:
        """The measured RTO: what a restore of it takes once the backup is chosen."""
        return sum(self.phases.get(phase, 0.0) for phase in _OF_A_RESTORE)

    @property
    def uncounted(self) -> int:
        """How many objects were only looked for: the backup itself had only an estimate of them."""
        return int(self.totals.get("uncounted", 0))


@dataclass(frozen=True)
class Report:
    """One drill of one backup from one destination."""

    id: str
    host: str
    job: str
    type: str  # of the drill's schedule, or "manual"
    what: str  # "random", "full" or "metadata"; "partial" with only some sources
    destination: str
    sources: tuple[Tried, ...]
    phases: Mapping[str, float]  # over all sources, and choose, metadata, check
    rpo: timedelta | None  # the strictest of its sources
    age: timedelta  # of the newest good backup there: what would be lost if all were lost now
    opened_by: tuple[str, ...] = ()  # recipients whose private key was given
    problem: str = ""  # beyond those of sources
    detail: str = ""
    hint: str = ""
    mark: str = ""  # "drilled", "bad", or "" where nothing is said

    @property
    def passed(self) -> bool:
        return not self.problem and not any(one.problem for one in self.sources)

    @property
    def restorable(self) -> bool:
        """Whether all of the backup was restored for real, and was what was backed up."""
        whole = self.what != "partial" and all(one.how == "restored" for one in self.sources)
        return self.passed and whole and bool(self.sources)

    @property
    def seconds(self) -> float:
        """The measured RTO of the whole backup, source after source."""
        return sum(self.phases.get(phase, 0.0) for phase in _OF_A_RESTORE)


def met(objective: timedelta | None, seconds: float) -> bool | None:
    """Whether an objective was met; None where nothing is promised."""
    return None if objective is None else seconds <= objective.total_seconds()


def mapping(report: Report) -> dict[str, Any]:
    """A drill as --json prints it, modules return it and the history keeps it. Times are seconds."""
    return {
        "id": report.id,
        "host": report.host,
        "job": report.job,
        "type": report.type,
        "what": report.what,
        "destination": report.destination,
        "passed": report.passed,
        "restorable": report.restorable,
        "mark": report.mark,
        "exit_code": 0 if report.passed else 1,
        "seconds": round(report.seconds, 3),
        "phases": _rounded(report.phases),
        "rpo": _objective(report.rpo, report.age.total_seconds()),
        "opened_by": [
            {"recipient": one, "fingerprint": fingerprint(one)} for one in report.opened_by
        ],
        "error": next(filter(None, (report.problem, *(one.problem for one in report.sources))), ""),
        "problem": report.problem,
        "detail": report.detail,
        "hint": report.hint,
        "sources": {
            one.name: {
                "kind": one.kind,
                "how": one.how,
                "seconds": round(one.seconds, 3),
                "phases": _rounded(one.phases),
                "rto": _objective(one.rto, one.seconds),
                "totals": dict(one.totals),
                "uncounted": one.uncounted,
                "problem": one.problem,
                "detail": one.detail,
                "hint": one.hint,
            }
            for one in report.sources
        },
    }


def failure(host: str, type_: str, what: str, problem: str) -> dict[str, Any]:
    """For the history: a drill that could not even begin."""
    return {
        "id": "",
        "host": host,
        "type": type_,
        "what": what,
        "passed": False,
        "restorable": False,
        "exit_code": 1,
        "error": problem,
        "problem": problem,
        "sources": {},
    }


def drills(history: Path, job: str, host: str = "") -> list[Mapping[str, Any]]:
    """The drills of a job (of one host's backups) that this host has made, oldest first: `mapping`, and
    "at". For runbooks, reports and metrics."""
    found = past(history, job, EVENT)
    return [one for one in found if not host or one.get("host") == host]


def last_passed(history: Path, job: str, host: str = "") -> Mapping[str, Any] | None:
    """The newest drill that passed: how long a restore takes stands in its "seconds" and "phases"."""
    passed = [one for one in drills(history, job, host) if one.get("restorable")]
    return passed[-1] if passed else None


def restore_seconds(drills: Sequence[Mapping[str, Any]], source: str) -> float | None:
    """How long the newest drill that restored `source` took for it; None where none has."""
    for entry in reversed(drills):
        tried = entry["sources"].get(source) if isinstance(entry.get("sources"), Mapping) else None
        if (
            isinstance(tried, Mapping)
            and tried.get("how") == "restored"
            and not tried.get("problem")
        ):
            seconds = tried.get("seconds")
            if isinstance(seconds, (int, float)):
                return float(seconds)
    return None


def _objective(objective: timedelta | None, seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "objective": None if objective is None else objective.total_seconds(),
        "met": met(objective, seconds),
    }


def _rounded(phases: Mapping[str, float]) -> dict[str, float]:
    return {phase: round(seconds, 3) for phase, seconds in phases.items()}
