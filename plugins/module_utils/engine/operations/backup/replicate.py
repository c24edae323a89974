# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry a committed backup from one destination to another: archives, then the manifest, then read back."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...files import make_private, remove
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


def replicate(
    from_: Destination,
    to: Destination,
    host: str,
    job: str,
    id_: str,
    spool: Path,
    clock: Callable[[], datetime],
    listener: Listener = silent,
    signers: Sequence[str] = (),
    accepted: bool = False,
) -> Outcome:
    """Copy backup `id_`; the outcome at `to`. Every archive is hashed before it is sent.

    Raises VerifyError if the copy at `from_` is not what its manifest says; with `signers`,
    UnsignedError unless one of them signed that. `accepted`: its size was accepted on this host.
    """
    manifest, document, signature = read_signed(from_, host, job, id_, signers)
    kept = kept_marks(from_, host, job, id_, clock(), accepted)
    empty(spool)
    lane = Lane(to, (host, job, id_), clock, listener)
    ended = False
    try:
        for archive in manifest.archives:
            path = fetch(from_, manifest, archive, make_private(spool), listener)
            lane.take(archive.name, Finished(path, archive.size_bytes), partial(remove, path))
        lane.commit(manifest, kept, document, signature)
        ended = True
        return lane.outcome()
    finally:
        if not ended:
            lane.give_up()
            lane.outcome()


def kept_marks(
    from_: Destination, host: str, job: str, id_: str, now: datetime, accepted: bool
) -> list[Mark]:
    """What is said of the copy at `from_` and holds wherever the backup is."""
    there = copy_at(from_, host, job, id_)
    passed = set() if there.pinned else {"pin"}
    passed |= set() if waiting_since(there, now) else {"restored"}
    carried = set(_CARRIED) - passed | ({"accepted"} if accepted else set())
    return [mark for mark in there.marks if mark.kind in carried]
