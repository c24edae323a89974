# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat doctor`: the whole system looked at, from the configuration to the clock. Changes nothing
but for the probe that each destination is given, and takes away again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..copies import copies_findings
from ..errors import LifeboatError, SourceAbsent, UsageError
from ..job import Job
from ..keys import key_findings
from ..naming import catalog_prefix
from ..operations.copies.catalog import copies_at
from ..operations.copies.exposure import exposures
from ..operations.restore import around
from ..operations.standing import status
from ..operations.standing.whereabouts import whereabouts
from .calendars import check_calendars
from .check import refuse_shared_places
from .drill import identity
from .findings import CRITICAL, GOOD, WARNING, Finding
from .forgotten import forgotten
from .machine import clock, rights, space, timers
from .output import Output, table
from .session import Session, now
from .standing import of_job

_ORDER = (GOOD, WARNING, CRITICAL)
_SIGN = "name who signs in `signers`: see docs/configuration.md#signing"
_ELSEWHERE = (
    "add a destination at another place, or say with its `domain` and `medium` that it is one"
)
_PROTECT = "give this host an identity there that may only append, and `mode: append_only`"


def doctor(session: Session, asked: Any, out: Output) -> int:
    """0 all good, 1 a warning, 2 something that keeps a backup or a restore from working."""
    jobs = [session.job(asked.job)] if asked.job else list(session.configuration.jobs.values())
    found = list(examine(session, jobs, only=bool(asked.job)))
    rows = [[one.area, one.what, one.state, one.told] for one in found]
    out.result([vars(one) for one in found], table(["AREA", "WHAT", "STATE", "WHY"], rows))
    for line in _to_do(found):
        out.note(line)
    return max((_ORDER.index(one.state) for one in found), default=0)


def _to_do(found: Sequence[Finding]) -> Iterator[str]:
    """What to do, the worst first, each thing once."""
    places: dict[tuple[str, str], list[str]] = {}
    for one in sorted(found, key=lambda one: -_ORDER.index(one.state)):
        if one.hint and one.state != GOOD:
            places.setdefault((one.state, one.hint), []).append(f"{one.area} {one.what}")
    for (state, hint), where in places.items():
        yield f"{state}: {', '.join(dict.fromkeys(where))}: {hint}"


def examine(session: Session, jobs: Iterable[Job], only: bool = False) -> Iterator[Finding]:
    """Every finding, good ones too, so that it can be seen what was looked at."""
    jobs = list(jobs)
    yield from _tried("configuration", "all jobs", partial(_configuration, session))
    for job in jobs:
        yield from _tried("programs", job.name, partial(_programs, job))
        if job.only_drilled:
            yield from _drilled(session, job)
            continue
        yield from _keys(job)
        for source in job.sources:
            yield from _source(job, source)
        yield from _copies(job)
        yield from _signed_drills(job)
        for service, state in _states(job):
            if state == "absent":
                why = "a restore would stop it, and there is no such service here"
                yield Finding("service", f"{job.name} {service}", WARNING, why)
        for destination in job.destinations:
            where = f"{job.name} {destination.name}"
            yield from _tried("destination", where, partial(_destination, job, destination))
        yield from _standing(session, job)
    ours = [job for job in jobs if not job.only_drilled]
    if not only:
        yield from forgotten(session)
    yield from _safe(exposures(ours))
    yield from rights(session.paths)
    yield from space(session, ours)
    yield from timers(session.paths, jobs)
    yield from clock()


def _standing(session: Session, job: Job) -> Iterator[Finding]:
    for one in of_job(session, job, status.asked(job), now()):
        where = f"{job.name} {one.destination or one.source}".strip()
        yield Finding("status", where, one.state, one.reason or "good", one.next)


def _signed_drills(job: Job) -> Iterator[Finding]:
    if job.drilling.schedules and not job.signers:
        why = "it is drilled by timer, and backups that nobody signed are restored there"
        yield Finding("drills", job.name, WARNING, why, _SIGN)


