# SPDX-License-Identifier: GPL-3.0-or-later
"""Find backups at destinations: what is there, what it says, which one is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from typing import BinaryIO, NamedTuple, overload

from ... import signing
from ...errors import DestinationError, FormatError, LifeboatError, UnsignedError, UsageError
from ...job import Job
from ...listed import Copies, copies, copy_of, id_in, is_committed
from ...manifest import decode
from ...model import Manifest
from ...naming import (
    MENDED,
    archive_source,
    archives_prefix,
    catalog_prefix,
    manifest_key,
    mark_key,
    parse_id,
    signature_key,
)
from ...ports import Destination
from ...retention import SKEW
from ...stored import Copy, Mark

_MANIFEST_LIMIT = 64 << 20
_BY_ID = " (the other is taken where its id is named)"
_MENDINGS = 3  # of one object, the newest: whoever may add names could add any number


class Holding(NamedTuple):
    """One backup, with its copy at every destination that has one."""

    id: str
    taken_at: datetime
    type: str
    copies: tuple[tuple[str, Copy], ...]  # (destination name, copy), in the job's order

    @property
    def good(self) -> bool:
        return any(copy.good for _name, copy in self.copies)

    @property
    def why_not(self) -> str:
        """The state that keeps its best copy from counting; "" for one that counts."""
        states = {copy.state for _name, copy in self.copies if copy.committed}
        order = ("partial", "suspect", "stored", "archived", "replaced", "corrupt")
        return "" if self.good else next(state for state in order if state in states)

    @property
    def subset(self) -> bool:
        """Does not hold every source of its job."""
        return any(copy.subset or copy.latest("partial") for _name, copy in self.copies)

    @property
    def committed_at(self) -> tuple[str, ...]:
        """The destinations with a manifest of it; those whose copy is known to be bad come last."""
        there = [one for one in self.copies if one[1].committed]
        return tuple(
            name for name, _copy in sorted(there, key=lambda one: one[1].state == "corrupt")
        )

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted({tag for _name, copy in self.copies for tag in copy.tags}))


@dataclass(frozen=True)
class Wanted:
    """Which backup is meant: an id, or the newest good one that fits."""

    id: str = "latest"
    tag: str = ""
    type: str = ""
    index: int = 1  # 1 = newest
    as_of: datetime | None = None
    at: str = ""  # only copies at this destination


def copies_at(destination: Destination, host: str, job: str) -> Copies:
    """The backups of one job at one destination, newest first."""
    return copies(destination.list(catalog_prefix(host, job)))


def copy_at(destination: Destination, host: str, job: str, id_: str) -> Copy:
    """One backup at one destination; of 100,000 no other is listed. Raises DestinationError, `missing`
    where there is no name of it."""
    for copy in copies(destination.list(f"{catalog_prefix(host, job)}{id_}.")):
        return copy
    raise DestinationError(
        f"destination {destination.name}: backup {id_} of job {job} is not there", missing=True
    )


class Holdings(Sequence[Holding]):
    """The backups of a job, newest first, held as in Copies: one is made whenever it is asked for."""

    def __init__(self, there: Mapping[str, Copies]) -> None:
        self._names = tuple(there)
        self._columns: tuple[list[str | None], ...] = tuple([] for _name in there)
        told = [_placed(place, held) for place, held in enumerate(there.values())]
        for _id, same in groupby(merge(*told, key=_id_of, reverse=True), key=_id_of):
            row: list[str | None] = [None] * len(there)
            for place, one in same:
                row[place] = one
            if any(one is not None and is_committed(one) for one in row):
                for column, cell in zip(self._columns, row):
                    column.append(cell)

    def __len__(self) -> int:
        return len(self._columns[0]) if self._columns else 0

    def __iter__(self) -> Iterator[Holding]:
        return map(self._made, zip(*self._columns))

    @overload
    def __getitem__(self, index: int) -> Holding: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Holding]: ...

    def __getitem__(self, index: int | slice) -> Holding | Sequence[Holding]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        return self._made(column[index] for column in self._columns)

    def _made(self, row: Iterable[str | None]) -> Holding:
        held = tuple((name, copy_of(one)) for name, one in zip(self._names, row) if one is not None)
        return Holding(held[0][1].id, held[0][1].taken_at, held[0][1].type, held)


def _placed(place: int, held: Copies) -> Iterator[tuple[int, str]]:
    return ((place, one) for one in held.told)


def _id_of(placed: tuple[int, str]) -> str:
    return id_in(placed[1])


def holdings(job: Job, host: str, at: str = "") -> tuple[Holdings, list[tuple[str, LifeboatError]]]:
    """All backups of a job, newest first, and the destinations that could not be asked."""
    there: dict[str, Copies] = {}
    lost: list[tuple[str, LifeboatError]] = []
    for destination in [job.destination(at)] if at else job.destinations:
        try:
            there[destination.name] = copies_at(destination, host, job.name)
        except LifeboatError as exc:
            lost.append((destination.name, exc))
    return Holdings(there), lost


def choose(
    listed: Sequence[Holding], wanted: Wanted, job: str, now: datetime
) -> tuple[Holding, str]:
    """The backup that is meant, and a remark where the choice may surprise ("" if not).

    Without an id only good backups are chosen from: `latest` is the latest *good* one. One that is
    dated after `now` was made, or its name forged, under a wrong clock: only its id chooses it.
    """
    if wanted.id != "latest":
        try:
            parse_id(wanted.id)
        except FormatError as exc:
            raise UsageError(str(exc), hint=exc.hint) from None
        for one in listed:
            if one.id == wanted.id:
                return one, ""
        raise UsageError(
            f"job {job} has no backup {wanted.id}",
            hint=f"`lifeboat list {job}` shows those there are",
        )
    if wanted.index < 1:
        raise UsageError(f"index {wanted.index}: 1 is the newest, 2 the one before it")
    newest_at = wanted.as_of or now + SKEW
    newest, left = "", wanted.index
    for one in listed:
        if one.taken_at > newest_at or not _fits(one, wanted):
            continue
        left -= one.good
        if one.good and not left:
            return one, newest and f"{newest}; this is the newest good one" + _BY_ID
        if wanted.index == 1 and not newest:
            newest = f"the newest backup, {one.id}, is {one.why_not}"
    raise UsageError(
        f"job {job} has no good backup{_description(wanted)}",
        hint=f"`lifeboat list {job}` shows all backups and why they do not count",
    )


def sources_at(
    destination: Destination, host: str, job: str, ids: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """{id: names of the sources that have an archive}, of these backups. From names alone: one listing
    of the job's archives, however many backups are asked for."""
    found: dict[str, set[str]] = {id_: set() for id_ in ids}
    below = archives_prefix(host, job)
    for stored in destination.list(below):
        id_, _slash, name = stored.key[len(below) :].partition("/")
        if id_ in found and archive_source(name):
            found[id_].add(archive_source(name))
    return {id_: tuple(sorted(names)) for id_, names in found.items()}


