# SPDX-License-Identifier: GPL-3.0-or-later
"""Send one archive to S3 while it is still being written: in parts, in bounded memory, or not at all.

A server takes at most `max_parts` parts, and the size is not known before the end. So parts are made
for an archive of twice the expected size; one that grows beyond that is sent again from the finished
spool, whose size is known.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import LifeboatError
from ..ports import Growing
from ..s3_client import Connection
from .s3_bucket import Bucket

MIB = 1 << 20
MIN_PART = 5 * MIB  # what servers accept
MAX_PART = 5 << 30
_USUAL_PART = 8 * MIB
# While an archive grows, its parts pass through memory: those in flight, one being read, and one that
# the library still holds. Measured for a whole process: 109 MiB with parts of 8 MiB, 128 with 24.
_GROWING_PART = 24 * MIB
_IN_FLIGHT = 32 * MIB
_FILL = 0.9  # of max_parts: some are kept back, because a size is an estimate


class TooManyParts(LifeboatError):
    """The archive outgrew the part size that was chosen for it."""


@dataclass(frozen=True)
class Plan:
    """How archives are cut. part_size 0 = from the expected size."""

    part_size: int
    max_parts: int
    max_concurrency: int

    def usable_parts(self) -> int:
        return max(1, int(self.max_parts * _FILL))

    def growing_part(self, size_hint: int) -> int:
        """Bytes a part for an archive of unknown size."""
        wanted = self.part_size or _to_mib(2 * size_hint / self.usable_parts())
        return wanted if self.part_size else min(max(wanted, _USUAL_PART), _GROWING_PART)

    def finished_part(self, size: int) -> int:
        """Bytes a part for an archive of known size; uniform, because some servers demand it."""
        return max(self.part_size or _USUAL_PART, _to_mib(size / self.usable_parts()))

    def fits(self, size_hint: int) -> bool:
        """Whether an archive of the expected size can be sent while it grows."""
        return size_hint <= self.growing_part(size_hint) * self.usable_parts()


def send_growing(
    bucket: Bucket, key: str, extra: dict[str, Any], growing: Growing, plan: Plan
) -> None:
    """Follow the writer; the object appears once the archive has passed its checks.

    Raises TooManyParts (nothing is left then) when it grew beyond its plan.
    """
    if not plan.fits(growing.size_hint):
        raise TooManyParts(f"{growing.size_hint} bytes are expected")
    part_size = plan.growing_part(growing.size_hint)
    with growing.reader() as reader:
        feed = _Feed(bucket.connection, key, growing, reader, part_size * plan.usable_parts())
        _send(bucket, key, extra, feed, part_size, plan)


def send_finished(
    bucket: Bucket, key: str, extra: dict[str, Any], path: Path, plan: Plan, rate: int | None = None
) -> None:
    """Send a complete file; its parts are read from disk as they go, so they may be of any size."""
    part_size = plan.finished_part(path.stat().st_size)
    _send(bucket, key, extra, str(path), part_size, plan, rate)


def _send(
    bucket: Bucket,
    key: str,
    extra: dict[str, Any],
    body: Any,
    part_size: int,
    plan: Plan,
    rate: int | None = None,
) -> None:
    from s3transfer.manager import TransferConfig, TransferManager

    config = TransferConfig(
        multipart_threshold=part_size,
        multipart_chunksize=part_size,
        max_request_concurrency=plan.max_concurrency,
        max_submission_concurrency=1,  # one more part is in memory for each
        max_in_memory_upload_chunks=max(1, min(4, _IN_FLIGHT // part_size)),
        max_bandwidth=rate,
    )
    at = bucket.at(key)
    with bucket.connection.faults("store", key), TransferManager(bucket.client, config) as manager:
        future = manager.upload(body, at["Bucket"], at["Key"], extra)
        if isinstance(body, _Feed):
            body.watch(future)
        future.result()  # a failure has aborted the upload by then


class _Feed:
    """What the library reads from: it has `read` only, so that it cannot be taken for seekable."""

    def __init__(
        self, connection: Connection, key: str, growing: Growing, reader: BinaryIO, limit: int
    ) -> None:
        self._connection = connection
        self._key = key
        self._growing = growing
        self._reader = reader
        self._limit = limit
        self._count = 0
        self._future: Any = None
        self._watched = threading.Event()

    def watch(self, future: Any) -> None:
        self._future = future
        self._watched.set()

    def read(self, amount: int = -1) -> bytes:
        self._watched.wait()
        if self._future.done():  # a part was refused: there is no use in reading on
            raise self._connection.error(f"cannot store {self._key}", "the upload has failed")
        block = self._reader.read(amount)
        self._count += len(block)
        if self._count > self._limit:
            raise TooManyParts(f"more than {self._limit} bytes came")
        if amount < 0 or len(block) < amount:
            expected = self._growing.wait()
            if self._count != expected:
                why = f"{self._count} of {expected} bytes arrived"
                raise self._connection.error(f"cannot store {self._key}", why, permanent=False)
        return block


def _to_mib(size: float) -> int:
    return -(-int(size + 1) // MIB) * MIB
