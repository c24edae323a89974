# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command needs: the paths, the configuration, the job's lock, the clock. Also used by modules."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..anchor import private
from ..config import Configuration, load
from ..credentials import Credentials
from ..errors import LifeboatError, LockedError, UsageError
from ..files import lock, make_private
from ..job import Job
from ..model import Manifest
from ..operations.backup import backup
from ..operations.restore import restore, settle
from ..operations.restore.journal import DISCARDING, Journal, journals
from ..operations.restore.journal import sweep as sweep_journals
from ..operations.standing import history
from ..operations.upkeep import verify
from ..paths import Paths
from ..progress import Event, Listener, Phases, Told, silent
from ..stopped import notes, resume
from ..throwaway import passable, sweep
from ..units import stamp
from .strangers import known, note, told_of_strangers


def now() -> datetime:
    """The clock. Only doors read it."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Session:
    """One process of lifeboat on one host."""

    paths: Paths
    configuration: Configuration

    @classmethod
    def load(cls, paths: Paths) -> Session:
        secret = Credentials(paths.credentials).secret
        return cls(paths, load(paths.config_file, secret, paths.scope))

    def job(self, name: str) -> Job:
        return self.configuration.job(name)

    def job_to_run(self, name: str) -> Job:
        """The job, if there is anything of it here to back up; else raises UsageError."""
        job = self.job(name)
        if job.only_drilled:
            raise UsageError(
                f"job {name} is only drilled on this host: there is nothing of it here to back up",
                hint="it is backed up on " + ", ".join(job.drilling.hosts),
            )
        return job

    def area(self, job: Job, rescue: bool = False) -> restore.Area:
        """Where an operation on `job` may work.

        Root reads backups where only root writes: the backup user must not be able to change what
        root is about to restore.
        """
        if rescue and self.paths.scope == "system" and os.geteuid() == 0:
            spool = self._rescue_spool() / job.name
            return restore.Area(spool, Path("/run"), self.paths.journals)
        spool = (self.configuration.spool or self.paths.spool) / job.name
        return restore.Area(spool, self.paths.runtime, self.paths.journals)

    def not_to_replace(self) -> Mapping[str, str]:
        """{path: what it is}: the copies of every job that lie on this host, the spool, and the journals that a
        restore is ended by."""
        spool = self.configuration.spool or self.paths.spool
        ours = {str(spool): "the spool", str(self.paths.state): "the state of lifeboat"}
        for job in self.configuration.jobs.values():
            for one in job.destinations:
                for path in filter(os.path.isabs, one.needs().writes):
                    ours[path] = f"the destination {one.name} of job {job.name}"
        return ours

    def arenas(self, rescue: bool = True) -> Path:
        """Where drills have their throw-away places, JOB.TOKEN each. Root's: where only root writes, and
        where the users of its servers may pass through."""
        if rescue and self.paths.scope == "system" and os.geteuid() == 0:
            beside = self._rescue_spool()
            name = "drills" if beside.name == "spool" else beside.stem + ".drills"
            return passable(beside.with_name(name))
        return passable((self.configuration.spool or self.paths.spool) / ".drills")

    @contextmanager
    def hold_drills(self, job: Job) -> Iterator[None]:
        """Hold the lock of the job's drills; what a killed one left is removed first."""
        with lock(self.paths.drill_lock(job.name), "drill"):
            for place in sorted({self.arenas(), self.arenas(rescue=False)}):
                if os.access(place, os.W_OK):
                    sweep(place, job.name)
            yield

    def _sweep_drills(self, job: Job, listener: Listener) -> None:
        """Whoever comes next removes what a killed drill left, unless one is under way."""
        try:
            with self.hold_drills(job):
                return
        except LockedError:
            return
        except (LifeboatError, OSError) as exc:  # another user's: only space is at stake
            listener(Event("recover", f"drill of {job.name}", problem=str(exc)))

    def _rescue_spool(self) -> Path:
        """On the disk of `spool_path` where only root can put anything beside it; else our own."""
        spool = self.configuration.spool
        if spool is not None and spool.is_dir():
            around = spool.parent
            ours = all(private(str(folder)) for folder in (around, *around.parents))
            if ours and os.stat(around).st_dev == os.stat(spool).st_dev:
                return around / (spool.name + ".restore")
        return self.paths.journals / "spool"

    @contextmanager
    def hold(
        self, job: Job, what: str, wait: bool = False, listener: Listener = silent
    ) -> Iterator[None]:
        """Hold the job's lock; an interrupted restore is brought to an end first, or reported."""
        with lock(self.paths.job_lock(job.name), what, wait):
            for told in resume(self.area(job).spool):
                _tell(listener, told)
            if left_in(self.area(job, rescue=True).spool):
                backup.empty(self.area(job, rescue=True).spool)
            if os.access(self.paths.journals, os.W_OK):  # else the next one does it who may
                sweep_journals(self.paths.journals, job.name)
            left = [one for one in journals(self.paths.journals, job.name) if one.open]
            if all(one.step == DISCARDING for one in left):
                self._let_go(job, left, listener)
            else:
                self._recover(job, listener)
            self._sweep_drills(job, listener)
            yield

    def _recover(self, job: Job, listener: Listener) -> None:
        """End what was cut off. Raises LockedError where we cannot: nothing else may go on then."""
        cut_off, recover = (
            f"a restore of job {job.name} was cut off",
            f"lifeboat recover {job.name}",
        )
        if not os.access(self.paths.journals, os.W_OK):  # the user, or the sandbox, of a backup
            raise LockedError(f"{cut_off} and is not ended yet", hint=f"run `{recover}` as root")
        try:
            for told in settle.recover(job, self.paths.journals, now(), listener):
                _tell(listener, told)
                self._remember_recovery(job, listener, told, told.well)
        except LifeboatError as exc:
            self._remember_recovery(job, listener, str(exc), False)
            raise LockedError(
                f"{cut_off} and cannot be ended yet: {exc}",
                detail=exc.detail,
                hint=exc.hint or f"mend that, then run `{recover}`",
            ) from exc
        except OSError as exc:
            raise LockedError(
                f"{cut_off} and cannot be ended yet: {exc.filename}: {exc.strerror}",
                hint=f"run `{recover}` as root",
            ) from exc

    def _remember_recovery(self, job: Job, listener: Listener, told: str, well: bool) -> None:
        """Which restore was cut off, and which state holds, or why it could not be ended."""
        words = {"told": [told]} if well else {"exit_code": 1, "errors": [told]}
        remember(self, listener, "recover", job.name, **words)

    def _let_go(self, job: Job, left: Sequence[Journal], listener: Listener) -> None:
        """Complete what was confirmed; where that cannot be, only space is at stake."""
        try:
            ended = settle.recover(job, self.paths.journals, now(), listener) if left else ()
            for told in ended:
                _tell(listener, told)
        except (LifeboatError, OSError) as exc:
            listener(Event("recover", job.name, problem=str(exc)))