def _drilled(session: Session, job: Job) -> Iterator[Finding]:
    """A job of other hosts, of which nothing but its drills is here."""
    yield from _tried("keys", job.name, partial(_drill_key, job))
    yield from _signed_drills(job)
    for destination in job.destinations:
        where = f"{job.name} {destination.name}"
        yield from _tried("destination", where, partial(_readable, job, destination))
    yield from _standing(session, job)


def _drill_key(job: Job) -> str:
    if identity(job, None) is None:
        raise UsageError(
            "it is drilled here, and there is no private key for that",
            hint="name one in `drill`: see docs/configuration.md#drills",
        )
    return "a private key for its drills"


def _readable(job: Job, destination: Any) -> str:
    found = sum(
        1 for host in job.drilling.hosts for _copy in copies_at(destination, host, job.name)
    )
    return f"reached, and holds {found} backups of " + ", ".join(job.drilling.hosts)


def _tried(area: str, what: str, look: Callable[[], str]) -> Iterator[Finding]:
    """What `look` says of it; critical when it raises."""
    try:
        yield Finding(area, what, GOOD, look())
    except LifeboatError as exc:
        told = " ".join([str(exc), *exc.detail.splitlines()[-1:]])
        yield Finding(area, what, CRITICAL, told, exc.hint)


def _configuration(session: Session) -> str:
    refuse_shared_places(session.configuration)
    jobs = session.configuration.jobs.values()
    read = check_calendars(
        {
            f"jobs.{job.name}.schedules.{schedule.type}.at": schedule.at
            for job in jobs
            for schedule in job.schedules
        }
    )
    return f"{len(jobs)} jobs" + ("" if read else "; the calendars were not checked: no systemd")


def _programs(job: Job) -> str:
    for one in job.filters:
        one.check()
    return ", ".join(one.kind for one in job.filters)


def _keys(job: Job) -> Iterator[Finding]:
    found = key_findings(job, now())
    for one in found:
        yield Finding("keys", job.name, one.level, one.text, one.hint)
    if not found:
        encrypted = any(one.needs_identity for one in job.filters)
        told = "at least two, none about to end" if encrypted else "not encrypted, as configured"
        yield Finding("keys", job.name, GOOD, told)


def _copies(job: Job) -> Iterator[Finding]:
    """Three copies, two media, one off-site."""
    found = copies_findings(job.name, *whereabouts(job))
    for told in found:
        yield Finding("3-2-1", job.name, WARNING, told, _ELSEWHERE)
    if not found:
        yield Finding("3-2-1", job.name, GOOD, "three copies, two media, one off-site")


def _source(job: Job, source: Any) -> Iterator[Finding]:
    what = f"{job.name} {source.name}"
    try:
        told = dict(source.check())
        warning = str(told.pop("warning", ""))
        yield Finding("source", what, GOOD, ", ".join(f"{a} {b}" for a, b in told.items() if b))
        if warning:
            yield Finding("source", what, WARNING, warning)
    except SourceAbsent as exc:
        state = WARNING if source.optional else CRITICAL
        yield Finding("source", what, state, str(exc), "" if source.optional else exc.hint)
    except LifeboatError as exc:
        yield Finding("source", what, CRITICAL, str(exc), exc.hint)


def _destination(job: Job, destination: Any) -> str:
    destination.check(catalog_prefix(job.host, job.name))
    return "reached, and takes what is written"


def _states(job: Job) -> Iterable[tuple[str, str]]:
    try:
        return around.states(job)
    except LifeboatError:  # no systemd: told by the timers
        return ()


def _safe(found: Iterable[Any]) -> Iterator[Finding]:
    """Whether what is stored is out of this host's reach."""
    for one in found:
        state = CRITICAL if one.broken else GOOD if one.protected else WARNING
        told = f"{one.told}: {one.why}" if one.why else one.told
        hint = "" if one.protected else _PROTECT
        yield Finding("protection", one.destination, state, told, hint)
