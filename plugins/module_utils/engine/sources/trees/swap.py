# SPDX-License-Identifier: GPL-3.0-or-later
"""Put one tree in another's place, and back, in one step that no reader can fall into.

T is the target, S the side (new), K what is kept (old; an empty file where there was nothing). S and
T are exchanged by one system call, then S, which is now the old tree, is renamed to K. Which tree is
the old one is told by its inode, noted when the restore was planned: so the state is read off the
disk, never remembered.

    the old one is T     old
    the old one is S     new, not renamed to K yet
    the old one is K     new; or, where the file system cannot exchange, between two renames: T is
                         missing then, and either direction can be completed

Where nothing was there before, K is an empty file, and S is renamed to T.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...files import exchange, sync_directory
from ...ownership import mounts_within
from . import attributes, made
from .names import mark_nothing

_EXCHANGED = "another process has exchanged %s in the middle of the restore"
_EXCHANGED_HINT = "see what runs as the owner of that directory; nothing was replaced"


@dataclass(frozen=True)
class Tree:
    """One path's part in a restore; all names are absolute."""

    path: str  # what is restored; as it was backed up
    part: str  # its archive
    target: str
    side: str
    kept: str
    existed: bool
    inode: int  # of what was at `target`; 0 = nothing
    within: str = ""  # the path that was backed up, where only a part of it is restored
    chosen: Sequence[str] = ()  # members of the archive, with all that is below; () = all
    merged: bool = False  # side and kept lie in the target, and what they hold goes one by one
    old: str = ""  # of what was at `target`, if a directory: see made.identity
    notes: str = ""  # the file that tells which directories this restore has made; see made.py

    def as_note(self) -> dict[str, Any]:
        return dict(asdict(self), chosen=list(self.chosen))

    @property
    def top(self) -> str:
        """The name of `path` in the archive."""
        return member_of(self.path, self.within or self.path)

    @property
    def archive_top(self) -> str:
        return member_name(self.within or self.path)

    @property
    def unpacked(self) -> str:
        """Where the archive is unpacked; the tree lies somewhere below."""
        return self.side + ".d"

    @property
    def folder(self) -> str:
        """The directory that side and kept lie in."""
        return os.path.dirname(self.side)

    @property
    def inner(self) -> str:
        """In the side of a merge, which is closed to all but us, the name of what was restored."""
        return os.path.basename(self.side)

    def at(self, here: str) -> Tree:
        """The same, reached by another name of its folder; see anchor.py."""
        side, kept = (os.path.join(here, os.path.basename(one)) for one in (self.side, self.kept))
        target = here if self.merged else os.path.join(here, os.path.basename(self.target))
        return replace(self, target=target, side=side, kept=kept)


def from_notes(notes: Mapping[str, Any]) -> list[Tree]:
    return [Tree(**note) for note in notes["trees"]]


def member_name(path: str) -> str:
    return path.strip("/") or "."


def member_of(path: str, within: str) -> str:
    """The name of `path` in the archive of `within`."""
    return member_name(within) + path[len(within.rstrip("/")) :].rstrip("/")


@contextmanager
def closed_directory(name: str) -> Iterator[int]:
    """A new, empty directory that only we may enter, as an open file.

    Beside it another user may be at home, who may rename it and put a link in its place at any
    moment: so what is done in it is done by the open file.
    """
    os.mkdir(name, 0o700)
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        # the umask may have taken bits of the mode
        if found.st_uid != os.geteuid() or found.st_mode & 0o077 or os.listdir(opened):
            raise SourceError(_EXCHANGED % name, hint=_EXCHANGED_HINT)
        yield opened
    finally:
        os.close(opened)


@contextmanager
def closed(name: str, notes: str) -> Iterator[int]:
    """A directory that `closed_directory` has made, and that was noted, as an open file."""
    try:
        opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise SourceError("%s cannot be opened: %s" % (name, exc.strerror)) from exc
    try:
        found = os.fstat(opened)
        # it may lie in another user's, who may have put another one there, also one of root's
        ours = made.is_one(name, opened, made.known(notes))
        if not ours or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise made.unknown(name, notes)
        yield opened
    finally:
        os.close(opened)


def take_away(tree: Tree, *names: str) -> None:
    """Remove what this restore has made, and nothing that somebody may have put in its place."""
    for name in names:
        refuse_mounts(name)
        made.take_away(name, tree.notes)


