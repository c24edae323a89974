# SPDX-License-Identifier: GPL-3.0-or-later
"""One dump of a bucket: its stream, what was counted while it was written, what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...inventory import InventoryWriter
from ...model import Inventory, Stream
from ..trees.listing import complaint
from . import tar as s3_tar
from .objects import Objects
from .records import Record
from .stream import ObjectStream

PART = "objects"


class BucketDump:
    """One tar of all objects, counted while it is written."""

    def __init__(
        self, objects: Objects, facts: Mapping[str, Any], history: bool, workers: int, lines: Path
    ) -> None:
        self.facts = facts
        self.taken_at = datetime.now(timezone.utc)
        self._objects = objects
        self._asked_tags = objects.tagged
        self._writer = InventoryWriter(lines)
        self._stream = ObjectStream(objects, history, workers, self._seen)

    def streams(self) -> Iterator[Stream]:
        yield Stream(
            part=PART,
            extension="tar",
            feed=self._stream,  # type: ignore[arg-type]
            complaint=lambda _head, tail, size_bytes: complaint(tail, size_bytes),
            finish=self._finish,
            by_hand=s3_tar.BY_HAND,
        )

    def inventory(self) -> Inventory:
        return self._writer.close()

    def close(self) -> None:
        self._stream.close()
        self._writer.close()

    def _seen(self, record: Record, digest: str) -> None:
        self._writer.add(**s3_tar.entry(record, digest))

    def _finish(self, _status: int, _said: str) -> tuple[str, ...]:
        told = []
        if self._stream.vanished:
            told.append("%d objects vanished while the bucket was read" % self._stream.vanished)
        if self._asked_tags and not self._objects.tagged:
            told.append("the server knows no tags")
        return tuple(told)
