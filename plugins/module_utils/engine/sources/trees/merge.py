# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge one tree into another that stays, entry by entry, and take exactly that back.

T is the target, S what was restored, K what is kept. S and K lie in T, so that T may be a mount
point, each in a directory that only we may enter: a directory in S may be another user's, who could
else add to it before it is moved. A directory that is in S and in T stays T's, with its owner and
mode, and what it holds is merged. Every other entry of S is moved to its place in T; what was there
goes to K before. Nothing else of T is touched. No link is followed: one in T's is an entry like a
file.

What is to be moved, and whether something was there, is written down in K before the first move:

    S/x there, K/x not           old
    S/x there, K/x there         T/x is K/x by a second name, or missing: between
    S/x not                      new

and back the other way round; so each step is read off the disk. `back` ends by removing the list.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import SourceError
from ...files import open_regular
from ...ownership import mounts_within
from . import attributes, made
from . import swap as tree_swap
from .beneath import Beneath
from .swap import Tree

_LIST = "%s.jsonl"  # in K, by K's name: [name below T, whether something was there]
_KEPT = "tree"  # in K: what was there


def swap(tree: Tree) -> None:
    if not _listed(tree):
        if not os.path.lexists(tree.side):
            raise SourceError("nothing lies at %s to be put in place" % tree.side)
        _make_kept(tree)
    with _three(tree) as (target, side, kept, moves):
        if not os.path.lexists(moves):
            _write_list(tree, moves, target, side)
        for name, had in _read_list(moves):
            _forth(name, had, target, side, kept)
    os.sync()  # a million single syncs would take hours


def swapped(tree: Tree) -> bool:
    if not _listed(tree):
        return False
    with _three(tree) as (_target, side, _kept, moves):
        return not any(side.find(name) for name, _had in _read_list(moves))


def require_kept(tree: Tree) -> None:
    """Raise if something that was there before cannot be put back."""
    if not _listed(tree):
        raise tree_swap.not_kept(tree.target, tree.kept)
    with _three(tree) as (target, side, kept, moves):
        for name, had in _read_list(moves):
            if had and side.find(name) is None and kept.find(name) is None:
                raise tree_swap.not_kept(target.shown(name), tree.kept)


def back(tree: Tree) -> None:
    if not _listed(tree):
        return
    with _three(tree) as (target, side, kept, moves):
        for name, had in _read_list(moves):
            _back(name, had, target, side, kept)
        os.sync()
        os.unlink(moves)


def discard(tree: Tree) -> None:
    if _listed(tree) and os.path.lexists(tree.side) and not swapped(tree):
        raise SourceError(
            "%s is merged only in part, so nothing was removed" % tree.target,
            hint="what was there before lies in %s, what was restored in %s"
            % (tree.kept, tree.side),
        )
    for name in (tree.kept, tree.side):  # else a part of it would be gone
        attributes.refuse(name)
    # S last: without it K's list says nothing
    tree_swap.take_away(tree, tree.unpacked, tree.kept, tree.side)


def _make_kept(tree: Tree) -> None:
    with made.directory(tree.kept) as there:
        if there is not None and made.is_one(tree.kept, there, made.known(tree.notes)):
            return  # a `back` has left it
    made.take_away_empty(tree.kept, tree.notes)  # one that was cut off before it was noted
    with tree_swap.closed_directory(tree.kept) as opened:
        made.note(tree.notes, opened)


def _forth(name: str, had: bool, target: Beneath, side: Beneath, kept: Beneath) -> None:
    new, there, old = side.find(name), target.find(name), kept.find(name)
    if new is None:
        return
    if there is not None and os.path.samestat(there, new):  # a `back` that did not get far
        side.unlink(name)
        return
    if had and old is None:
        if there is None:
            raise SourceError("%s has gone since the restore was planned" % target.shown(name))
        target.keep(name, kept, over=not stat.S_ISDIR(new.st_mode))
    elif there is not None and (old is None or not os.path.samestat(there, old)):
        raise SourceError("%s has appeared since the restore was planned" % target.shown(name))
    side.move(name, target)