def left_in(spool: Path) -> bool:
    """Whether a killed operation left something in a job's spool, if nobody is at work there."""
    try:
        return bool(set(spool.iterdir()) - set(notes(spool)))
    except OSError:  # not made yet, or another user's
        return False


def run_backup(
    session: Session,
    job: Job,
    *,
    type_: str,
    sources: Sequence[str] = (),
    tags: Sequence[str] = (),
    pin: bool = False,
    wait: bool = False,
    listener: Listener = silent,
) -> backup.Report:
    """One backup in this process, under the job's lock, remembered in the history."""
    area, begun = session.area(job), time.monotonic()
    with session.hold(job, "backup", wait, listener):
        past = history.past(session.paths.history, job.name)
        _let_a_second_pass(past)
        accepted = history.past(session.paths.history, job.name, "accept")
        request = backup.Request(
            type=type_,
            suffix=secrets.token_hex(2),
            sources=tuple(sources),
            tags=tuple(tags),
            pin=pin,
            history=history.trend_of(past, accepted),
            counted=history.trend_of(past, accepted, "counts"),
            expected=_expected(past),
            begun=lambda id_: note(session.paths, job.name, id_),
        )
        phases = Phases(listener, _plain(past))
        with _failures(session, job, listener, begun):
            report = backup.run(job, request, area.spool, area.runtime, now, phases)
            report = _with_overdue(report, verify.overdue(job, now, phases))
            report = told_of_strangers(job, known(session.paths, job.name), report, now)
        _remember(
            listener,
            lambda: history.remember_backup(
                session.paths.history,
                job.name,
                now(),
                report,
                time.monotonic() - begun,
                phases.seconds,
            ),
        )
    return report


