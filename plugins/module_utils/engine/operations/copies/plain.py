# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring archives here, prove every byte, and read them as plain data. Implements ports.Plain."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Callable

from ...errors import DestinationError, ProcessError, SpoolError, VerifyError
from ...model import Archive, Command, Manifest
from ...naming import archive_key
from ...pipeline import Pipeline, feed
from ...ports import Destination, Filter, Plain
from ...progress import Event, Listener
from .catalog import openings

_BLOCK = 1 << 20
_DECRYPTORS = ("age", "gpg")
# what zstd says of the bytes that it was given, and not of this machine
_SPOILT = re.compile(
    r"premature end|unexpected end of file|unsupported format|checksum|corrupt", re.I
)
Decoders = Mapping[str, Callable[[], Filter]]  # registry.FILTERS: kind -> something that can decode

_PAUSES_S = (1.0, 4.0)  # before a broken connection is tried again


def fetch(
    destination: Destination, manifest: Manifest, archive: Archive, to: Path, listener: Listener
) -> Path:
    """A private local file with the archive's stored bytes, hashed on the way; raises VerifyError.

    A connection that breaks is made anew, twice; then it is a DestinationError.
    """
    for pause_s in _PAUSES_S:
        try:
            return _fetch(destination, manifest, archive, to, listener)
        except DestinationError as exc:
            if exc.permanent or exc.missing:
                raise
            what = f"{archive.name} from {destination.name}"
            problem = f"{exc}; once more in {pause_s:.0f} s"
            listener(Event("fetch", what, problem=problem))
        time.sleep(pause_s)
    return _fetch(destination, manifest, archive, to, listener)


def _fetch(
    destination: Destination, manifest: Manifest, archive: Archive, to: Path, listener: Listener
) -> Path:
    path = to / archive.name
    what = f"{archive.name} from {destination.name}"
    key = archive_key(manifest.host, manifest.job, manifest.id, archive.name)
    failure: VerifyError | None = None
    for opened in openings(destination, key, archive.size_bytes):
        if failure is not None:
            told = f"{failure}; trying what was there before it"
            listener(Event("fetch", what, problem=told))
        try:
            _receive(opened, archive, path, what, listener)
            return path
        except VerifyError as exc:
            failure = failure or exc
    raise failure or VerifyError(f"the archive {what} is missing")


def _receive(
    opened: AbstractContextManager[BinaryIO],
    archive: Archive,
    path: Path,
    what: str,
    listener: Listener,
) -> None:
    digest, size = hashlib.sha256(), 0
    with suppress(FileNotFoundError):
        path.unlink()  # never written through: it may be a second name of a stored archive
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out, opened as stream:
            while size <= archive.size_bytes and (block := stream.read(_BLOCK)):
                digest.update(block)
                size += len(block)
                out.write(block)
                listener(Event("fetch", what, size, archive.size_bytes))
    except DestinationError as exc:
        if exc.missing:
            raise VerifyError(f"the archive {what} is missing") from exc
        raise
    except OSError as exc:
        raise SpoolError(
            f"the archive {what} cannot be written to {path.parent}: {exc.strerror}",
            hint="make room there, or set lifeboat_spool_path to a larger disk",
        ) from exc
    if (size, digest.hexdigest()) != (archive.size_bytes, archive.sha256):
        path.unlink()
        raise VerifyError(
            f"the archive {what} is corrupt: its bytes are not those of its manifest",
            hint="`lifeboat list` shows which copies are good; named by no ID, the newest good backup is taken",
        )
    listener(Event("fetch", what, size, size, ended=True))


class _Bounded(Pipeline):
    """What an archive holds, and no more: a megabyte can be packed that becomes a full disk."""

    def __init__(self, archive: Archive, path: Path, chain: Sequence[Command]) -> None:
        super().__init__(path, chain)
        self._archive = archive

    def blocks(self) -> Iterator[bytes]:
        for block in super().blocks():
            if self.out_bytes > self._archive.plain_bytes:
                raise VerifyError(
                    f"the archive {self._archive.name} holds more than the "
                    f"{self._archive.plain_bytes} plain bytes that its manifest says"
                )
            yield block


