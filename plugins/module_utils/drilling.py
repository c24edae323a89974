# SPDX-License-Identifier: GPL-3.0-or-later
"""Drill as restore_drill is asked to: the command's steps, for every host that is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import jobs
from .engine.cli.drill import drilled as drill_one
from .engine.cli.drill import identity, lines
from .engine.cli.session import Session, now
from .engine.cli.watch import ProgressFile
from .engine.errors import LifeboatError, VerifyError
from .engine.job import Job
from .engine.operations.copies.catalog import Wanted
from .engine.operations.drills.drill import Asked, candidate
from .engine.progress import silent
from .engine.units import parse_instant


def drilled(session: Session, job: Job, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The drills of all hosts that are meant. Raises LifeboatError where there is nothing to drill."""
    key = jobs.identity(given) or identity(job, None)
    listener = ProgressFile(session.paths.progress(job.name + ".drill"), silent)
    return [drill_one(session, job, one, key, listener) for one in _asked(job, given)]


def planned(job: Job, given: Mapping[str, Any]) -> list[str]:
    """Which backups would be drilled, in words."""
    told = []
    for one in _asked(job, given):
        if one.wanted.id == "random":
            told.append(f"would drill one of the {job.drilling.among} newest of {one.host}")
            continue
        holding, destination, _age = candidate(job, one, now())
        told.append(f"would drill {holding.id} of {one.host} from {destination}")
    return told


def told(drills: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line for one in drills for line in lines(one)]


def failure(drills: Sequence[Mapping[str, Any]]) -> LifeboatError | None:
    """The error that a failed drill is to a task; None when all passed."""
    bad = [one for one in drills if not one["passed"]]
    if not bad:
        return None
    first = bad[0]
    troubled = [first, *(one for one in first["sources"].values() if one["problem"])]
    at_fault = next(one for one in troubled if one["problem"])
    return VerifyError(
        f"the drill of {first['id']} of {first['host']} from {first['destination']} failed: "
        + at_fault["problem"],
        detail=at_fault["detail"],
        hint=at_fault["hint"],
    )


def _asked(job: Job, given: Mapping[str, Any]) -> list[Asked]:
    wanted = Wanted(
        id=given["backup"],
        tag=given["tag"] or "",
        type=given["type"] or "",
        as_of=parse_instant(given["as_of"]) if given["as_of"] else None,
        at=given["at"] or "",
    )
    hosts = [given["from_host"]] if given["from_host"] else job.drilling.hosts or (job.host,)
    return [
        Asked(wanted, host, "manual", tuple(given["only"]), given["metadata"]) for host in hosts
    ]
