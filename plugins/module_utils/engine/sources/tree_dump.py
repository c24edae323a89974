# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees on their way into a backup: a tar each, counted as it passes, and judged by what tar said."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import SourceError
from ..inventory import InventoryWriter
from ..model import Inventory, Stream
from . import tree_tar
from .tree_listing import Listing, complaint
from .tree_swap import member_name

_LOG = logging.getLogger(__name__)
_CHANGED = re.compile(r"file changed as we read|[Ff]ile removed before|File shrank by")
# Not "Read error": that file is in the archive, filled up with zeros.
_UNREADABLE = re.compile(r": Cannot (open|stat|readlink|savedir|opendir): ")
_NOISE = re.compile(r"Exiting with failure|Removing leading|socket ignored")


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
            yield Stream(
                part=tree["part"],
                extension="tar",
                feed=self._create(path),
                complaint=lambda _head, tail, size_bytes: complaint(tail, size_bytes),
                tap=listing.tap,
                finish=partial(self._finish, path, listing),
                by_hand=tree_tar.BY_HAND,
            )

    def inventory(self) -> Inventory:
        return self._writer.close()

    def abandon(self) -> None:
        if self._listing is not None:
            self._listing.abandon()
        self._writer.close()

    def _finish(self, path: str, listing: Listing, status: int, said: str) -> tuple[str, ...]:
        listing.finish()
        told = [line[5:] if line.startswith("tar: ") else line for line in said.splitlines()]
        told = [line for line in told if not _NOISE.search(line)]
        failed = [line for line in told if not (self._skips and _UNREADABLE.search(line))]
        if status > 1 and (failed or not listing.members):
            raise SourceError(
                "source %s: tar could not read all of %s" % (self._name, path),
                detail="\n".join(told),
                hint="run the job as a user who may read these files, exclude them, or say "
                "`unreadable: warn`",
            )
        if not listing.members:
            raise SourceError(
                "source %s: the exclude patterns leave nothing of %s" % (self._name, path),
                hint="a pattern without / at its start matches at any depth, also in the path itself",
            )
        return _counted(told) if status else ()


def _counted(told: Sequence[str]) -> tuple[str, ...]:
    """What tar said, without names: the manifest is readable where the backup is stored."""
    for line in told:
        _LOG.warning("tar: %s", line)
    changed = sum(1 for line in told if _CHANGED.search(line))
    unread = sum(1 for line in told if _UNREADABLE.search(line))
    counts = (
        ("%d files changed while they were read", changed),
        ("%d files could not be read, and are not in this backup", unread),
        ("tar warned %d times of something else, see the log", len(told) - changed - unread),
    )
    return tuple(text % count for text, count in counts if count)
