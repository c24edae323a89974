# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a live SQLite database, and look into the copy while it is streamed."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...model import Inventory, Stream
from .file import Broken, complaint, connect, count, described, examine

PART = "database"
# a healthy one may hold an index that is sorted by what its application brings along
_OF_APPLICATION = re.compile(
    r"no such collation sequence: .*|(unknown|no such) function: .*|no such tokenizer: .*"
)


@dataclass(frozen=True)
class Looked:
    """What is in a copy that is whole."""

    odd: tuple[str, ...]
    facts: Mapping[str, Any]
    inventory: Inventory


def look_into(source: str, path: Path, copy: Path) -> Looked:
    """Read the whole copy of the database `path`, judge it and count it; raises SourceError."""
    try:
        odd = examine(copy)
    except Broken as exc:
        lacking = _OF_APPLICATION.search(str(exc))
        if lacking:
            raise SourceError(
                "source %s: the database %s cannot be judged: %s" % (source, path, lacking.group()),
                hint="only its application has that: let a source `command` run a program that has it too",
            ) from exc
        raise SourceError(
            "source %s: the database %s is damaged" % (source, path),
            detail=str(exc),
            hint="restore a backup from before the damage, or try sqlite3's .recover",
        ) from exc
    return Looked(odd, described(copy), count(copy, copy.parent / "inventory.jsonl"))


class SQLiteDump:
    """A copy of the database, as it was at `taken_at`; `looked` fails unless it is whole."""

    def __init__(
        self, taken_at: datetime, facts: dict[str, Any], copy: Path, looked: Future[Looked]
    ) -> None:
        self.taken_at = taken_at
        self.facts = facts
        self._copy = copy
        self._looked = looked

    def streams(self) -> Iterator[Stream]:
        yield Stream(
            part=PART,
            extension="sqlite",
            feed=self._copy,
            complaint=lambda head, _tail, size_bytes: complaint(head, size_bytes),
            finish=self._finish,
        )

    def inventory(self) -> Inventory:
        return self._looked.result().inventory

    def _finish(self, _status: int, _said: str) -> tuple[str, ...]:
        found = self._looked.result()
        self.facts.update(found.facts)
        return found.odd


def copied(path: Path, copy: Path) -> tuple[datetime, str]:
    """Copy a live database; (the instant it is from, its journal mode).

    All pages in one step: with several, each write by another process starts it over, for ever.
    """
    with connect(path) as original:
        journal_mode = str(original.execute("PRAGMA journal_mode").fetchone()[0])
        # A read transaction of our own: it fixes the instant, and unlike backup(), which retries
        # for ever, it gives up when a writer does not let go.
        original.execute("BEGIN")
        original.execute("SELECT count(*) FROM sqlite_master").fetchone()
        taken_at = datetime.now(timezone.utc)
        taking = sqlite3.connect(str(copy), isolation_level=None)
        try:
            os.chmod(copy, 0o600)
            taking.execute("PRAGMA synchronous=OFF")  # a temporary file: gone after a crash anyway
            original.backup(taking)
            # The copy says WAL where the original does; an archive must be one file.
            taking.execute("PRAGMA journal_mode=DELETE").fetchone()
        finally:
            taking.close()
    return taken_at, journal_mode
