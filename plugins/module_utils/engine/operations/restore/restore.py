# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a restore that was planned: fetch and verify, restore beside, compare, swap.

The caller passes the gate, and holds the job's lock. Until every source is staged and compared nothing
live is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ...errors import (
    DestinationError,
    GateRefused,
    Interrupted,
    LifeboatError,
    RestoreError,
    VerifyError,
)
from ...files import free_bytes, make_private, remove, workspace
from ...job import Job
from ...model import Archive, SourceRecord, Swap, Workspace
from ...progress import Event, Listener, silent
from ...stored import Mark
from ...units import human_size
from ..backup.backup import empty
from ..copies.marking import say
from ..copies.plain import Decoders, fetch, of_the_copy, plains
from ..copies.unlocking import require_identity
from . import around, undecided
from .journal import RETURNING, STAGING, STOPPING, SWAPPED, SWAPPING, Journal, advance, begin
from .planning import Plan, source_of
from .settle import settle
from .staging import compare, stage


@dataclass(frozen=True)
class Area:
    """The directories a restore works in. `journals` is root's (or the user's) alone to write."""

    spool: Path  # this job's; emptied by each operation
    runtime: Path
    journals: Path


class Restore:
    """One restore that passed `plan`. `fetch` proves the archives; `apply` restores, compares and swaps."""

    def __init__(
        self,
        job: Job,
        planned: Plan,
        area: Area,
        decoders: Decoders,
        identity: bytes | None,
        clock: Callable[[], datetime],
        listener: Listener = silent,
    ) -> None:
        self._job, self._plan, self._area = job, planned, area
        self._clock = clock
        self._decoders, self._identity, self._listener = decoders, identity, listener
        self._paths: dict[str, Path] = {}
        self.verified = False
        self.warnings: list[
            str
        ] = []  # of what is restored as it was backed up, and was not whole then

    def __enter__(self) -> Restore:
        return self

    def __exit__(self, *exc: object) -> None:
        for path in self._paths.values():
            remove(path)

    def fetch(self) -> None:
        """Bring every archive here and hash it; raises VerifyError before anything is touched."""
        spool = self._area.spool
        empty(spool)  # of what a killed operation left
        free = free_bytes(spool)
        if self._plan.size_bytes > free:
            wanted = human_size(self._plan.size_bytes)
            raise RestoreError(
                f"{spool} has {human_size(free)} free, and the archives to be fetched take {wanted};"
                " nothing was touched",
                hint="make room there, or restore source by source, with --only",
            )
        names = {record.name for record, _target in self._plan.targets}
        require_identity(self._plan.manifest, names, self._decoders, self._identity)
        for archive in self._plan.manifest.archives:
            if archive.source in names:
                self._paths[archive.name] = spool / archive.name
                self._fetch_one(archive, spool)
        self.verified = True

    def _fetch_one(self, archive: Archive, spool: Path) -> None:
        """From the nearest copy that has it whole; a copy that proves bad is marked so."""
        failure: LifeboatError | None = None
        for name in (self._plan.destination, *self._plan.spares):
            destination = self._job.destination(name)
            try:
                fetch(destination, self._plan.manifest, archive, spool, self._listener)
                return
            except (VerifyError, DestinationError) as exc:
                failure = exc
                self._listener(Event("fetch", f"{archive.name} from {name}", problem=str(exc)))
                if isinstance(exc, VerifyError):
                    made = self._plan.manifest
                    bad = Mark("bad", self._clock())
                    say(destination, (made.host, made.job, made.id), bad, self._listener)
        raise failure or VerifyError(f"the archive {archive.name} has no copy")

    def apply(self, token: str, now: datetime) -> Journal:
        """Restore beside, compare, swap. On any failure the old state is in place and nothing is left over."""
        if not self.verified:
            raise GateRefused("the archives of this backup have not been verified")
        records = [record for record, _target in self._plan.targets]
        directory = self._area.journals
        manifest = self._plan.manifest
        journal = begin(directory, self._job.name, token, manifest.id, now, records, manifest.host)
        swaps: list[Swap] = []
        try:
            for record, target in self._plan.targets:
                place = directory / "kept" / f"{self._job.name}.{token}.{record.name}"
                target = replace(target, keep_in=str(place))
                swaps.append(source_of(self._job, record).plan(record, target, token))
            journal = advance(directory, journal, STAGING, swaps)
            with workspace(self._area.spool, make_private(self._area.runtime)) as work:
                for (record, _target), swap in zip(self._plan.targets, swaps):
                    self._stage(record, swap, work)
            there = [name for name, copy in self._plan.holding.copies if copy.committed]
            journal = undecided.announce(self._job, journal, there, directory, self._listener)
            running = around.running(self._job) if self._plan.services else ()
            if running:
                journal = advance(directory, journal, STOPPING, stopped=running)
                self._stop(running)
            journal = advance(directory, journal, SWAPPING)
            for swap in swaps:
                self._listener(Event("swap", swap.target))
                self._job.source(swap.source).swap(swap)
            self._start(running)
            return advance(directory, journal, SWAPPED, stopped=())
        except BaseException as exc:
            try:
                if journal.step == SWAPPING:  # also what is all swapped goes back
                    journal = advance(directory, journal, RETURNING)
                verdict = settle(self._job, journal, directory, self._clock(), self._listener)
            except (LifeboatError, OSError) as also:
                raise RestoreError(
                    f"{exc}; and taking it back failed: {also}",
                    hint="run `lifeboat recover` when the cause is mended: the journal is kept",
                ) from exc
            if isinstance(exc, LifeboatError):
                hint = exc.hint or self._other_backups(exc)
                raise RestoreError(f"{exc}; {verdict}", detail=exc.detail, hint=hint) from exc
            if isinstance(exc, KeyboardInterrupt):
                raise Interrupted(f"interrupted; {verdict}") from exc
            if isinstance(exc, OSError):
                raise RestoreError(f"{exc.strerror}; {verdict}") from exc
            raise

    def _other_backups(self, exc: LifeboatError) -> str:
        """Who asked for `latest` would get the same one again: not marked here, where what failed may be
        this host's fault, or that of paths which are not in it."""
        if not of_the_copy(exc):
            return ""
        made = self._plan.manifest
        its = f" --from-host {made.host}" if made.host != self._job.host else ""
        return (
            f"`lifeboat list {made.job}{its}` shows the other backups: name one by its id; whether this one is"
            f" whole, and counts, tells `lifeboat verify {made.id} --level content --identity FILE{its}`"
        )

    def _stop(self, running: Sequence[str]) -> None:
        for name in running:
            self._listener(Event("stop", name))
        around.stop(self._job, running)

    def _start(self, running: Sequence[str]) -> None:
        """What used the data runs again, and works; raises RestoreError."""
        for name in reversed(running):
            self._listener(Event("start", name))
        left = around.start(self._job, running)
        if left:
            raise RestoreError("; ".join(left))
        if self._plan.services and self._job.around.health:
            self._listener(Event("health", self._job.name))
            around.wait_until_healthy(self._job)

    def _stage(self, record: SourceRecord, swap: Swap, work: Workspace) -> None:
        source = source_of(self._job, record)
        parts = plains(
            self._plan.manifest.of_source(record.name), self._paths, self._decoders, self._identity
        )
        self._listener(Event("restore", record.name))
        stage(source, record, swap, parts, work)
        self._listener(Event("compare", record.name))
        compare(source, swap, parts, work, self.warnings.append)
        self._listener(Event("compare", record.name, ended=True))