def read_manifest(
    destination: Destination, host: str, job: str, id_: str, signers: Sequence[str] = ()
) -> Manifest:
    """The manifest of one copy, checked against the name it lies under.

    With `signers`, raises UnsignedError unless one of them signed exactly these bytes.
    """
    return read_document(destination, host, job, id_, signers)[0]


def read_document(
    destination: Destination, host: str, job: str, id_: str, signers: Sequence[str] = ()
) -> tuple[Manifest, bytes]:
    """The manifest of one copy, and the very bytes that it was read from; as read_manifest."""
    key = manifest_key(host, job, id_)
    failure: LifeboatError | None = None
    for opened in openings(destination, key):
        try:
            with opened as stream:
                content = stream.read(_MANIFEST_LIMIT)
            if signers:
                _check_signature(destination, signature_key(host, job, id_), content, signers)
            manifest = decode(content, f"{key} at {destination.name}")
            if (manifest.id, manifest.host, manifest.job) == (id_, host, job):
                return manifest, content
            told = f"the manifest {key} at {destination.name} is of another backup"
            failure = failure or FormatError(told)
        except (FormatError, DestinationError, UnsignedError) as exc:
            if isinstance(exc, DestinationError) and not exc.missing:
                raise
            failure = failure or exc
    raise failure or FormatError(f"there is no manifest {key} at {destination.name}")


