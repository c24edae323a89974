# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a copy back: every byte of an archive, samples of it, or a small object; else VerifyError."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from ...errors import DestinationError, VerifyError
from ...model import Archive, Manifest
from ...naming import archive_key
from ...ports import Destination
from ...spool import SAMPLE
from .catalog import older, standing

_SAMPLES = 8  # of an archive: the first, the last, and others at random
_BLOCK = 1 << 20


def prove_archive(
    destination: Destination,
    manifest: Manifest,
    archive: Archive,
    read: Callable[[int], None] = lambda _size: None,
) -> None:
    """Read every stored byte of an archive back; raises VerifyError unless it is what was sent.

    read: told how many bytes were, again and again.
    """
    key = archive_key(manifest.host, manifest.job, manifest.id, archive.name)
    where = f"{archive.name} of {manifest.id} at {destination.name}"
    failure: VerifyError | None = None
    for opened in standing(destination, key, archive.size_bytes):
        try:
            return _prove(opened, archive, where, read)
        except VerifyError as exc:
            failure = failure or exc
    failure = failure or VerifyError(f"the archive {where} is missing")
    for opened in older(destination, key, archive.size_bytes):
        try:
            _prove(opened, archive, where, read)
        except VerifyError:
            continue
        # it is not what it was, and can be brought back all the same
        failure.hint = "it was replaced or deleted there; a restore uses the version before that"
        break
    raise failure


def _prove(
    opened: AbstractContextManager[BinaryIO],
    archive: Archive,
    where: str,
    read: Callable[[int], None],
) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with opened as stream:
            while size <= archive.size_bytes:  # a server may have more to say than any disk holds
                block = stream.read(_BLOCK)
                if not block:
                    break
                digest.update(block)
                size += len(block)
                read(size)
    except DestinationError as exc:
        if exc.missing:
            raise VerifyError(f"the archive {where} is missing") from exc
        raise
    if size != archive.size_bytes:
        raise VerifyError(
            "the archive %s has %s bytes, its manifest says %d"
            % (where, size if size < archive.size_bytes else "more", archive.size_bytes)
        )
    if digest.hexdigest() != archive.sha256:
        raise VerifyError(f"the archive {where} is corrupt: its SHA-256 differs")


def prove_samples(
    destination: Destination, manifest: Manifest, archive: Archive, samples: Sequence[bytes]
) -> bool:
    """Read the first, the last and some other SAMPLE bytes of an archive back, and learn its size; all of
    it (then True) where that is hardly more. Raises VerifyError unless they are what was sent."""
    if len(samples) <= _SAMPLES:
        prove_archive(destination, manifest, archive)
        return True
    where = f"{archive.name} of {manifest.id} at {destination.name}"
    key = archive_key(manifest.host, manifest.job, manifest.id, archive.name)
    inner = random.SystemRandom().sample(range(1, len(samples) - 1), _SAMPLES - 2)
    last = len(samples) - 1
    for place in (0, *sorted(inner), last):
        try:
            with destination.open_at(key, place * SAMPLE) as stream:
                found = hashlib.sha256(stream.read(SAMPLE)).digest()
                rest = stream.read(SAMPLE) if place == last else b""
        except DestinationError as exc:
            if exc.missing:
                raise VerifyError(f"the archive {where} is missing") from exc
            raise
        if found != samples[place]:
            raise VerifyError(f"the archive {where} is corrupt: a sample of it differs")
        if place == last and len(rest) != archive.size_bytes - len(samples) * SAMPLE:
            raise VerifyError(f"the archive {where} is not as long as its manifest says")
    return False


def prove_small(destination: Destination, key: str, content: bytes) -> None:
    """Read a small object back; raises VerifyError unless it is byte for byte what was sent."""
    told = "missing"
    for opened in standing(destination, key):
        try:
            with opened as stream:
                if stream.read(len(content) + 1) == content:
                    return
            told = "not what was sent"
        except DestinationError as exc:
            if not exc.missing:
                raise
    raise VerifyError(f"{key} at {destination.name} is {told}")
