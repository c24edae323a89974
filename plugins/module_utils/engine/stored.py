# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies at a destination, as it tells: objects, copies with their marks, how they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from .units import parse_stamp


class Stored(NamedTuple):
    """One object at a destination."""

    key: str
    size_bytes: int
    changed_at: datetime  # as the destination tells it


class Mark(NamedTuple):
    """An empty object beside a manifest; the latest of a kind wins."""

    kind: str  # "intact", "pin", "tag", ...
    at: datetime
    value: str = ""  # of a tag; of `locked`, until when; of `bad`, "content" or nothing


BAD_CONTENT = (
    "bad",
    "content",
)  # kind and value of the mark: the bytes are right, and no whole backup


class Copy(NamedTuple):
    """One backup as one destination's names tell it, without opening anything.

    A tuple, as Mark is: of 100,000 it takes a third of the memory that a dataclass does.
    """

    id: str
    taken_at: datetime
    type: str
    committed: bool  # the manifest is there
    marks: tuple[Mark, ...] = ()
    signed: bool = False  # there is a signature; whose, only reading it tells

    def latest(self, *kinds: str) -> Mark | None:
        """The newest mark of these kinds; a tie goes to the kind named last."""
        newest: Mark | None = None
        for mark in self.marks:
            if mark.kind in kinds and (
                newest is None
                or (mark.at, kinds.index(mark.kind)) > (newest.at, kinds.index(newest.kind))
            ):
                newest = mark
        return newest

    @property
    def pinned(self) -> bool:
        newest = self.latest("unpin", "pin")
        return newest is not None and newest.kind == "pin"

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted({mark.value for mark in self.marks if mark.kind == "tag"}))

    @property
    def subset(self) -> bool:
        """Was not asked for every source of its job, or one failed."""
        return self.latest("subset") is not None

    @property
    def locked_until(self) -> datetime | None:
        """Until when the destination lets nobody delete this copy, as it told; None = not locked."""
        newest = self.latest("locked")
        try:
            return parse_stamp(newest.value) if newest else None
        except ValueError:
            return None  # not a name of ours

    @property
    def suspect(self) -> bool:
        newest = self.latest("suspect", "accepted")
        return newest is not None and newest.kind == "suspect"

    @property
    def replaced(self) -> bool:
        """Its content is in another backup, encrypted anew, which was proved here."""
        return self.latest("replaced") is not None

    @property
    def unreadable(self) -> bool:
        """What its right bytes hold proved to be no whole backup, and nobody has read it to its end since."""
        told = [mark.at for mark in self.marks if mark[::2] == BAD_CONTENT]
        read = self.latest("readable", "drilled")
        return bool(told) and (read is None or read.at <= max(told))

    @property
    def good(self) -> bool:
        """Counts for retention and freshness: committed, complete, not suspect, and its bytes proved."""
        if not self.committed or self.latest("replaced", "partial") or self.suspect:
            return False
        if self.unreadable:
            return False
        proof = self.latest("intact", "drilled", "bad")
        return proof is not None and proof.kind != "bad"

    @property
    def state(self) -> str:
        """missing, pruned, corrupt, replaced, partial, suspect, archived, stored, intact or restorable."""
        if not self.committed:
            return "pruned" if self.latest("pruned") else "missing"
        proof = self.latest("intact", "drilled", "bad")
        if self.unreadable or (proof is not None and proof.kind == "bad"):
            return "corrupt"
        if self.replaced:
            return "replaced"
        if self.latest("partial"):
            return "partial"
        if self.suspect:
            return "suspect"
        if proof is None:
            return "archived" if self.latest("archived") else "stored"
        return "restorable" if self.latest("drilled") else "intact"


@dataclass(frozen=True)
class Place:
    """Where data lies: what fails together has one domain; what wears out together has one medium."""

    domain: str
    medium: str


@dataclass(frozen=True)
class Cold:
    """An object in cold storage."""

    key: str
    state: str  # "frozen", "thawing" (asked for, and not there yet), "thawed"
    storage_class: str
    size_bytes: int
    hours: str = ""  # until it can be read, in words; "" = it cannot be asked for so


@dataclass(frozen=True)
class Protection:
    """How a destination keeps a copy beyond its bytes, as it told when it was asked again."""

    locked_until: datetime | None = None  # of all its objects the earliest; None = not locked
    problems: tuple[str, ...] = ()  # what was asked for and is not so
    remarks: tuple[str, ...] = ()  # what somebody may want to know
    cold: bool = False  # must be thawed before it can be read
