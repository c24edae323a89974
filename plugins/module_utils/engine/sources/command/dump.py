# SPDX-License-Identifier: GPL-3.0-or-later
"""One dump by a program: its stream, measured while it passes, and what it held, counted around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import SourceError
from ...inventory import Entry, InventoryWriter
from ...model import Inventory, Stream
from .programs import Entries

PART = "stream"
TAIL = 4096
_BLOCK = 1 << 20


class Digest:
    """Size, SHA-256 and end of a stream."""

    def __init__(self) -> None:
        self.size_bytes, self.tail, self._sum = 0, b"", hashlib.sha256()

    def add(self, block: bytes) -> None:
        self._sum.update(block)
        self.size_bytes += len(block)
        self.tail = (self.tail + block[-TAIL:])[-TAIL:]

    @property
    def entry(self) -> Entry:
        digest = self._sum.hexdigest()
        return {"kind": PART, "name": PART, "bytes": self.size_bytes, "sha256": digest}


def digest_of(stream: BinaryIO) -> Digest:
    digest = Digest()
    while block := stream.read(_BLOCK):
        digest.add(block)
    return digest


def add(writer: InventoryWriter, entry: Entry) -> None:
    writer.add(**entry)


def agreed(source: str, before: Entries, after: Entries) -> list[Entry]:
    """What was counted around a dump: what differs is uncounted. Raises SourceError for what came or went."""
    odd = sorted(set(after) ^ set(before))
    if odd:
        raise SourceError(
            "source %s: %s %s came or went while it was dumped" % (source, *odd[0]),
            hint="run it again; let `count` tell what stays, like tables, and not rows",
        )
    return [
        entry if before[key] == entry else {**entry, "uncounted": True}
        for key, entry in after.items()
    ]


class CommandDump:
    """One stream. What it held is counted before and after: what differs then is uncounted."""

    def __init__(
        self,
        source: str,
        stream: Stream,
        facts: Mapping[str, Any],
        counted: Callable[[], Entries],
        lines: Path,
    ) -> None:
        self.facts = facts
        self._source, self._stream, self._counted, self._lines = source, stream, counted, lines
        self._before = counted()
        self._digest = Digest()
        self.taken_at = datetime.now(timezone.utc)

    def streams(self) -> Iterator[Stream]:
        yield replace(self._stream, tap=self._digest.add)

    def inventory(self) -> Inventory:
        writer = InventoryWriter(self._lines)
        add(writer, self._digest.entry)
        for entry in agreed(self._source, self._before, self._counted()):
            add(writer, entry)
        return writer.close()