def _with_overdue(report: backup.Report, late: Sequence[verify.Finding]) -> backup.Report:
    """An older copy that proved bad when all of it was read at last is told where its destination is."""
    bad = {one.destination: one for one in late if one.state == "corrupt"}
    outcomes = tuple(
        replace(one, error=f"{bad[one.destination].id}: {bad[one.destination].problem}")
        if one.destination in bad and not one.error
        else one
        for one in report.outcomes
    )
    return replace(report, outcomes=outcomes)


@contextmanager
def _failures(session: Session, job: Job, listener: Listener, begun: float) -> Iterator[None]:
    """Remember a run that reports nothing because it was refused, or interrupted."""
    try:
        yield
    except (LifeboatError, OSError, KeyboardInterrupt) as exc:
        stopped = isinstance(exc, KeyboardInterrupt)
        told, code = str(exc) or "interrupted", 130 if stopped else getattr(exc, "exit_code", 1)
        _remember(
            listener,
            lambda: history.remember_failure(
                session.paths.history, job.name, now(), told, code, time.monotonic() - begun
            ),
        )
        raise


def remember(session: Session, listener: Listener, event: str, job: str, **facts: Any) -> None:
    """Add to the history; one that cannot be written is told, and fails nothing."""
    _remember(
        listener,
        lambda: history.remember(session.paths.history, event, job, now(), **facts),
    )


def report_mapping(job: Job, report: backup.Report) -> dict[str, Any]:
    """A backup's report, as --json prints it and modules return it."""
    return {
        "id": report.id,
        "job": job.name,
        "committed": report.manifest is not None
        and any(one.state != "lost" for one in report.outcomes),
        "complete": bool(report.manifest and report.manifest.complete),
        "exit_code": report.exit_code,
        "size_bytes": sum(one.size_bytes for one in report.manifest.archives)
        if report.manifest
        else 0,
        "destinations": [
            {
                "name": one.destination,
                "state": one.state,
                "error": one.error,
                "hint": one.hint,
                "remarks": list(one.remarks),
            }
            for one in report.outcomes
        ],
        "sources": [
            {
                "name": one.name,
                "kind": one.kind,
                "status": one.status,
                "error": one.error,
                "totals": dict(one.totals),
                "warnings": warnings_of(report.manifest, one.name),
            }
            for one in report.sources
        ],
        "suspect": list(report.odd),
        "repository": dict(report.manifest.repository) if report.manifest else {},
    }


def warnings_of(manifest: Manifest | None, source: str) -> list[str]:
    """What was odd about this source when it was backed up, and failed nothing."""
    archives = manifest.of_source(source) if manifest else ()
    return [told for one in archives for told in one.warnings]


def ensure_directories(paths: Paths) -> None:
    """The directories of a user scope; those of the system are made by the role."""
    if paths.scope == "user":
        for directory in (paths.state, paths.spool, paths.log, paths.runtime, paths.journals):
            make_private(directory)


def _tell(listener: Listener, told: Told) -> None:
    listener(Event("recover", told, ended=True, problem="" if told.well else told))


def _let_a_second_pass(past: Sequence[Mapping[str, Any]]) -> None:
    """Ids are ordered by their second: two runs of a job never share one."""
    last = str(past[-1].get("id", "")) if past else ""
    while last.startswith(stamp(now())):
        time.sleep(0.05)


def _expected(past: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    """{archive name: stored bytes} of the newest run that committed something."""
    return next((entry["stored"] for entry in reversed(past) if entry.get("stored")), {})


def _plain(past: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    """{archive name: plain bytes} of the newest run that committed something."""
    return next((entry["plain"] for entry in reversed(past) if entry.get("plain")), {})


def _remember(listener: Listener, act: Any) -> None:
    try:
        act()
    except (OSError, LifeboatError, ValueError, TypeError) as exc:
        listener(Event("history", str(exc), problem="the history could not be written"))
