# SPDX-License-Identifier: GPL-3.0-or-later
"""Put one tree in another's place, and back, by renames in their common parent.

T is the target, S the side (new), K what is kept (old; an empty file where there was nothing). The
names that exist tell the state, so it is read off the disk and never remembered:

    S and T      old        rename T K
    S and K      between    rename S T, to go on; rename K T, to go back
    T and K      new

Exchanging S and T in one step would leave two states that cannot be told apart after a crash; the
price is that T is missing for the moment between two renames, while its services are stopped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SourceError
from ..files import remove, sync_directory
from ..ownership import mounts_within


@dataclass(frozen=True)
class Tree:
    """One path's part in a restore; all names are absolute."""

    path: str  # as it was backed up
    part: str  # its archive
    target: str
    side: str
    kept: str
    existed: bool

    def as_note(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def top(self) -> str:
        """The name of `path` in the archive."""
        return member_name(self.path)

    @property
    def unpacked(self) -> str:
        """Where the archive is unpacked; the tree lies somewhere below."""
        return self.side + ".d"


def from_notes(notes: Mapping[str, Any]) -> list[Tree]:
    return [Tree(**note) for note in notes["trees"]]


def member_name(path: str) -> str:
    return path.strip("/") or "."


def swap(tree: Tree) -> None:
    if swapped(tree):
        return
    if not os.path.lexists(tree.side):
        raise SourceError("nothing lies at %s to be put in place" % tree.side)
    there, kept = os.path.lexists(tree.target), os.path.lexists(tree.kept)
    if there and not tree.existed:
        raise SourceError("%s has appeared since the restore was planned" % tree.target)
    if there and kept:
        raise SourceError("something else lies at %s" % tree.kept, hint="move it away")
    if there:
        refuse_mounts(tree.target)
        os.rename(tree.target, tree.kept)
    elif not kept and tree.existed:
        raise SourceError("%s has gone since the restore was planned" % tree.target)
    elif not kept:
        Path(tree.kept).touch(0o600)
    os.rename(tree.side, tree.target)
    sync_directory(Path(tree.target).parent)


def swapped(tree: Tree) -> bool:
    names = (tree.target, tree.kept, tree.side)
    return [os.path.lexists(name) for name in names] == [True, True, False]


def back(tree: Tree) -> None:
    if swapped(tree):
        refuse_mounts(tree.target)
        os.rename(tree.target, tree.side)
    if not os.path.lexists(tree.kept):
        return
    if not tree.existed:
        os.unlink(tree.kept)
    elif not os.path.lexists(tree.target):
        os.rename(tree.kept, tree.target)
    sync_directory(Path(tree.target).parent)


def discard(tree: Tree) -> None:
    if tree.existed and not os.path.lexists(tree.target):
        raise SourceError(
            "%s is missing, so nothing was removed" % tree.target,
            hint="what it held lies at %s" % tree.kept,
        )
    if all(os.path.lexists(name) for name in (tree.target, tree.side, tree.kept)):
        raise SourceError(
            "%s has appeared in the middle of a restore, so nothing was removed" % tree.target,
            hint="what was there before lies at %s, what was restored at %s"
            % (tree.kept, tree.side),
        )
    for name in (tree.unpacked, tree.side, tree.kept):
        refuse_mounts(name)
        remove(Path(name))


def refuse_mounts(name: str) -> None:
    """A mount inside would move along, and removing the tree would then empty what is mounted."""
    found = mounts_within(Path(name))
    if found:
        raise SourceError(
            "something is mounted at %s" % found[0],
            hint="unmount it, or restore into another directory with --into",
        )
