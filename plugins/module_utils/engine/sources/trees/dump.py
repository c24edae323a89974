# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees on their way into a backup: a tar each, counted as it passes, and judged by what tar said."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...inventory import InventoryWriter, annotated
from ...model import Inventory, Stream
from . import tar as tree_tar
from .listing import Listing, complaint
from .swap import member_name

_LOG = logging.getLogger(__name__)
# Whole lines, told by their ends: a file may have any name, and tar escapes its line ends.
_CHANGED = re.compile(r"tar: .*: file changed as we read it")
_WENT = re.compile(r"tar: .*: File removed before we read it")
# What was cut off is zeros in the archive, which promises as many bytes as there were at first.
_SHRUNK = re.compile(r"tar: (.*): File shrank by (\d+) bytes?; padding with zeros")
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)")
# Not "Read error": that file is in the archive, filled up with zeros.
_UNREADABLE = re.compile(r"tar: .*: Cannot (open|stat|readlink|savedir|opendir): [^:]+")
_NOISE = re.compile(
    r"tar: (.*: socket ignored|Removing leading [^:]* from (member names|hard link targets)"
    r"|Exiting with failure status due to previous errors)"
)
_CONTROL = dict(
    zip(
        (b"a", b"b", b"f", b"n", b"r", b"t", b"v"),
        (b"\a", b"\b", b"\f", b"\n", b"\r", b"\t", b"\v"),
    )
)
_MOST_SHOWN = 20  # lines in an error
_MOST_NAMED = 10000  # files that shrank


class TreeDump:
    """One tar for each path, with the names and sums of its members counted on the way."""

    def __init__(
        self,
        name: str,
        facts: Mapping[str, Any],
        lines: Path,
        create: Any,
        skips: bool,
        apart: Mapping[str, int] | None = None,
    ) -> None:
        """`apart`: of each path, how many file systems are mounted below and are left out."""
        self.taken_at = datetime.now(timezone.utc)
        self.facts = facts
        self._name = name
        self._create = create
        self._skips = skips
        self._apart = apart or {}
        self._writer = InventoryWriter(lines)
        self._listing: Listing | None = None
        self._shrunk: dict[str, int] = {}

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
        counted = self._writer.close()
        return annotated(counted, "padded_bytes", self._shrunk) if self._shrunk else counted

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
        if listing.too_long:
            raise SourceError(
                "source %s: %s has a path of more than 4095 bytes, which could not be restored"
                % (self._name, path),
                detail="/%s..." % listing.too_long[:200],
                hint="exclude it, or move it further up",
            )
        if listing.top_is_link:  # it was none when it was looked at
            raise SourceError(
                "source %s: %s has become a link, and links are not followed" % (self._name, path),
                hint="give the path it leads to",
            )
        self._shrunk.update(heard.named)
        told = heard.warnings() if status else ()
        if self._apart.get(path):
            told += (
                "%d file systems that are mounted below a path are not in this backup"
                % self._apart[path],
            )
        return told


class _Heard:
    """What tar said, counted: the manifest, readable where the backup is stored, has no names."""

    def __init__(self) -> None:
        self.changed = self.went = self.shrunk = self.unread = self.other = 0
        self.named: dict[str, int] = {}  # {member that shrank: bytes}
        self.shown: list[str] = []  # the first few; what is no mere change goes before all that is

    def all(self, lines: Iterator[str]) -> None:
        changed: list[str] = []
        for line in lines:
            if not line or _NOISE.fullmatch(line):
                continue
            _LOG.warning("%s", line)
            kept = self.shown
            shrank = _SHRUNK.fullmatch(line)
            if _CHANGED.fullmatch(line):
                self.changed += 1
                kept = changed
            elif _WENT.fullmatch(line):
                self.went += 1
                kept = changed
            elif shrank:
                self.shrunk += 1
                kept = changed
                if len(self.named) < _MOST_NAMED:
                    self.named[_unescaped(shrank[1])] = int(shrank[2])
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
            ("%d files shrank while they were read: zeros stand for what was cut off", self.shrunk),
            ("%d files went before they were read, and are not in this backup", self.went),
            ("%d files could not be read, and are not in this backup", self.unread),
            ("tar warned %d times of something else, see the log", self.other),
        )
        return tuple(text % count for text, count in counts if count)


def _unescaped(name: str) -> str:
    """A member's name, of how tar writes it in a message."""

    def plain(found: re.Match[bytes]) -> bytes:
        escaped = found[1]
        if len(escaped) == 3:
            return bytes((int(escaped, 8),))
        return _CONTROL.get(escaped, escaped)

    return os.fsdecode(_ESCAPED.sub(plain, name.encode("utf-8", "replace")))
