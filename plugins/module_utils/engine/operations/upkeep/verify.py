# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify copies: every stored byte against the manifest, and, with the key, every archive as its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ...errors import (
    DestinationError,
    FormatError,
    LifeboatError,
    UnsignedError,
    UsageError,
    VerifyError,
)
from ...files import make_private, workspace
from ...job import Job
from ...model import Manifest
from ...ports import Destination
from ...progress import Event, Listener, silent
from ...stored import Mark
from ..copies.catalog import Holding, Wanted, choose, copies_at, copy_at, holdings, read_manifest
from ..copies.marking import say, say_of_every_copy
from ..copies.metadata import prove_beside
from ..copies.plain import Decoders, fetch, of_the_copy, plains
from ..copies.proving import prove_archive
from ..copies.unlocking import require_identity
from ..restore.restore import Area
from .mending import donors

LEVELS = ("hashes", "content")
_SAMPLED_FOR = timedelta(days=5)  # runs are a day apart, and one may fail

_ANOTHER = "choose another one: `lifeboat list` shows those there are"


class _BytesDiffer(VerifyError):
    """Bytes that were right a moment ago are not, now that they are fetched to be read."""


class Finding(NamedTuple):
    """What verifying one copy told. A tuple, for there may be 100,000 at each destination.

    state: "intact", "readable", "corrupt", "unsigned", "unknown" (could not be asked), or "pruned" (meanwhile).
    """

    id: str
    destination: str
    state: str
    problem: str = ""
    hint: str = ""
    age_s: int | None = None  # of the data
    sources: Mapping[str, str] = MappingProxyType({})  # name: "good", "absent" or "failed"
    complete: bool = True  # as far as that was asked: of one backup, not of every one
    unreadable: bool = (
        False  # its bytes are right, and hold no whole backup: nor does any other copy
    )

    @property
    def valid(self) -> bool:
        return self.state in ("intact", "readable") and self.complete


def verify(
    job: Job,
    wanted: Wanted,
    clock: Callable[[], datetime],
    *,
    host: str = "",
    every: bool = False,
    content: tuple[Area, Decoders, bytes | None] | None = None,
    listener: Listener = silent,
) -> list[Finding]:
    """Verify the wanted backup (or every one) at each destination that has it (or `wanted.at`).

    A copy that proves bad is marked so; one that proves good is marked intact. A destination that
    cannot be asked is a finding too: not knowing is not valid. A backup that a destination does not
    have although another has it is corrupt there: a copy is missing.
    """
    host = host or job.host
    listed, lost = holdings(job, host, wanted.at)
    findings = [Finding("", name, "unknown", str(failure), failure.hint) for name, failure in lost]
    if not listed:
        if lost:
            return findings
        raise UsageError(f"job {job.name} of host {host} has no backup yet")
    chosen = listed if every else [choose(listed, wanted, job.name, clock())[0]]
    asked = [job.destination(wanted.at)] if wanted.at else list(job.destinations)
    unreachable = {name for name, _failure in lost}
    for holding in chosen:
        pruned = {name for name, copy in holding.copies if copy.state == "pruned"}
        of_it = [
            _one(job, destination, host, holding.id, clock, content, listener)
            for destination in asked
            if destination.name not in unreachable | pruned
        ]
        unreadable = {name for name, copy in holding.copies if copy.unreadable}
        of_it = [_once_read(one) if one.destination in unreadable else one for one in of_it]
        of_it = [
            one._replace(complete=one.complete or every)
            for one in of_it
            if one.state != "pruned" or not every
        ]
        findings += [_with_way_out(job, host, holding, one, of_it) for one in of_it]
    return findings


def _once_read(one: Finding) -> Finding:
    """That the bytes are right says nothing new of a copy which proved to hold no whole backup."""
    if one.state != "intact":
        return one
    why = "its bytes are those that were sent, and hold no whole backup: reading them, or a drill, told so"
    again = "; `--level content --identity FILE` reads them again"
    return one._replace(state="corrupt", problem=why, hint=_ANOTHER + again, unreadable=True)


def _with_way_out(
    job: Job, host: str, holding: Holding, one: Finding, of_it: Sequence[Finding]
) -> Finding:
    """A corrupt copy with what makes it whole: a good one elsewhere, if this did not prove that bad."""
    if one.state != "corrupt" or one.unreadable:
        return one
    good = donors(holding.copies, [other.destination for other in of_it if not other.valid])
    shown = f"`lifeboat list {job.name}` shows which backups are"
    way = f"no other copy of {one.id} is known to be good: {shown}"
    if good and host == job.host:
        way = f"`lifeboat push {job.name}` stores it there again, from {good[0]}, and proves it"
    elif good:
        way = f"`lifeboat push {job.name}` on {host} stores it there again, from {good[0]}"
    return one._replace(hint="; ".join(filter(None, (one.hint, way))))


def overdue(job: Job, clock: Callable[[], datetime], listener: Listener = silent) -> list[Finding]:
    """Read those copies in full that were read back by sample _SAMPLED_FOR ago or earlier: within a week
    of its run every copy has been read to its last byte. Those that proved bad are marked so."""
    due = clock() - _SAMPLED_FOR
    findings = []
    for destination in job.destinations:
        if getattr(destination, "policy", None) is None:
            continue  # every run reads in full
        try:
            found = [
                copy.id
                for copy in copies_at(destination, job.host, job.name)
                if copy.committed
                and copy.latest("intact", "drilled", "bad", "archived") is None
                and copy.taken_at <= due
            ]
        except LifeboatError as exc:
            listener(Event("verify", destination.name, problem=str(exc)))
            continue
        for id_ in reversed(found):  # the oldest first
            findings.append(_one(job, destination, job.host, id_, clock, None, listener))
    return [one for one in findings if one.state != "pruned"]


