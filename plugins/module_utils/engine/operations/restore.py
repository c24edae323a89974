# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore: choose, fetch and verify, pass the gate, restore beside, compare, swap.

The caller holds the job's lock. Until every source is staged and compared nothing live is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from ..errors import (
    DestinationError,
    GateRefused,
    Interrupted,
    LifeboatError,
    RestoreError,
    UnsignedError,
    UsageError,
    VerifyError,
)
from ..files import free_bytes, make_private, remove, workspace
from ..job import Job
from ..model import Archive, Manifest, Mark, SourceRecord, Swap, Target, Workspace
from ..ports import Destination, Source
from ..progress import Event, Listener, silent
from . import around, undecided
from .backup import empty
from .catalog import Holding, Wanted, choose, holdings, put_mark, read_manifest
from .journal import (
    RETURNING,
    STAGING,
    STOPPING,
    SWAPPED,
    SWAPPING,
    Journal,
    advance,
    begin,
)
from .plain import Decoders, fetch, plains
from .settle import settle
from .staging import compare, stage
from .unlocking import require_identity

_LOOK_BACK = 100  # backups, for one that holds every source


@dataclass(frozen=True)
class Area:
    """The directories a restore works in. `journals` is root's (or the user's) alone to write."""

    spool: Path  # this job's; emptied by each operation
    runtime: Path
    journals: Path


@dataclass(frozen=True)
class Plan:
    """What a restore would do; shown before anything is touched."""

    manifest: Manifest
    destination: str
    holding: Holding
    remark: str  # where the choice may surprise
    targets: tuple[tuple[SourceRecord, Target], ...]
    spares: tuple[str, ...] = ()  # other destinations with a copy, to fetch from if one is bad
    absent: tuple[str, ...] = ()  # sources of the job that this backup does not hold
    exports: tuple[str, ...] = ()  # those that nothing reads back: left out, unless asked for
    services: bool = False  # stop those that the job names meanwhile, and see that all works
    states: tuple[tuple[str, str], ...] = ()  # of those services: "wanted", "stopped", "absent"
    unsigned: str = ""  # why it does not count as signed, where signatures are asked for

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(reason for _record, target in self.targets for reason in target.refusals)

    @property
    def size_bytes(self) -> int:
        names = {record.name for record, _target in self.targets}
        return sum(one.size_bytes for one in self.manifest.archives if one.source in names)


def plan(
    job: Job,
    wanted: Wanted,
    now: datetime,
    *,
    host: str = "",
    only: Sequence[str] = (),
    into: str | None = None,
    paths: Sequence[str] = (),
    merge: bool = False,
    services: bool = True,
    allow_unsigned: bool = False,
) -> Plan:
    """Choose a backup and the nearest copy of it, and look at what it would replace. Changes nothing.

    `paths`: only these of one source. `merge`: leave what is there and is not in the backup.
    `services`: those of the job stop for it, unless it goes into another name.

    `latest` is the newest good backup that holds every source asked for (of the job, or `only`): a
    run of some sources alone never hides the others. Where none holds all, `absent` says which.
    """
    host = host or job.host
    listed, lost = holdings(job, host, wanted.at)
    if not listed and lost:
        raise lost[0][1]
    holding, remark = choose(listed, wanted, job.name, now)
    destination, manifest, unsigned = _signed(job, holding, host, allow_unsigned)
    if wanted == Wanted(as_of=wanted.as_of, at=wanted.at):  # nothing but a time was asked for
        whole = _holding_all(job, listed, wanted, now, host, only, allow_unsigned)
        if whole is not None and whole[0].id != holding.id:
            remark = f"the newest backup, {holding.id}, does not hold every source; this one does"
            holding, destination, manifest, unsigned = whole
    records = [one for one in manifest.sources if not only or one.name in only]
    unknown = sorted(set(only) - {one.name for one in manifest.sources})
    if unknown:
        raise UsageError(
            f"backup {manifest.id} has no source {', '.join(unknown)}",
            hint="it has: " + ", ".join(one.name for one in manifest.sources),
        )
    usable = [one for one in records if one.status == "good"]
    if (only and len(usable) < len(records)) or not usable:
        bad = ", ".join(one.name for one in records if one.status != "good")
        raise UsageError(f"backup {manifest.id} does not hold a good {bad or 'source'}")
    exports = () if only else _exports(job, usable)
    usable = [one for one in usable if one.name not in exports]
    if into is not None and len(usable) != 1:
        raise UsageError("--into needs exactly one source", hint="choose it with --only")
    if paths and len(usable) != 1:
        raise UsageError("--path needs exactly one source", hint="choose it with --only")
    targets = tuple(
        (one, _narrowed(_source(job, one), paths, merge).target(one, into)) for one in usable
    )
    spares = tuple(
        name
        for name, copy in holding.copies
        if copy.committed and name != destination.name and not wanted.at
    )
    held = {one.name for one in manifest.sources if one.status == "good"}
    absent = () if only else tuple(one.name for one in job.sources if one.name not in held)
    services = services and into is None
    states = around.states(job) if services else ()
    return Plan(
        manifest,
        destination.name,
        holding,
        remark,
        targets,
        spares,
        absent,
        exports,
        services,
        states,
        unsigned,
    )


