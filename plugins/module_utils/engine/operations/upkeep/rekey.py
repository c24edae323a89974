# SPDX-License-Identifier: GPL-3.0-or-later
"""Rekey: write existing backups again, encrypted to the present recipients. Deletes nothing.

A backup never changes, so each becomes a new one of the same instant, type, marks and content, which
says `rekeyed_from`. Once a destination has proved the new one, the old one there is marked `replaced`:
it no longer counts, and retention lets it go by rule. See docs/adr.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ... import signing
from ...errors import (
    DestinationError,
    FormatError,
    LifeboatError,
    SpoolError,
    UnsignedError,
    UsageError,
    VerifyError,
)
from ...files import free_bytes, remove
from ...job import Job
from ...manifest import encode
from ...model import Archive, Manifest
from ...naming import archive_name, backup_id, parse_id
from ...pipeline import Pipeline
from ...ports import Filter
from ...progress import Event, Listener, silent
from ...spool import Spool
from ...stored import Copy, Mark
from ...version import VERSION
from ..backup.archiving import followed
from ..backup.backup import empty
from ..backup.lanes import Lane, Outcome, lanes
from ..backup.replicate import Transfer, replicate
from ..copies.catalog import Holding, copy_at, holdings, put_mark, read_manifest
from ..copies.plain import Decoders, fetch
from ..copies.proving import prove_archive
from ..copies.unlocking import require_identity
from ..restore.staging import decoding

OF_A_COPY = ("intact", "bad", "drilled", "readable", "locked", "archived", "pruned", "replaced")
_OF_A_RESTORE = ("restored", "settled")  # from the one that is still there


class Stale(NamedTuple):
    """A backup that is not encrypted to the present recipients; `by` has its content already, if set."""

    id: str
    by: str = ""
    unsigned: str = ""  # why nobody vouches for it, where somebody has to


@dataclass(frozen=True)
class Rekeyed:
    """What became of one backup. `new_id` is "" where there is none."""

    id: str
    new_id: str
    outcomes: tuple[Outcome, ...] = ()
    problem: str = ""

    @property
    def done(self) -> bool:
        """Whether every destination that has the old one has proved the new one."""
        return not self.problem and all(one.state == "intact" for one in self.outcomes)


def plan(job: Job) -> tuple[list[Stale], list[Rekeyed]]:
    """What has to be written again, newest first; reads every manifest and holds none, changes nothing.

    Then what cannot be, since no copy has a sound manifest: whoever may add a name may add such a one, and
    that keeps no other backup from its new key.

    Raises UsageError where the job does not encrypt (rekeying never decrypts), and the first error of
    a destination that cannot be asked: what it has is not known.
    """
    encryptor, job = _encryptor(job), _checking(job)
    listed, lost = holdings(job, job.host)
    if lost:
        raise lost[0][1]
    stale: list[Stale] = []
    left: list[Rekeyed] = []
    by: dict[str, str] = {}
    for one in listed:
        try:
            manifest, unsigned = _manifest(job, one)
        except (FormatError, VerifyError) as exc:
            left.append(Rekeyed(one.id, "", problem=str(exc)))
            continue
        if not _fits(manifest, encryptor):
            if not all(copy.replaced for _name, copy in _committed(one)):
                stale.append(Stale(one.id, unsigned=unsigned))
        elif manifest.rekeyed_from and not unsigned and not _corrupt(one):
            by[manifest.rekeyed_from] = one.id
    return [one._replace(by=by.get(one.id, "")) for one in stale], left


def rekey(
    job: Job,
    stale: Stale,
    spool: Path,
    decoders: Decoders,
    identity: bytes | None,
    clock: Callable[[], datetime],
    listener: Listener = silent,
    allow_unsigned: bool = False,
) -> Rekeyed:
    """Write one backup again wherever it is. The caller holds the job's lock; no plain byte is stored.

    What is signed here counts as signed from then on, so it has to be signed already, or allowed."""
    try:
        job = _checking(job)
        holding = _holding(job, stale.id)
        manifest, unsigned = _manifest(job, holding)
        if unsigned and not allow_unsigned:
            told = "rekey with --allow-unsigned if you know where this backup comes from"
            return Rekeyed(stale.id, "", problem=f"{unsigned}; {told}")
        if stale.by:
            outcomes = _complete(job, holding, stale.by, spool, clock, listener)
            new_id = stale.by
        else:
            sources = {one.name for one in manifest.sources}
            require_identity(manifest, sources, decoders, identity)
            work = _Rekeying(job, holding, manifest, spool, decoders, identity, listener)
            new_id, outcomes = work.run(clock)
        for outcome in outcomes:
            if outcome.state == "intact":
                put_mark(job.destination(outcome.destination), manifest, Mark("replaced", clock()))
        return Rekeyed(stale.id, new_id, outcomes)
    except LifeboatError as exc:
        return Rekeyed(stale.id, stale.by, problem="; ".join(filter(None, (str(exc), exc.hint))))
    finally:
        empty(spool)


def _holding(job: Job, id_: str) -> Holding:
    """One backup as it is now, at each destination that has it; no other is listed."""
    there = []
    for destination in job.destinations:
        try:
            there.append((destination.name, copy_at(destination, job.host, job.name, id_)))
        except DestinationError as exc:
            if not exc.missing:
                raise
    return Holding(id_, *parse_id(id_), tuple(there))


def _complete(
    job: Job,
    old: Holding,
    by: str,
    spool: Path,
    clock: Callable[[], datetime],
    listener: Listener,
) -> tuple[Outcome, ...]:
    """An earlier rekeying was cut off: carry its result to the destinations that still lack it."""
    new = _holding(job, by)
    good = [name for name, copy in _committed(new) if _proved(job, name, new.id, copy, clock)]
    if not good:
        raise VerifyError(
            f"{by}, which an earlier rekeying wrote, is whole nowhere",
            hint="run this again: the backup is then written once more",
        )
    outcomes = []
    for name, _copy in _committed(old):
        if name in good:
            outcomes.append(Outcome(name, "intact"))
            continue
        from_, to = job.destination(good[0]), job.destination(name)
        backup = (job.host, job.name, by)
        outcomes.append(replicate(Transfer(from_, to, backup, spool, clock, listener, job.signers)))
    return tuple(outcomes)


def _proved(job: Job, name: str, id_: str, copy: Copy, clock: Callable[[], datetime]) -> bool:
    """Whether a copy is whole; one that was stored and not read back yet is read now."""
    proof = copy.latest("intact", "drilled", "bad")
    if copy.unreadable or (proof is not None and proof.kind == "bad"):
        return False
    destination = job.destination(name)
    manifest = read_manifest(destination, job.host, job.name, id_, job.signers)
    if proof is not None:
        return True
    try:
        for archive in manifest.archives:
            prove_archive(destination, manifest, archive)
    except VerifyError:
        put_mark(destination, manifest, Mark("bad", clock()))
        return False
    put_mark(destination, manifest, Mark("intact", clock()))
    return True


class _Rekeying:
    """One backup on its way from its old recipients to the new ones."""

    def __init__(
        self,
        job: Job,
        holding: Holding,
        manifest: Manifest,
        spool: Path,
        decoders: Decoders,
        identity: bytes | None,
        listener: Listener,
    ) -> None:
        self._job, self._old, self._spool = job, manifest, spool
        self._at = [name for name, _copy in _committed(holding)]
        self._marks = _carried(holding)
        self._decoders, self._identity, self._listener = decoders, identity, listener

    def run(self, clock: Callable[[], datetime]) -> tuple[str, tuple[Outcome, ...]]:
        old = self._old
        empty(self._spool)
        needed = 2 * max((one.size_bytes for one in old.archives), default=0)
        if needed > free_bytes(self._spool):
            raise SpoolError(f"the spool {self._spool} has no room for {needed} bytes")
        new_id = backup_id(old.taken_at, old.type, secrets.token_hex(2))
        at = [self._job.destination(name) for name in self._at]
        carrying = lanes(at, old.host, old.job, new_id, clock, self._listener)
        ended = False
        try:
            archives = tuple(self._archive(one, carrying) for one in old.archives)
            made = replace(
                old, id=new_id, archives=archives, tool=f"lifeboat {VERSION}", rekeyed_from=old.id
            )
            document, signature = encode(made), None
            if self._job.signing_key is not None:
                signature = signing.sign(document, self._job.signing_key)
            for lane in carrying:
                lane.commit(made, self._marks, document, signature)
            ended = True
            return new_id, tuple(lane.outcome() for lane in carrying)
        finally:
            if not ended:
                for lane in carrying:
                    lane.give_up()
                for lane in carrying:
                    lane.outcome()

    def _archive(self, archive: Archive, carrying: tuple[Lane, ...]) -> Archive:
        encryptor = _encryptor(self._job)
        path = self._fetch(archive)
        inner, outer = _layers(archive, self._decoders)
        suffixes = [self._decoders[str(one["kind"])]().suffix for one in inner] + [encryptor.suffix]
        name = archive_name(archive.source, archive.part, archive.format, suffixes)
        place = self._spool / "new"
        place.mkdir(mode=0o700, exist_ok=True)
        spool = Spool(place / name, size_hint=archive.size_bytes)
        self._listener(Event("rekey", name))
        try:
            with followed(spool, name, carrying):
                opened = [
                    self._decoders[str(one["kind"])]().decode(self._identity)
                    for one in reversed(outer)
                ]
                with decoding(archive.name), Pipeline(path, [*opened, encryptor.encode()]) as flow:
                    for block in flow.blocks():
                        spool.write(block)
                    flow.check()  # decryption emits bytes before it notices that they are bad
        finally:
            remove(path)
        self._listener(Event("rekey", name, spool.size_bytes, spool.size_bytes, ended=True))
        return replace(
            archive,
            name=name,
            filters=(*inner, encryptor.record()),
            size_bytes=spool.size_bytes,
            sha256=spool.sha256,
        )

    def _fetch(self, archive: Archive) -> Path:
        """From the first copy that has it whole."""
        failure: LifeboatError | None = None
        for name in self._at:
            try:
                return fetch(
                    self._job.destination(name), self._old, archive, self._spool, self._listener
                )
            except (VerifyError, DestinationError) as exc:
                failure = failure or exc
        raise failure or VerifyError(f"the archive {archive.name} has no copy")


def _encryptor(job: Job) -> Filter:
    for one in job.filters:
        if one.needs_identity:
            return one
    raise UsageError(
        f"job {job.name} does not encrypt, and rekeying never decrypts",
        hint="name recipients in its encryption",
    )


def _fits(manifest: Manifest, encryptor: Filter) -> bool:
    return all(_same(archive.filters[-1:], encryptor.record()) for archive in manifest.archives)


def _same(last: tuple[Mapping[str, Any], ...], wanted: Mapping[str, Any]) -> bool:
    if not last or last[0].get("kind") != wanted["kind"]:
        return False
    return set(last[0].get("recipients", ())) == set(wanted["recipients"])


def _layers(
    archive: Archive, decoders: Decoders
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """(what stays, what is taken off): the encryptors at the end of what an archive went through."""
    count = len(archive.filters)
    for one in archive.filters:
        if one["kind"] not in decoders:
            raise VerifyError(
                f"the archive {archive.name} went through {one['kind']!r}, unknown here"
            )
    while count and decoders[str(archive.filters[count - 1]["kind"])]().needs_identity:
        count -= 1
    return archive.filters[:count], archive.filters[count:]


def _corrupt(holding: Holding) -> bool:
    return all(copy.state == "corrupt" for _name, copy in _committed(holding))


def _committed(holding: Holding) -> list[tuple[str, Copy]]:
    """Its copies, those known to be bad last."""
    there = [(name, copy) for name, copy in holding.copies if copy.committed]
    return sorted(there, key=lambda one: one[1].state == "corrupt")


def _carried(holding: Holding) -> list[Mark]:
    """What was said of the backup, and not of one copy, at any destination."""
    marks = {
        (mark.kind, mark.at, mark.value): mark
        for _name, copy in _committed(holding)
        for mark in copy.marks
        if mark.kind not in OF_A_COPY + _OF_A_RESTORE
    }
    return list(marks.values())


def _checking(job: Job) -> Job:
    """A host that signs without naming signers believes what it signed itself."""
    if job.signing_key is None or job.signers:
        return job
    return replace(job, signers=(signing.public(job.signing_key),))


def _manifest(job: Job, holding: Holding) -> tuple[Manifest, str]:
    """From a copy that is signed, or from any; then why it does not count as signed."""
    try:
        return _read(job, holding, job.signers), ""
    except UnsignedError as exc:
        return _read(job, holding, ()), str(exc)


def _read(job: Job, holding: Holding, signers: Sequence[str]) -> Manifest:
    failure: LifeboatError | None = None
    for name, _copy in _committed(holding):
        try:
            return read_manifest(job.destination(name), job.host, job.name, holding.id, signers)
        except LifeboatError as exc:
            failure = failure or exc
    raise failure or VerifyError(f"backup {holding.id} has no copy")
