# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry a committed backup from one destination to another: archives, then the manifest, then read back."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...files import make_private, remove
from ...model import Manifest
from ...ports import Destination
from ...progress import Listener, silent
from ...retention import waiting_since
from ...stored import Mark
from ..copies.catalog import copy_at, read_signed
from ..copies.plain import fetch
from .backup import empty
from .lanes import Lane, Outcome

# What was said of a backup and makes it no better than it is. Proofs hold for one copy; and whoever may
# add names there could let go of a pin (`unpin`, `replaced`) or clear a suspicion (`accepted`) here. So
# that one goes only where this host itself remembers that it was said.
_CARRIED = ("pin", "tag", "subset", "partial", "suspect", "restored")


class Finished:
    """A verified local file as a destination sees an archive; implements ports.Growing."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path, self.size_hint = path, size_bytes

    def reader(self) -> BinaryIO:
        return io.BufferedReader(io.FileIO(str(self.path)), 1 << 20)

    def wait(self) -> int:
        return self.size_hint


@dataclass(frozen=True)
class Transfer:
    """One backup that is to be, whole, at another destination too, and by which rules."""

    from_: Destination
    to: Destination
    backup: tuple[str, str, str]  # host, job, id
    spool: Path  # a directory for one archive at a time, which is emptied first
    clock: Callable[[], datetime]
    listener: Listener = silent
    signers: Sequence[str] = ()  # where there are any, one of them has to have signed the manifest
    accepted: bool = False  # its size was accepted on this host

    def read(self) -> tuple[Manifest, bytes, bytes | None]:
        """See `read_signed`: of the copy that is there."""
        return read_signed(self.from_, *self.backup, self.signers)

    def kept_marks(self) -> list[Mark]:
        """What is said of the copy that is there, and holds wherever the backup is."""
        there = copy_at(self.from_, *self.backup)
        passed = set() if there.pinned else {"pin"}
        passed |= set() if waiting_since(there, self.clock()) else {"restored"}
        carried = set(_CARRIED) - passed | ({"accepted"} if self.accepted else set())
        return [mark for mark in there.marks if mark.kind in carried]


def replicate(asked: Transfer) -> Outcome:
    """Copy the backup; the outcome at the other destination. Every archive is hashed before it is sent.

    Raises VerifyError if the copy is not what its manifest says, UnsignedError if none of the signers
    signed that.
    """
    manifest, document, signature = asked.read()
    kept = asked.kept_marks()
    empty(asked.spool)
    lane = Lane(asked.to, asked.backup, asked.clock, asked.listener)
    ended = False
    try:
        for archive in manifest.archives:
            path = fetch(asked.from_, manifest, archive, make_private(asked.spool), asked.listener)
            lane.take(archive.name, Finished(path, archive.size_bytes), partial(remove, path))
        lane.commit(manifest, kept, document, signature)
        ended = True
        return lane.outcome()
    finally:
        if not ended:
            lane.give_up()
            lane.outcome()
