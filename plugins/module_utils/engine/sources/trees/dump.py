# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees on their way into a backup: a tar each, counted as it passes, and judged by what tar said."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...inventory import InventoryWriter
from ...model import Inventory, Stream
from . import tar as tree_tar
from .listing import Listing, complaint
from .swap import member_name

_LOG = logging.getLogger(__name__)
# Whole lines, told by their ends: a file may have any name, and tar escapes its line ends.
_CHANGED = re.compile(
    r"tar: .*: (file changed as we read it|file removed before we read it"
    r"|file shrank by \d+ bytes?(; padding with zeros)?)",
    re.IGNORECASE,
)
# Not "Read error": that file is in the archive, filled up with zeros.
_UNREADABLE = re.compile(r"tar: .*: Cannot (open|stat|readlink|savedir|opendir): [^:]+")
_NOISE = re.compile(
    r"tar: (.*: socket ignored|Removing leading [^:]* from (member names|hard link targets)"
    r"|Exiting with failure status due to previous errors)"
)
_MOST_SHOWN = 20  # lines in an error


class TreeDump:
    """One tar for each path, with the names and sums of its members counted on the way."""

    def __init__(
        self, name: str, facts: Mapping[str, Any], lines: Path, create: Any, skips: bool
    ) -> None:
        self.taken_at = datetime.now(timezone.utc)
        self.facts = facts
        self._name = name
        self._create = create
        self._skips = skips
        self._writer = InventoryWriter(lines)
        self._listing: Listing | None = None

    def streams(self) -> Iterator[Stream]:
        for tree in self.facts["trees"]:
            path = tree["path"]
            listing = self._listing = Listing(self._writer, member_name(path))
            heard = _Heard()
            yield Stream(
                part=tree["part"],
                extension="tar",
                feed=replace(self._create(path), hear=heard.all),
                complaint=lambda _head, tail, size_bytes: complaint(tail, size_bytes),
                tap=listing.tap,
                finish=partial(self._finish, path, listing, heard),
                by_hand=tree_tar.BY_HAND,
            )

    def inventory(self) -> Inventory:
        return self._writer.close()

    def abandon(self) -> None:
        if self._listing is not None:
            self._listing.abandon()
        self._writer.close()

    def _finish(
        self, path: str, listing: Listing, heard: _Heard, status: int, _said: str
    ) -> tuple[str, ...]:
        listing.finish()
        # each unreadable file has its line: a failure that none explains is one of another kind
        declared = self._skips and heard.unread and not heard.other
        if status > 1 and not (declared and listing.members):
            raise SourceError(
                "source %s: tar could not read all of %s" % (self._name, path),
                detail="\n".join(heard.shown),
                hint="run the job as a user who may read these files, exclude them, or say "
                "`unreadable: warn`",
            )
        if not listing.members:
            raise SourceError(
                "source %s: the exclude patterns leave nothing of %s" % (self._name, path),
                hint="a pattern without / at its start matches at any depth, also in the path itself",
            )
        return heard.warnings() if status else ()


class _Heard:
    """What tar said, counted: the manifest, readable where the backup is stored, has no names."""

    def __init__(self) -> None:
        self.changed = self.unread = self.other = 0
        self.shown: list[str] = []  # the first few; what is no mere change goes before all that is

    def all(self, lines: Iterator[str]) -> None:
        changed: list[str] = []
        for line in lines:
            if not line or _NOISE.fullmatch(line):
                continue
            _LOG.warning("%s", line)
            kept = self.shown
            if _CHANGED.fullmatch(line):
                self.changed += 1
                kept = changed
            elif _UNREADABLE.fullmatch(line):
                self.unread += 1
            else:
                self.other += 1
            if len(kept) < _MOST_SHOWN:
                kept.append(line[5:] if line.startswith("tar: ") else line)
        self.shown += changed[: _MOST_SHOWN - len(self.shown)]

    def warnings(self) -> tuple[str, ...]:
        counts = (
            ("%d files changed while they were read", self.changed),
            ("%d files could not be read, and are not in this backup", self.unread),
            ("tar warned %d times of something else, see the log", self.other),
        )
        return tuple(text % count for text, count in counts if count)