def _back(name: str, had: bool, target: Beneath, side: Beneath, kept: Beneath) -> None:
    new, there, old = side.find(name), target.find(name), kept.find(name)
    if not had:
        if new is None and there is not None:
            target.move(name, side)
        return
    if old is None:
        return  # it was not moved yet, or is back already
    if there is not None and os.path.samestat(there, old):
        kept.unlink(name)  # a second name, and no more than that was done
        return
    if there is not None and new is None:
        target.keep(name, side, over=not stat.S_ISDIR(old.st_mode))
    elif there is not None and not (new and os.path.samestat(there, new)):
        raise SourceError("%s has appeared since the restore" % target.shown(name))
    kept.move(name, target)


def _write_list(tree: Tree, moves: str, target: Beneath, side: Beneath) -> None:
    """Every entry of S that is no directory of T's, on disk before anything is moved."""
    written = moves + ".part"
    with suppress(FileNotFoundError):
        os.unlink(written)
    real = os.path.realpath(tree.target)
    looked_at = ""
    mounts = [str(point) for point in mounts_within(Path(real))]
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(written, flags, 0o600), "w", encoding="ascii") as lines:
        for name, had in _walk(target, side):
            here = os.path.join(real, name)
            if had and any((point + "/").startswith(here + "/") for point in mounts):
                raise SourceError(
                    "something is mounted in %s, which would be replaced" % target.shown(name),
                    hint="unmount it, or restore other paths with --path",
                )
            folder = os.path.dirname(here)
            if folder != looked_at:
                attributes.refuse(folder, alone=True)
            looked_at = folder
            if had:
                attributes.refuse(here)
            lines.write(json.dumps([name, had]) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    os.rename(written, moves)
    os.sync()


def _walk(target: Beneath, side: Beneath) -> Iterator[tuple[str, bool]]:
    waiting = [""]
    device = os.fstat(target.top).st_dev
    while waiting:
        folder = waiting.pop()
        entries = side.entries(folder)
        if entries and target.device(folder) != device:
            raise SourceError(
                "another file system is mounted at %s" % target.shown(folder),
                hint="restore what lies there by itself: --merge --path %s" % target.shown(folder),
            )
        for entry, is_folder in entries:
            name = folder + "/" + entry if folder else entry
            there = target.find(name)
            if is_folder and there is not None and stat.S_ISDIR(there.st_mode):
                waiting.append(name)
            else:
                yield name, there is not None


def _read_list(moves: str) -> Iterator[tuple[str, bool]]:
    with os.fdopen(open_regular(Path(moves), os.O_RDONLY), encoding="ascii") as lines:
        for line in lines:
            try:
                name, had = json.loads(line)
                sound = not {"", ".", ".."} & set(name.split("/"))
            except (ValueError, TypeError, AttributeError):
                sound = False
            if not sound:
                raise SourceError("%s holds a line that is not ours" % moves)
            yield name, bool(had)


def _listed(tree: Tree) -> bool:
    return os.path.lexists(os.path.join(tree.kept, _list(tree)))


def _list(tree: Tree) -> str:
    """Named so that whoever owns T cannot give one restore what another has kept."""
    return _LIST % os.path.basename(tree.kept)


@contextmanager
def _three(tree: Tree) -> Iterator[tuple[Beneath, Beneath, Beneath, str]]:
    """T, S and what is kept below K, open; and the name of the list."""
    with (
        tree_swap.closed(tree.kept, tree.notes) as kept_in,
        tree_swap.closed(tree.side, tree.notes) as new_in,
    ):
        with suppress(FileExistsError):
            os.mkdir(_KEPT, 0o700, dir_fd=kept_in)
        place = "/proc/self/fd/%d/" % kept_in
        try:
            new = Beneath("/proc/self/fd/%d/%s" % (new_in, tree.inner))
        except OSError as exc:
            raise SourceError(
                "what was restored is not at %s: %s" % (tree.side, exc.strerror)
            ) from exc
        with new, Beneath(tree.target, anchored=True) as target, Beneath(place + _KEPT) as kept:
            yield target, new, kept, place + _list(tree)
