# SPDX-License-Identifier: GPL-3.0-or-later
"""Drill: restore a backup from one destination for real, into throw-away places, time it, compare, tell.

Nothing live is touched, and nothing of it stays. The caller holds the lock of the job's drills, not the
job's own: a backup never waits for a drill.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ...errors import LifeboatError, ProcessError, SourceError, UsageError
from ...files import make_private
from ...job import Drilling, Job
from ...model import Command, Manifest, SourceRecord
from ...process import run
from ...progress import Event, Listener, silent
from ...stored import Mark
from ...throwaway import clear, make_arena
from ..copies.catalog import Holding, Wanted, choose, holdings, read_manifest
from ..copies.marking import say, say_of_every_copy
from ..copies.metadata import examine
from ..copies.plain import Decoders
from ..copies.unlocking import WrongIdentity, opened_by, require_identity
from .report import Phases, Report
from .source import Trial

RANDOM = "random"  # instead of an id


@dataclass(frozen=True)
class Asked:
    """What to drill. `wanted.id` may be RANDOM."""

    wanted: Wanted
    host: str  # whose backup
    type: str = "manual"
    only: Sequence[str] = ()
    metadata: bool = False

    @property
    def what(self) -> str:
        if self.only:
            return "partial"
        return "metadata" if self.metadata else RANDOM if self.wanted.id == RANDOM else "full"


def drill(
    job: Job,
    asked: Asked,
    place: Path,
    decoders: Decoders,
    identity: bytes | None,
    clock: Callable[[], datetime],
    listener: Listener = silent,
) -> Report:
    """Drill one backup below the directory `place`. What fails after the choice is in the report.

    Raises LifeboatError where there is nothing to drill, or no identity was given.
    """
    phases = Phases()
    with phases.watch("choose"):
        holding, name, age = candidate(job, asked, clock())
        destination = job.destination(name)
        manifest = read_manifest(destination, asked.host, job.name, holding.id, job.signers)
        records = _records(manifest, asked.only)
    names = [one.name for one in records]
    report = Report(
        id=manifest.id,
        host=asked.host,
        job=job.name,
        type=asked.type,
        what=asked.what,
        destination=name,
        sources=(),
        phases=phases.seconds,
        rpo=min(filter(None, (job.objectives_for(one).rpo for one in names)), default=None),
        age=age,
        opened_by=opened_by(manifest, names, decoders, identity),
    )
    try:
        require_identity(manifest, names, decoders, identity)
    except WrongIdentity as exc:
        return replace(report, problem=exc.message, hint=exc.hint)
    directory = make_arena(place, job.name)
    try:
        with ExitStack() as held:
            trial = Trial(job, manifest, destination, decoders, identity, held, listener)
            report = _run(trial, asked, directory, report, phases)
    finally:
        clear(directory)
    return replace(report, mark=_mark(trial, report, clock()))


def _run(trial: Trial, asked: Asked, directory: Path, report: Report, phases: Phases) -> Report:
    tried = []
    job, manifest = trial.job, trial.manifest
    for number, record in enumerate(_records(manifest, asked.only)):
        one = trial.of(record, make_private(directory / str(number), 0o711))
        tried.append(one)
        for phase, seconds in one.phases.items():
            phases.seconds[phase] = phases.seconds.get(phase, 0.0) + seconds
    report = replace(report, sources=tuple(tried))
    try:
        if asked.metadata:
            with phases.watch("metadata"):
                examine(job, manifest, trial.destination)
        if job.drilling.check and report.passed and not asked.only:
            trial.listener(Event("check", job.drilling.check[0]))
            with phases.watch("check"):
                _check(job.drilling, manifest, trial.places)
    except LifeboatError as exc:
        return replace(report, problem=exc.message, detail=exc.detail, hint=exc.hint)
    return report


def _check(drilling: Drilling, manifest: Manifest, places: Mapping[str, str]) -> None:
    """The user's own program; raises SourceError."""
    env = {
        "LIFEBOAT_DRILL_JOB": manifest.job,
        "LIFEBOAT_DRILL_ID": manifest.id,
        **places,
    }
    try:
        run(
            Command(drilling.check, env),
            timeout_s=drilling.check_timeout_s,
            dies_with_us=True,
        )
    except ProcessError as exc:
        raise SourceError(
            f"the job's own check of what was restored failed: {exc}",
            detail=exc.detail,
            hint="run it by hand against a restore with --into",
        ) from exc


def candidate(job: Job, asked: Asked, now: datetime) -> tuple[Holding, str, timedelta]:
    """The backup, the destination it is restored from, and the age of the newest good one there is."""
    at = asked.wanted.at or job.drilling.at
    listed, lost = holdings(job, asked.host, at)
    if not listed and lost:
        raise lost[0][1]
    whole_first = sorted(listed, key=lambda one: one.subset)  # sorted() keeps newest first
    if asked.wanted.id == RANDOM:
        good = [one for one in listed if one.good and one.taken_at <= now][: job.drilling.among]
        if not good:
            choose(listed, Wanted(at=at), job.name, now)  # says so
        holding = secrets.choice(good)
    elif asked.wanted == Wanted(at=asked.wanted.at):
        holding = choose(whole_first, Wanted(at=at), job.name, now)[0]
    else:
        holding = choose(listed, asked.wanted, job.name, now)[0]
    newest = [one.taken_at for one in listed if one.good and one.taken_at <= now]
    age = now - max(newest, default=holding.taken_at)
    places = holding.committed_at
    good_at = [name for name, copy in holding.copies if copy.good] or list(places)
    # By and by every destination: a disaster leaves one of them, and nobody knows which.
    chosen = secrets.choice(good_at) if asked.wanted.id == RANDOM else good_at[0]
    return holding, chosen, max(age, timedelta(0))


def _records(manifest: Manifest, only: Sequence[str]) -> list[SourceRecord]:
    unknown = sorted(set(only) - {one.name for one in manifest.sources})
    found = [
        one for one in manifest.sources if one.status == "good" and one.name in (only or [one.name])
    ]
    if unknown or not found:
        raise UsageError(
            f"backup {manifest.id} does not hold a good {', '.join(unknown or only) or 'source'}",
            hint="it has: " + ", ".join(one.name for one in manifest.sources),
        )
    return found


def _mark(trial: Trial, report: Report, at: datetime) -> str:
    """What is said beside this copy: it is restorable; or it is bad, where it is the copy's own fault."""
    manifest, listener = trial.manifest, trial.listener
    if any(one.unreadable for one in report.sources):
        said = say_of_every_copy(trial.job, manifest, Mark("bad", at, "content"), listener)
        return "bad" if trial.destination.name in said else ""
    kind = "drilled" if report.restorable else ""
    if any(one.bad for one in report.sources):
        kind = "bad"
    backup = (manifest.host, manifest.job, manifest.id)
    return kind if kind and say(trial.destination, backup, Mark(kind, at), listener) else ""
