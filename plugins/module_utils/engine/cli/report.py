# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat report`: a month of this host, as a page for people and as evidence for an auditor."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import units
from ..copies import copies_findings
from ..errors import LifeboatError
from ..files import write
from ..job import Job
from ..keys import key_findings
from ..model import Manifest
from ..operations.copies.catalog import read_manifest
from ..operations.drills import record as drill_record
from ..operations.reports import evidence
from ..operations.reports.evidence import Evidence, Period
from ..operations.reports.html import page
from ..operations.reports.recommend import recommendations
from ..operations.reports.report import of_job as numbers_of
from ..operations.standing import audit, history, status
from ..operations.standing.whereabouts import whereabouts
from ..operations.watching.coverage import TREES, coverage
from ..registry import SOURCES
from ..units import iso
from ..version import VERSION
from .output import Output, table
from .pdf import put_pdf, renderer
from .runbook import text as runbook
from .session import Session, now
from .standing import of_job

_LARGE = "100M"  # from which on a tree that nobody protects is told; as `lifeboat coverage`


def report_(session: Session, asked: Any, out: Output) -> int:
    """Always 0: what is wrong stands in the recommendations."""
    with_ = renderer() if asked.pdf else None  # before an hour of looking
    told = gather(session, asked.month, asked.job or "")
    if asked.html:
        _put(Path(asked.html), page([told]))
        out.note(f"written: {asked.html}")
    if with_ is not None:
        put_pdf(with_, page([told]), Path(asked.pdf))
        out.note(f"written: {asked.pdf}")
    out.result(told, "\n\n".join(filter(None, _text(told))))
    return 0


def gather(session: Session, month: str = "", only: str = "") -> Evidence:
    """The evidence of a month: of all jobs, or of `only` one, which leaves coverage out."""
    moment = now()
    during = evidence.period(month, moment)
    jobs = [session.job(only)] if only else list(session.configuration.jobs.values())
    backed_up = [job for job in jobs if not job.only_drilled]
    log = session.paths.log / audit.NAME
    told: Evidence = {
        "version": evidence.VERSION,
        "host": session.configuration.host,
        "month": during.name,
        "begins": iso(during.begins),
        "ends": iso(during.ends),
        "made_at": iso(moment),
        "tools": {"lifeboat": VERSION, "python": platform.python_version()},
        "configuration": _configuration(session),
        "audit": _audit(log),
        "jobs": [_job(session, job, during, moment) for job in backed_up],
        "events": _events(log, during, only),
        "coverage": None if only else _coverage(session, backed_up),
        "disks": _disks(session, backed_up),
        "runbook": "" if only else runbook(session),
    }
    told["recommendations"] = [asdict(one) for one in recommendations(told, moment)]
    return told


def _job(session: Session, job: Job, during: Period, moment: datetime) -> Evidence:
    there = status.asked(job)
    past, elsewhere = session.paths.history, drill_record.newest(job, there, moment)
    found = evidence.Gathered(
        there=there,
        standings=of_job(session, job, there, moment, elsewhere),
        runs=history.past(past, job.name),
        drills=drill_record.known(past, job, elsewhere),
        newest=_newest(job, there),
        findings=[*_findings(job, moment)],
        stored_here={
            one.name: place
            for one in job.destinations
            for place in one.needs().writes
            if os.path.isabs(place)
        },
    )
    return evidence.of_job(job, found, during, moment)


def _findings(job: Job, moment: datetime) -> Iterator[tuple[str, str, str]]:
    for key in key_findings(job, moment):
        yield key.level, key.text, key.hint
    for told in copies_findings(job.name, *whereabouts(job)):
        yield status.WARNING, told, "see `destinations` in the configuration"


def _newest(job: Job, there: status.Told) -> Manifest | None:
    for destination, held in there:
        told = () if isinstance(held, LifeboatError) else held
        good = next((one for one in told if one.good), None)
        if good is not None:
            try:
                return read_manifest(destination, job.host, job.name, good.id)
            except LifeboatError:
                continue
    return None


def _configuration(session: Session) -> Evidence:
    path = session.paths.config_file
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _audit(log: Path) -> Evidence:
    """Whether the log is as it was written; one that cannot be read is not."""
    try:
        chain = asdict(audit.check(log))
    except LifeboatError as exc:
        chain = {"lines": 0, "head": "", "first_at": "", "last_at": "", "problems": [str(exc)]}
    return dict(chain, path=str(log), problems=list(chain["problems"]), whole=not chain["problems"])


def _events(log: Path, during: Period, only: str) -> list[Evidence]:
    try:
        return evidence.events(audit.entries(log, only), during)
    except LifeboatError:
        return []  # told by the audit


def _coverage(session: Session, jobs: Collection[Job]) -> list[Evidence]:
    paths = session.paths
    own = [str(one) for one in (paths.software, paths.state, paths.spool, paths.log, paths.config)]
    found = coverage(jobs, SOURCES, units.size(_LARGE), TREES, own)
    return [dict(asdict(one), jobs=list(one.jobs)) for one in found]


def _disks(session: Session, jobs: Collection[Job]) -> list[Evidence]:
    """Each file system that backups, or archives on their way, are written to."""
    places = {str(session.area(job).spool.parent) for job in jobs}
    for job in jobs:
        for one in job.destinations:
            places.update(place for place in one.needs().writes if os.path.isabs(place))
    found: dict[int, Evidence] = {}
    for place in sorted(places):
        try:
            device, room = os.stat(place).st_dev, os.statvfs(place)
        except OSError:
            continue  # not mounted now: its destination says so
        disk = found.setdefault(
            device,
            {
                "places": [],
                "free_bytes": room.f_bavail * room.f_frsize,
                "size_bytes": room.f_blocks * room.f_frsize,
            },
        )
        disk["places"].append(place)
    return list(found.values())


def _put(path: Path, text: str) -> None:
    try:
        write(path, text.encode(), 0o640)
    except OSError as exc:
        raise LifeboatError(
            f"the report {path} cannot be written: {exc.strerror}", hint="see that directory"
        ) from exc


def _text(told: Evidence) -> Iterator[str]:
    """What a terminal shows: a line a job, then what to do."""
    yield f"{told['host']}, {told['month']}"
    rows = []
    for job in told["jobs"]:
        one = numbers_of(told["host"], job)
        grown = "" if one.growth_per_day is None else f"{one.growth_per_day / 2**20:+.1f} MiB/day"
        size = units.human_size(int(one.sizes[-1][1])) if one.sizes else ""
        drills = f"{one.drills_passed} of {one.drills}"
        runs = f"{one.good} of {one.good + one.failed}"
        rows.append([one.job, runs, size, grown, drills, str(len(job["backups"]))])
    yield table(["JOB", "GOOD RUNS", "SIZE", "GROWTH", "DRILLS PASSED", "BACKUPS"], rows)
    yield "\n".join(
        f"{one['level']}: {one['job'] + ': ' if one['job'] else ''}{one['what']}\n    {one['do']}"
        for one in told["recommendations"]
    )
