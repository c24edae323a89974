# SPDX-License-Identifier: GPL-3.0-or-later
"""Drill at the command line: by hand with a key that is given, by timer with this host's own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ..errors import LifeboatError, UsageError
from ..job import Job
from ..operations.copies.catalog import Wanted
from ..operations.drills import record as drill_record
from ..operations.drills.drill import RANDOM, Asked, drill
from ..operations.drills.report import EVENT, failure, mapping
from ..progress import Event, Listener
from ..registry import FILTERS
from ..units import human_duration
from . import rescue, runbook, watch
from .incidents import used
from .output import Output
from .session import Session, now, remember


def drill_(session: Session, asked: Any, out: Output) -> int:
    """Drill the backups of the job's hosts, one after the other; 1 when one failed."""
    name, _colon, type_ = (asked.unit or asked.job or "").partition(":")
    if not name:
        raise UsageError("name the job to drill", hint="`lifeboat list` shows the jobs")
    job = session.job(name)
    schedule = job.drilling.schedule(type_)
    id_, metadata = asked.id, asked.metadata
    if schedule is not None:
        id_ = RANDOM if schedule.what == "random" else "latest"
        metadata = schedule.what == "metadata"
    hosts = [asked.from_host] if asked.from_host else list(job.drilling.hosts) or [job.host]
    listener = watch.listener(terminal=False if asked.unit else None, quiet=asked.quiet)
    key = identity(job, asked.identity)
    told: list[dict[str, Any]] = []
    failed = 0
    for host in hosts:
        wanted = Wanted(id_, at=asked.at)
        one = Asked(wanted, host, type_ or "manual", tuple(asked.only), metadata)
        try:
            told.append(drilled(session, job, one, key, listener))
            failed = failed or int(told[-1]["exit_code"])
        except LifeboatError as exc:
            failed = failed or exc.exit_code
            out.error(exc)
    with suppress(LifeboatError):  # a page that stays as it was fails no drill
        runbook.refresh(session)
    if told:
        out.result(told, "\n".join(line for one in told for line in lines(one)))
    return failed


def drilled(
    session: Session, job: Job, asked: Asked, key: bytes | None, listener: Listener
) -> dict[str, Any]:
    """One drill under the lock of the job's drills, remembered in the history: its `mapping`.

    Raises LifeboatError where there was nothing to drill; that is remembered as a failed one.
    """
    with session.hold_drills(job):
        try:
            told = mapping(drill(job, asked, session.arenas(), FILTERS, key, now, listener))
        except LifeboatError as exc:
            told = failure(asked.host, asked.type, asked.what, exc.message)
            remember(session, listener, EVENT, job.name, **told)
            raise
        facts = {name: value for name, value in told.items() if name != "job"}
        facts["key"] = used(key)
        remember(session, listener, EVENT, job.name, **facts)
        if told["sources"] and told["what"] != "partial":
            try:
                drill_record.leave(job, told, session.configuration.host, now())
            except LifeboatError as exc:  # an identity that may only read cannot say so there
                listener(Event("report", told["destination"], problem=str(exc)))
    return told


def identity(job: Job, given: str | None) -> bytes | None:
    """The private key that is given, else the one that this host has for drills, else None."""
    if given is not None:
        return rescue.identity(given)
    if job.drilling.identity is None:
        return None
    content = job.drilling.identity.reveal()
    if not isinstance(content, str) or not content.strip():
        raise UsageError(f"the credential of job {job.name} for drills is not a private key")
    return content.encode("utf-8")


def lines(told: Mapping[str, Any]) -> list[str]:
    """A drill in words."""
    state = "passed" if told["passed"] else "FAILED"
    if told["passed"] and not told["restorable"]:
        state += ", but not all of it was restored for real"
    found = [f"drill of {told['id']} of {told['host']} from {told['destination']}: {state}"]
    for name, one in told["sources"].items():
        took = f"{one['how']} in {one['seconds']:.1f} s" if not one["problem"] else "failed"
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in one["phases"].items())
        found.append(f"  {name}: {took}{_objective('RTO', one['rto'])} ({phases or 'not begun'})")
        if one["uncounted"]:
            found.append(
                f"    {one['uncounted']} objects were not counted by the backup: looked for"
            )
        found += _problem(one, "    ")
    found += _problem(told, "  ")
    age = human_duration(timedelta(seconds=int(told["rpo"]["seconds"])))
    found.append(f"  the newest good backup is {age} old{_objective('RPO', told['rpo'])}")
    for key in told["opened_by"]:
        found.append(f"  opened with the key of {key['recipient']} ({key['fingerprint']})")
    return found


def _problem(one: Mapping[str, Any], indent: str) -> list[str]:
    if not one["problem"]:
        return []
    told = [one["problem"], *("  | " + line for line in one["detail"].splitlines())]
    told += ["  hint: " + one["hint"]] if one["hint"] else []
    return [indent + line for line in told]


def _objective(name: str, one: Mapping[str, Any]) -> str:
    if one["objective"] is None:
        return ""
    promised = human_duration(timedelta(seconds=one["objective"])).replace(" ", "")
    return f", {name} {promised} {'met' if one['met'] else 'MISSED'}"