class FetchedArchive:
    """A verified local file, and the programs that turn it back into plain data."""

    def __init__(
        self, archive: Archive, path: Path, decoders: Decoders, identity: bytes | None
    ) -> None:
        self.part = archive.part
        self.format = archive.format
        self._archive, self._path = archive, path
        self._decoders, self._identity = decoders, identity

    def feed(self, command: Command) -> None:
        with self._flow() as flow:
            feed(flow, command)
            self._check_size(flow)

    def save(self, path: Path) -> None:
        # a new name: the directory may be another user's, who could plant a link there
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out, self._flow() as flow:
                for block in flow.blocks():
                    out.write(block)
                flow.check()
                self._check_size(flow)
                out.flush()
                os.fsync(out.fileno())
        except BaseException:
            with suppress(FileNotFoundError):
                path.unlink()
            raise

    def read(self, consume: Callable[[BinaryIO], Any]) -> Any:
        with self._flow() as flow:
            try:
                result = consume(flow.stream())
            except Exception:
                if flow.ended:  # what a decoder could not open is no content that is wrong
                    flow.check()
                raise
            flow.check()
            self._check_size(flow)
        return result

    def _flow(self) -> Pipeline:
        chain = [
            self._decoder(str(one["kind"])).decode(self._identity)
            for one in reversed(self._archive.filters)
        ]
        return _Bounded(self._archive, self._path, chain)

    def _decoder(self, kind: str) -> Filter:
        if kind not in self._decoders:
            raise VerifyError(
                f"the archive {self._archive.name} went through {kind!r}, which is unknown here",
                hint="use a lifeboat at least as new as the one that wrote the backup",
            )
        return self._decoders[kind]()

    def _check_size(self, flow: Pipeline) -> None:
        if flow.out_bytes != self._archive.plain_bytes:
            raise VerifyError(
                f"the archive {self._archive.name} holds {flow.out_bytes} plain bytes, "
                f"its manifest says {self._archive.plain_bytes}"
            )


def plains(
    archives: Sequence[Archive],
    paths: Mapping[str, Path],
    decoders: Decoders,
    identity: bytes | None,
) -> dict[str, Plain]:
    """{part: Plain} of one source's archives, whose fetched files `paths` names."""
    return {
        archive.part: FetchedArchive(archive, paths[archive.name], decoders, identity)
        for archive in archives
    }


def of_a_decryptor(exc: BaseException) -> bool:
    """Whether age or gpg gave up below `exc`: a wrong key, passphrase or program, and no fault of the copy,
    whose bytes were found to be those of its manifest before."""
    return any(one.program in _DECRYPTORS for one in _programs_below(exc))


def of_the_copy(exc: BaseException) -> bool:
    """Whether it failed by what the copy is: not what it should be, or, though stored as it was sent, no
    whole compressed stream: that was spoilt before it was hashed."""
    spoilt = any(
        one.program == "zstd" and _SPOILT.search(one.detail) for one in _programs_below(exc)
    )
    return (spoilt or isinstance(exc, VerifyError)) and not of_a_decryptor(exc)


def _programs_below(exc: BaseException) -> Iterator[ProcessError]:
    one: BaseException | None = exc
    while one is not None:
        if isinstance(one, ProcessError):
            yield one
        one = one.__cause__


def explain_decode_failure(exc: ProcessError, archive: str) -> VerifyError:
    """What a failed decoder means to a person: most often the wrong key."""
    hint = "check that the identity belongs to one of the recipients that the manifest names"
    if exc.program == "gpg":
        hint += "; a passphrase stands before the key, on a first line `passphrase: ...`"
    return VerifyError(
        f"the archive {archive} cannot be decoded: {exc}",
        detail=exc.detail,
        hint=hint,
    )