def require_same(name: str, opened: int) -> None:
    """Raise unless `name` is still the directory that was opened."""
    try:
        same = os.path.samestat(os.lstat(name), os.fstat(opened))
    except FileNotFoundError:
        same = False
    if not same:
        raise SourceError(_EXCHANGED % name, hint=_EXCHANGED_HINT)


def swap(tree: Tree) -> None:
    if tree.existed:
        _swap_with_old(tree)
    elif not swapped(tree):
        if os.path.lexists(tree.target):
            raise SourceError("%s has appeared since the restore was planned" % tree.target)
        _require_side(tree)
        mark_nothing(Path(tree.kept))
        os.rename(tree.side, tree.target)
    sync_directory(Path(tree.target).parent)


def swapped(tree: Tree) -> bool:
    if tree.existed:
        return _old(tree) in (tree.side, tree.kept) and os.path.lexists(tree.target)
    names = (tree.target, tree.kept, tree.side)
    return [os.path.lexists(name) for name in names] == [True, True, False]


def back(tree: Tree) -> None:
    if tree.existed:
        _back_with_old(tree)
    else:
        if swapped(tree):
            refuse_mounts(tree.target)
            os.rename(tree.target, tree.side)
        if os.path.lexists(tree.kept):
            os.unlink(tree.kept)
    sync_directory(Path(tree.target).parent)


def require_kept(tree: Tree) -> None:
    """Raise if what was there before cannot be put back, or what is there could not be taken away."""
    if not (_old(tree) if tree.existed else swapped(tree) or not os.path.lexists(tree.target)):
        raise not_kept(tree.target, tree.kept)


def not_kept(target: str, kept: str) -> SourceError:
    return SourceError(
        "what was at %s before the restore is not kept at %s any more, so nothing was undone"
        % (target, kept),
        hint="restore a backup from before; `lifeboat confirm` lets go of this restore",
    )


def _swap_with_old(tree: Tree) -> None:
    if _old(tree) == tree.target:
        _finish_back(tree)
        _require_side(tree)
        if os.path.lexists(tree.kept):
            raise SourceError("something else lies at %s" % tree.kept, hint="move it away")
        refuse_mounts(tree.target)
        if not _exchanged(tree.side, tree.target):
            os.rename(tree.target, tree.kept)
    if _old(tree) == tree.side:
        os.rename(tree.side, tree.kept)
    elif _old(tree) != tree.kept:
        raise SourceError("%s has gone since the restore was planned" % tree.target)
    elif not os.path.lexists(tree.target):
        _require_side(tree)
        os.rename(tree.side, tree.target)


def _back_with_old(tree: Tree) -> None:
    old = _old(tree)
    if old in (tree.side, tree.kept) and os.path.lexists(tree.target):
        refuse_mounts(tree.target)
        if not _exchanged(old, tree.target):
            if old == tree.side:  # S must be free for the new one
                os.rename(tree.side, tree.kept)
            os.rename(tree.target, tree.side)
    if _old(tree) == tree.kept:
        os.rename(tree.kept, tree.target)
    else:
        _finish_back(tree)


def _finish_back(tree: Tree) -> None:
    """After an exchange back the new tree still has K's name."""
    if os.path.lexists(tree.kept) and not os.path.lexists(tree.side):
        os.rename(tree.kept, tree.side)


def _old(tree: Tree) -> str:
    """Which name the tree that was there before has now; "" = none of the three."""
    for name in (tree.target, tree.side, tree.kept):
        try:
            if os.lstat(name).st_ino == tree.inode:
                return name
        except FileNotFoundError:
            continue
    return ""


def _exchanged(one: str, other: str) -> bool:
    """Whether both names were exchanged; some file systems cannot, and nothing has changed then."""
    try:
        exchange(Path(one), Path(other))
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return False
    return True


def _require_side(tree: Tree) -> None:
    if not os.path.lexists(tree.side):
        raise SourceError("nothing lies at %s to be put in place" % tree.side)


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
    moved = tree.existed and _old(tree) != tree.target
    for name in (tree.side, tree.kept):  # else a part of it would be gone
        attributes.refuse(name)
    for name in (tree.unpacked, tree.side, tree.kept):
        refuse_mounts(name)
        made.take_away(name, tree.notes, [tree.old] if moved else [])


def refuse_mounts(name: str) -> None:
    """A mount inside would move along, and removing the tree would then empty what is mounted."""
    found = mounts_within(Path(name))
    if found:
        raise SourceError(
            "something is mounted at %s" % found[0],
            hint="unmount it, or restore into another directory with --into",
        )