def read_signed(
    destination: Destination, host: str, job: str, id_: str, signers: Sequence[str] = ()
) -> tuple[Manifest, bytes, bytes | None]:
    """What has to be carried together: the manifest, its very bytes, and the signature beside it."""
    manifest, document = read_document(destination, host, job, id_, signers)
    return manifest, document, read_signature(destination, manifest, document, signers)


def read_signature(
    destination: Destination, manifest: Manifest, document: bytes, signers: Sequence[str] = ()
) -> bytes | None:
    """The signature beside a manifest, whoever made it; None where there is none.

    With `signers`, the one by which one of them signed `document`; somebody may have laid another over it.
    """
    key = signature_key(manifest.host, manifest.job, manifest.id)
    if signers:
        return _check_signature(destination, key, document, signers)
    try:
        with destination.open(key) as stream:
            return stream.read(signing.LIMIT)
    except DestinationError as exc:
        if exc.missing:
            return None
        raise


def _check_signature(
    destination: Destination, key: str, document: bytes, signers: Sequence[str]
) -> bytes:
    """The signature that is right; raises UnsignedError."""
    failure: UnsignedError | None = None
    what = f"{key[: -len('.sig')]} at {destination.name}"
    for opened in openings(destination, key):
        try:
            with opened as stream:
                signature = stream.read(signing.LIMIT)
            signing.check(document, signature, signers, what)
            return signature
        except UnsignedError as exc:
            failure = failure or exc
        except DestinationError as exc:
            if not exc.missing:
                raise
    if failure is None:
        signing.check(document, None, signers, what)
    raise failure or UnsignedError(f"the manifest {what} is not signed")


def openings(
    destination: Destination, key: str, size: int | None = None
) -> Iterator[AbstractContextManager[BinaryIO]]:
    """The object as it is now; then, for whom that was not right, what was there before, where the
    destination keeps it. An identity that may only add can still store over a name, or hide it."""
    yield from standing(destination, key, size)
    yield from older(destination, key, size)


def standing(
    destination: Destination, key: str, size: int | None = None
) -> Iterator[AbstractContextManager[BinaryIO]]:
    """The object; then, for whom that was not right, what was stored beside it in its place."""
    yield destination.open(key)
    beside = [one for one in destination.list(key + MENDED) if size in (None, one.size_bytes)]
    # The newest as the destination tells: a name may say any time.
    beside.sort(key=lambda one: (one.changed_at, one.key), reverse=True)
    for stored in beside[:_MENDINGS]:
        yield destination.open(stored.key)


def older(
    destination: Destination, key: str, size: int | None = None
) -> Iterator[AbstractContextManager[BinaryIO]]:
    """What was under this very name before, where the destination keeps that."""
    if hasattr(destination, "older"):
        yield from destination.older(key, size)


def put_mark(destination: Destination, manifest: Manifest, mark: Mark) -> None:
    """Write a mark beside a manifest; the same mark twice is one."""
    destination.put(mark_key(manifest.host, manifest.job, manifest.id, mark), b"")


def _fits(one: Holding, wanted: Wanted) -> bool:
    return (not wanted.tag or wanted.tag in one.tags) and (
        not wanted.type or one.type == wanted.type
    )


def _description(wanted: Wanted) -> str:
    told = ""
    if wanted.type:
        told += f" of type {wanted.type}"
    if wanted.tag:
        told += f" with tag {wanted.tag}"
    if wanted.as_of and not wanted.type and not wanted.tag:
        told += " as of {}".format(wanted.as_of.strftime("%Y-%m-%d %H:%M UTC"))
    if wanted.index > 1:
        told += " number %d" % wanted.index
    return told
