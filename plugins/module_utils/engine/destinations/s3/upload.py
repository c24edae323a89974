# SPDX-License-Identifier: GPL-3.0-or-later
"""Send one archive to S3 while it is still being written: in parts, in bounded memory, or not at all.

A server takes at most `max_parts` parts, and the size is not known before the end. So parts are made
for an archive of twice the expected size; one that grows beyond that is sent again from the finished
spool, whose size is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import LifeboatError
from ...ports import Growing
from .bucket import Bucket
from .follow import Outgrown, follow

MIB = 1 << 20
MIN_PART = 5 * MIB  # what servers accept
MAX_PART = 5 << 30
_USUAL_PART = 8 * MIB
_GROWING_PART = 24 * MIB  # a larger one would begin later, and end later
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
    limit = part_size * plan.usable_parts()
    with bucket.connection.faults("store", key):
        try:
            follow(bucket, key, extra, growing, part_size, limit, plan.max_concurrency)
        except Outgrown:
            raise TooManyParts(f"more than {limit} bytes came") from None


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
    body: str,
    part_size: int,
    plan: Plan,
    rate: int | None = None,
) -> None:
    from s3transfer.manager import TransferConfig, TransferManager

    config = TransferConfig(
        multipart_threshold=part_size,
        multipart_chunksize=part_size,
        max_request_concurrency=plan.max_concurrency,
        max_bandwidth=rate,
    )
    at = bucket.at(key)
    with bucket.connection.faults("store", key), TransferManager(bucket.client, config) as manager:
        future = manager.upload(body, at["Bucket"], at["Key"], extra)
        future.result()  # a failure has aborted the upload by then


def _to_mib(size: float) -> int:
    return -(-int(size + 1) // MIB) * MIB