def _one(
    job: Job,
    destination: Destination,
    host: str,
    id_: str,
    clock: Callable[[], datetime],
    content: tuple[Area, Decoders, bytes | None] | None,
    listener: Listener,
) -> Finding:
    try:
        manifest = read_manifest(destination, host, job.name, id_, job.signers)
    except UnsignedError as exc:
        return _unsigned(job, destination, host, id_, clock, listener, exc)
    except LifeboatError as exc:
        missing = getattr(exc, "missing", False)
        if missing and _let_go(destination, host, job.name, id_):
            return Finding(id_, destination.name, "pruned", "retention let it go just now")
        lost = missing or isinstance(exc, FormatError)
        if lost:  # without a manifest that can be read no archive of it can be used
            say(destination, (host, job.name, id_), Mark("bad", clock()), listener)
        state = "corrupt" if lost else "unknown"
        return Finding(id_, destination.name, state, _told(exc), exc.hint)
    right = False  # its bytes
    try:
        if content is not None:
            _area, decoders, identity = content
            names = {one.name for one in manifest.sources}
            require_identity(manifest, names, decoders, identity)
        for archive in manifest.archives:
            begun = Event("verify", f"{archive.name} at {destination.name}", 0, archive.size_bytes)
            listener(begun)
            prove_archive(destination, manifest, archive, _telling(listener, begun))
            listener(replace(begun, done_bytes=archive.size_bytes, ended=True))
        if content is not None:
            prove_beside(manifest, destination)
            right = True
            _content(job, destination, manifest, content, listener)
    except LifeboatError as exc:
        if not of_the_copy(exc):
            return Finding(id_, destination.name, "unknown", _told(exc), exc.hint)
        right = right and not isinstance(exc, _BytesDiffer)
        if right:
            say_of_every_copy(job, manifest, Mark("bad", clock(), "content"), listener)
        else:
            say(destination, (host, job.name, id_), Mark("bad", clock()), listener)
        hint = exc.hint or (_ANOTHER if right else "")
        return Finding(id_, destination.name, "corrupt", _told(exc), hint, unreadable=right)
    say(destination, (host, job.name, id_), Mark("intact", clock()), listener)
    if content is not None:
        say(destination, (host, job.name, id_), Mark("readable", clock()), listener)
    failed = [one.name for one in manifest.sources if one.status == "failed"]
    return Finding(
        id_,
        destination.name,
        "readable" if content is not None else "intact",
        f"it does not hold {', '.join(failed)}: that failed" if failed else "",
        _ANOTHER if failed else "",
        max(0, int((clock() - manifest.taken_at).total_seconds())),
        _statuses(tuple((one.name, one.status) for one in manifest.sources)),
        not failed,
    )


def _unsigned(
    job: Job,
    destination: Destination,
    host: str,
    id_: str,
    clock: Callable[[], datetime],
    listener: Listener,
    exc: UnsignedError,
) -> Finding:
    """What was made before keys were named is not bad for that; what is signed elsewhere is not what it was."""
    told = Finding(id_, destination.name, "unsigned", _told(exc), exc.hint)
    try:
        there = copy_at(destination, host, job.name, id_)
        signed = [one for one in job.destinations if _is_signed(one, job, host, id_)]
    except LifeboatError as lost:
        return told._replace(problem=f"{told.problem}; {lost}")
    if signed and there.signed:
        say(destination, (host, job.name, id_), Mark("bad", clock()), listener)
        return told._replace(state="corrupt")
    if signed:
        back = f"its signature was lost here: `lifeboat push {job.name}` puts it back, from {signed[0].name}"
        return told._replace(hint=back)
    return told


def _let_go(destination: Destination, host: str, job: str, id_: str) -> bool:
    """Whether a pruner elsewhere, whom no lock here holds, took the manifest away since it was listed."""
    try:
        return copy_at(destination, host, job, id_).state == "pruned"
    except LifeboatError:
        return False


def _is_signed(destination: Destination, job: Job, host: str, id_: str) -> bool:
    try:
        read_manifest(destination, host, job.name, id_, job.signers)
    except (UnsignedError, FormatError, DestinationError):
        return False
    return True


@lru_cache(maxsize=64)
def _statuses(found: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all backups of which the same is told."""
    return MappingProxyType(dict(found))


def _telling(listener: Listener, begun: Event) -> Callable[[int], None]:
    return lambda size: listener(replace(begun, done_bytes=size))


def _content(
    job: Job,
    destination: Destination,
    manifest: Manifest,
    content: tuple[Area, Decoders, bytes | None],
    listener: Listener,
) -> None:
    """Decrypt, decompress and read every archive to its end, as what it is."""
    area, decoders, identity = content
    with workspace(area.spool, make_private(area.runtime)) as work:
        for record in manifest.sources:
            if record.status != "good":
                continue
            archives = manifest.of_source(record.name)
            try:
                paths = {
                    one.name: fetch(destination, manifest, one, work.bulk, listener)
                    for one in archives
                }
            except VerifyError as exc:
                raise _BytesDiffer(exc.message, detail=exc.detail, hint=exc.hint) from exc
            parts = plains(archives, paths, decoders, identity)
            listener(Event("read", record.name))
            job.source(record.name).check_content(parts, work)
            if "inventory" in parts:
                parts["inventory"].read(lambda stream: stream.read(1))
            for path in paths.values():
                path.unlink()


def _told(exc: LifeboatError) -> str:
    return exc.message + (": " + exc.detail.splitlines()[-1] if exc.detail else "")


def worst(findings: Sequence[Finding]) -> bool:
    """Whether all that was asked for is valid; nothing found is not."""
    return bool(findings) and all(finding.valid for finding in findings)
