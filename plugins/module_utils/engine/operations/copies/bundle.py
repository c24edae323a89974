# SPDX-License-Identifier: GPL-3.0-or-later
"""Write one backup as one portable .tar with its .sha256, every byte proved on the way.

Its members have the names that they have at a destination: extracted, it is one. Form: docs/format.md#bundle
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ...errors import DestinationError, LifeboatError, SpoolError, UsageError, VerifyError
from ...files import open_regular, sync_directory
from ...manifest import sha256sums
from ...model import Archive, Manifest
from ...naming import RESTORE_NOTE, SUMS, archive_key, archive_prefix, catalog_prefix, manifest_key
from ...ports import Destination
from ...progress import Event, Listener, silent
from .catalog import openings, read_signed
from .restore_note import restore_note

_BLOCK = 1 << 20
_RECORD = 512
_PADDED_TO = 20 * _RECORD  # as tar pads its end
# What holds of the backup wherever it lies; `intact` is true of what was proved here.
_MARKS = ("tag", "pin", "unpin", "partial", "subset", "suspect", "accepted", "intact")


def write_bundle(
    destination: Destination,
    host: str,
    job: str,
    id_: str,
    path: Path,
    listener: Listener = silent,
    signers: Sequence[str] = (),
) -> str:
    """The SHA-256 of the bundle, which is complete and on disk then; nothing is there after a failure.
    What a killed one left goes: until the bundle has its name there is none.

    Raises UsageError if there is a file of that name already, VerifyError if the copy is not right.
    """
    beside = path.with_name(path.name + ".sha256")
    part = path.with_name(f".{path.name}.part")
    if path.exists() and part.exists() and path.samefile(part):
        _tidy(part)  # its writer was killed right after it had its name
    for there in (path, beside):
        left = there is beside and there.is_file() and part.exists()  # by one that was killed
        if os.path.lexists(there) and not left:
            raise UsageError(f"{there} is there already", hint="a bundle replaces no file")
    manifest, content, signature = read_signed(destination, host, job, id_, signers)
    try:
        with _claimed(part, beside) as out:
            _write(out, destination, manifest, content, signature, listener)
            out.flush()
            os.fsync(out.fileno())
            digest = file_sha256(part)
            with open(beside, "x", opener=_private) as out_sum:
                out_sum.write(f"{digest}  {path.name}\n")
                out_sum.flush()
                os.fsync(out_sum.fileno())
            os.link(part, path)  # not a rename: nothing is replaced
        sync_directory(path.parent)
    except OSError as exc:
        raise SpoolError(f"{exc.filename or path}: {exc.strerror}") from exc
    return digest


@contextmanager
def _claimed(part: Path, beside: Path) -> Iterator[BinaryIO]:
    """`part`, empty and ours alone until the end; after a failure `beside` is not there either."""
    with os.fdopen(open_regular(part, os.O_RDWR | os.O_CREAT), "r+b") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolError(f"{part} is being written by another lifeboat") from None
        _tidy(beside)  # of one that was killed
        out.truncate()
        try:
            yield out
        except BaseException:
            _tidy(beside)
            raise
        finally:
            _tidy(part)


def check_sum(path: Path) -> None:
    """Compare a bundle with the .sha256 beside it, if there is one; raises VerifyError."""
    beside = path.with_name(path.name + ".sha256")
    try:
        told = beside.read_text(encoding="utf-8", errors="replace").split()
    except FileNotFoundError:
        return
    if not told or told[0].lower() != file_sha256(path):
        raise VerifyError(f"{path} is not what {beside.name} says")


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write(
    out: BinaryIO,
    destination: Destination,
    manifest: Manifest,
    content: bytes,
    signature: bytes | None,
    listener: Listener,
) -> None:
    key, below = manifest_key(manifest.host, manifest.job, manifest.id), ""
    _small(out, manifest, key, content)
    if signature is not None:
        _small(out, manifest, key + ".sig", signature)
    prefix = catalog_prefix(manifest.host, manifest.job) + manifest.id + "."
    for stored in destination.list(prefix):
        if stored.key[len(prefix) :].split("-")[0] in _MARKS:
            _small(out, manifest, stored.key, b"")
    below = archive_prefix(manifest.host, manifest.job, manifest.id)
    _small(out, manifest, below + SUMS, sha256sums(manifest))
    _small(out, manifest, below + RESTORE_NOTE, restore_note(manifest))
    for archive in manifest.archives:
        what = f"{archive.name} from {destination.name}"
        listener(Event("bundle", what, 0, archive.size_bytes))
        _archive(out, destination, manifest, archive)
        listener(Event("bundle", what, archive.size_bytes, archive.size_bytes, ended=True))
    end = out.tell() + 2 * _RECORD
    out.write(bytes(2 * _RECORD + -end % _PADDED_TO))


def _small(out: BinaryIO, manifest: Manifest, key: str, content: bytes) -> None:
    out.write(_header(manifest, key, len(content)))
    out.write(content + bytes(-len(content) % _RECORD))


def _archive(out: BinaryIO, destination: Destination, manifest: Manifest, archive: Archive) -> None:
    key = archive_key(manifest.host, manifest.job, manifest.id, archive.name)
    out.write(_header(manifest, key, archive.size_bytes))
    begin = out.tell()
    for opened in openings(destination, key, archive.size_bytes):
        out.seek(begin)
        out.truncate()
        digest, size = hashlib.sha256(), 0
        try:
            with opened as stream:
                while size <= archive.size_bytes and (block := stream.read(_BLOCK)):
                    digest.update(block)
                    size += len(block)
                    out.write(block)
        except DestinationError as exc:
            if not exc.missing:
                raise
        if (size, digest.hexdigest()) == (archive.size_bytes, archive.sha256):
            out.write(bytes(-size % _RECORD))
            return
    raise VerifyError(
        f"the archive {archive.name} of {manifest.id} at {destination.name} is missing or corrupt",
        hint="bundle another copy with --at, `lifeboat list` shows where there is one",
    )


def _header(manifest: Manifest, key: str, size: int) -> bytes:
    member = tarfile.TarInfo(key)
    member.size, member.mode = size, 0o640
    member.mtime = int(manifest.finished_at.timestamp())
    return member.tobuf(tarfile.PAX_FORMAT)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _tidy(part: Path) -> None:
    with suppress(OSError, LifeboatError):
        part.unlink()
