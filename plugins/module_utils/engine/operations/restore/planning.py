# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a restore: which backup is meant, which copy is the nearest, what it would replace. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from ...errors import LifeboatError, UnsignedError, UsageError, VerifyError
from ...job import Job
from ...model import Manifest, SourceRecord, Target
from ...ports import Destination, Source
from ..copies.catalog import Holding, Wanted, choose, holdings, read_manifest
from ..copies.next_best import naming_the_next
from . import around
from .room import with_room
from .sparing import sparing

_LOOK_BACK = 100  # backups, for one that holds every source


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
    narrowed: bool = False  # to some paths, tables or collections of its source

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
    ours: Mapping[str, str] | None = None,
) -> Plan:
    """Choose a backup and the nearest copy of it, and look at what it would replace. Changes nothing.

    `paths`: only these of one source. `merge`: leave what is there and is not in the backup.
    `services`: those of the job stop for it, unless it goes into another name. `ours`: {path: what it
    is} of what no restore may take away.

    `latest` is the newest good backup that holds every source asked for (of the job, or `only`): a
    run of some sources alone never hides the others. Where none holds all, `absent` says which.
    """
    host = host or job.host
    listed, lost = holdings(job, host, wanted.at)
    if not listed and lost:
        raise lost[0][1]
    holding, remark = choose(listed, wanted, job.name, now)
    with naming_the_next(job, host, listed, wanted, now):
        destination, manifest, unsigned = _signed(job, holding, host, allow_unsigned)
    if wanted == Wanted(as_of=wanted.as_of, at=wanted.at):  # nothing but a time was asked for
        whole = _holding_all(job, listed, wanted, now, host, only, allow_unsigned)
        if whole is not None and whole[0].id != holding.id:
            remark = f"the newest backup, {holding.id}, does not hold every source; this one does"
            holding, destination, manifest, unsigned = whole
    if lost and wanted.id == "latest":
        unasked = " and ".join(name for name, _failure in lost)
        told = f"{unasked} could not be asked, and may hold a newer backup: {lost[0][1]}"
        remark = "; ".join(filter(None, (remark, told)))
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
    found = (
        (one, _narrowed(source_of(job, one), paths, merge).target(one, into)) for one in usable
    )
    targets = with_room(sparing(found, ours or {}), manifest.archives)
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
        bool(paths),
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


def _exports(job: Job, records: Sequence[SourceRecord]) -> tuple[str, ...]:
    """Those that nothing reads back, if they are not all there is."""
    found = [one.name for one in records if getattr(source_of(job, one), "export", False)]
    return tuple(found) if len(found) < len(records) else ()


def _narrowed(source: Source, paths: Sequence[str], merge: bool) -> Source:
    if not paths and not merge:
        return source
    narrow = getattr(source, "narrowed", None)  # of ports.Narrowable
    if narrow is None:
        raise UsageError(
            f"source {source.name} ({source.kind}) is restored as a whole only",
            hint="--path and --merge are for files, --path for tables of PostgreSQL, MariaDB, MySQL and SQLite"
            " and collections of MongoDB, too: choose them with --only. Else restore beside (--into NAME)"
            " and take from there",
        )
    return cast(Source, narrow(paths, merge))


def source_of(job: Job, record: SourceRecord) -> Source:
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