def _holding_all(
    job: Job,
    listed: Sequence[Holding],
    wanted: Wanted,
    now: datetime,
    host: str,
    only: Sequence[str],
    allow_unsigned: bool,
) -> tuple[Holding, Destination, Manifest, str] | None:
    """The newest fitting good backup that holds all sources asked for, and its nearest copy."""
    needed, enough = set(only), {"good"}
    if not only:  # an optional source that was not there is nothing to hold
        needed, enough = {source.name for source in job.sources}, {"good", "absent"}
    for index in range(1, _LOOK_BACK + 1):
        try:
            holding, _remark = choose(listed, replace(wanted, index=index), job.name, now)
        except UsageError:
            break
        try:
            destination, manifest, unsigned = _signed(job, holding, host, allow_unsigned)
        except LifeboatError:
            continue
        if needed <= {one.name for one in manifest.sources if one.status in enough}:
            return holding, destination, manifest, unsigned
    return None


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

    def __enter__(self) -> Restore:
        return self

    def __exit__(self, *exc: object) -> None:
        for path in self._paths.values():
            remove(path)

    def fetch(self) -> None:
        """Bring every archive here and hash it; raises VerifyError before anything is touched."""
        spool = self._area.spool
        empty(spool)  # of what a killed operation left
        if self._plan.size_bytes > free_bytes(spool):
            raise RestoreError(
                f"the spool {spool} has no room for {self._plan.size_bytes} bytes of archives",
                hint="make room there",
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
                    self._mark_bad(destination)
        raise failure or VerifyError(f"the archive {archive.name} has no copy")

    def _mark_bad(self, destination: Destination) -> None:
        try:
            put_mark(destination, self._plan.manifest, Mark("bad", self._clock()))
        except LifeboatError as exc:  # an identity that may only read cannot say so there
            self._listener(Event("mark", destination.name, problem=str(exc)))

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
                swaps.append(_source(self._job, record).plan(record, target, token))
            journal = advance(directory, journal, STAGING, swaps)
            with workspace(self._area.spool, make_private(self._area.runtime)) as work:
                for (record, _target), swap in zip(self._plan.targets, swaps):
                    self._stage(record, swap, work)
            there = [name for name, copy in self._plan.holding.copies if copy.committed]
            journal = undecided.announce(self._job, journal, there, self._listener)
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
                verdict = settle(self._job, journal, directory)
                undecided.settled(self._job, [journal], directory, self._clock(), self._listener)
            except (LifeboatError, OSError) as also:
                raise RestoreError(
                    f"{exc}; and taking it back failed: {also}",
                    hint="run `lifeboat recover` when the cause is mended: the journal is kept",
                ) from exc
            if isinstance(exc, LifeboatError):
                raise RestoreError(f"{exc}; {verdict}", detail=exc.detail, hint=exc.hint) from exc
            if isinstance(exc, KeyboardInterrupt):
                raise Interrupted(f"interrupted; {verdict}") from exc
            if isinstance(exc, OSError):
                raise RestoreError(f"{exc.strerror}; {verdict}") from exc
            raise

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
        source = _source(self._job, record)
        parts = plains(
            self._plan.manifest.of_source(record.name), self._paths, self._decoders, self._identity
        )
        self._listener(Event("restore", record.name))
        stage(source, record, swap, parts, work)
        self._listener(Event("compare", record.name))
        compare(source, swap, parts, work)
        self._listener(Event("compare", record.name, ended=True))


def _exports(job: Job, records: Sequence[SourceRecord]) -> tuple[str, ...]:
    """Those that nothing reads back, if they are not all there is."""
    found = [one.name for one in records if getattr(_source(job, one), "export", False)]
    return tuple(found) if len(found) < len(records) else ()


def _narrowed(source: Source, paths: Sequence[str], merge: bool) -> Source:
    if not paths and not merge:
        return source
    narrow = getattr(source, "narrowed", None)  # of ports.Narrowable
    if narrow is None:
        raise UsageError(
            f"source {source.name} ({source.kind}) is restored as a whole only",
            hint="--path and --merge are for files, and --path for tables of PostgreSQL: choose them with"
            " --only. Else restore beside (--into NAME) and take from there what you want",
        )
    return cast(Source, narrow(paths, merge))


def _source(job: Job, record: SourceRecord) -> Source:
    source = job.source(record.name)
    if source.kind != record.kind:
        raise UsageError(
            f"source {record.name} is a {source.kind} here and was a {record.kind} in the backup"
        )
    return source


def _signed(
    job: Job, holding: Holding, host: str, allow_unsigned: bool
) -> tuple[Destination, Manifest, str]:
    """The nearest copy that one of the job's signers signed, or, where that is allowed, any; then why
    it does not count as signed."""
    try:
        return (*_nearest(job, holding, host, job.signers), "")
    except UnsignedError as exc:
        if not allow_unsigned:
            raise
        return (*_nearest(job, holding, host, ()), str(exc))


def _nearest(
    job: Job, holding: Holding, host: str, signers: Sequence[str]
) -> tuple[Destination, Manifest]:
    """The first copy, in the job's order of destinations; those known to be bad come last, since an
    archive of theirs may still be whole, and each is hashed before it is used.
    """
    failure: LifeboatError | None = None
    for name, copy in sorted(holding.copies, key=lambda one: one[1].state == "corrupt"):
        if not copy.committed:
            continue
        destination = job.destination(name)
        try:
            return destination, read_manifest(destination, host, job.name, holding.id, signers)
        except LifeboatError as exc:
            failure = failure or exc
    raise failure or VerifyError(
        f"backup {holding.id} has no copy",
        hint="choose another backup: `lifeboat list` shows them",
    )
