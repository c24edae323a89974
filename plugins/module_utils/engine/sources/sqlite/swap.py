# SPDX-License-Identifier: GPL-3.0-or-later
"""Put one SQLite file in another's place, and back, so that a crash leaves the old or the new one.

T is the target, S the side (new), K what is kept (old; an empty file where there was nothing). A
stale T-wal next to a new T would be replayed into it, so -wal and -journal travel with their own:

    swap  1. refuse if T is in use; close it cleanly: a healthy T then has no -wal at all
          2. T-wal -> K-wal, T-journal -> K-journal      (only a broken T still has them)
          3. link T as K                                  T stays in place
          4. rename S over T                              the swap: one atomic step
          (where T was lost, its -wal may be left: 2. all the same)
    back  1. as above, for the new T
          2. link T as S    3. T-wal -> S-wal    4. rename K over T    5. K-wal -> T-wal

The state is read off the disk, never remembered: T is new when S is gone (or is the same file) and
K is there and another file. After a crash before step 4 T is old (possibly without its -wal, which
lies at K-wal until `back` or the next `swap`); after it, new. Where the file system has no hard
links, step 3 is a rename; T is then missing for a moment, and either direction can be completed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import ownership
from ...errors import LifeboatError, SourceError
from ...files import open_regular, sync_directory
from ...model import Swap
from ..trees.names import mark_nothing
from .file import COMPANIONS, connect, looks_like_one
from .owner import as_owner


def place(copy: Path, side: Path, model: Path | None, recorded: Mapping[str, Any]) -> None:
    """Write `copy` as the new file `side`, owned as `model`, or as `recorded`; synced.

    All through one open file that nobody had before us: `side` may lie in a directory of another
    user, who could put a link in its place at any moment.
    """
    try:
        descriptor = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise SourceError(
            "another process has put something at %s in the middle of the restore" % side,
            hint="see what runs as the owner of that directory; nothing was replaced",
        ) from None
    with os.fdopen(descriptor, "wb") as out, open(copy, "rb") as content:
        shutil.copyfileobj(content, out, 1 << 20)
        out.flush()
        if model is not None and os.path.lexists(model):
            refuse_link(model)
            ownership.give_as(descriptor, model)
        else:
            ownership.give(descriptor, recorded)
        os.fsync(descriptor)
    sync_directory(side.parent)


def copy_of(side: Path, copy: Path) -> Path:
    """A private copy of what lies at `side`, without following a link; raises SourceError."""
    try:
        opened = open_regular(side, os.O_RDONLY)
    except (OSError, LifeboatError) as exc:
        raise SourceError("what was restored is not at %s any more" % side) from exc
    with os.fdopen(opened, "rb") as content, open(copy, "xb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
    return copy


def refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise SourceError(
            "%s is a symbolic link, and links are not followed" % path,
            hint="name the real file: %s" % os.path.realpath(path),
        )


def swap(names: Swap) -> None:
    target, side, kept = _paths(names)
    refuse_link(target)
    refuse_link(side)
    if swapped(names):  # what a `back` that did not get far has left
        _move_companions(side, target)
        take_away(side)
        return
    if not os.path.lexists(side):
        raise SourceError("nothing lies at %s to be put in place" % side)
    if names.existed and os.path.lexists(target):
        close_cleanly(target)
        _move_companions(target, kept)
        _second_name(target, kept)
    elif names.existed and not os.path.lexists(kept):
        raise SourceError("%s has gone since the restore was planned" % target)
    elif not names.existed and os.path.lexists(target):
        raise SourceError("%s has appeared since the restore was planned" % target)
    elif not names.existed:
        mark_nothing(kept)
        _move_companions(target, kept)  # of a lost file: they must not be replayed into the new one
    os.rename(side, target)
    sync_directory(target.parent)


def swapped(names: Swap) -> bool:
    target, side, kept = _paths(names)
    if not os.path.lexists(target) or (os.path.lexists(side) and not _same(side, target)):
        return False
    return os.path.lexists(kept) and not _same(kept, target)


def require_kept(names: Swap) -> None:
    """Raise if what was there before cannot be put back, or what is there could not be taken away."""
    target, _side, kept = _paths(names)
    if not os.path.lexists(kept) and (names.existed or os.path.lexists(target)):
        raise SourceError(
            "what was at %s before the restore is not kept at %s any more, so nothing was undone"
            % (target, kept),
            hint="restore a backup from before; `lifeboat confirm` lets go of this restore",
        )


def back(names: Swap) -> None:
    target, side, kept = _paths(names)
    if swapped(names):
        close_cleanly(target)
        if names.existed:
            _second_name(target, side)
        _move_companions(target, side)
        if not names.existed:
            os.rename(target, side)
    if not names.existed or _same(kept, target):
        take_away(kept)
    elif os.path.lexists(kept):
        os.rename(kept, target)
    _return_companions(names)
    sync_directory(target.parent)


def discard(names: Swap) -> None:
    target, side, kept = _paths(names)
    if names.existed and not os.path.lexists(target):
        raise SourceError(
            "%s is missing, so nothing was removed" % target,
            hint="what it held lies at %s" % kept,
        )
    if not swapped(names):
        _return_companions(names)  # the target's own, from a `swap` that did not get far
    for path in (side, kept):
        for suffix in COMPANIONS:
            take_away(Path(str(path) + suffix))
        take_away(path)
    sync_directory(target.parent)


def close_cleanly(path: Path) -> None:
    """Refuse a database that somebody has open; leave a healthy one without -wal and -journal."""
    user = _user_of(path)
    if user:
        raise SourceError(
            "%s is in use by %s" % (path, user),
            hint="stop the application, then ask again; nothing was changed",
        )
    if not looks_like_one(path):
        return  # broken, which may be why it is being replaced: it is kept as it is
    try:
        as_owner(path, _checkpoint)
    except sqlite3.Error as exc:
        if "locked" in str(exc):
            raise SourceError(
                "%s is in use: %s" % (path, exc),
                hint="stop the application, then ask again; nothing was changed",
            ) from exc
        # Otherwise it is broken as well.


def _checkpoint(path: Path) -> None:
    with connect(path, timeout_s=2.0) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _user_of(path: Path) -> str:
    """A process that has `path` open, as far as we may see; "" = none.

    An idle connection holds no lock outside WAL mode, and would go on writing to the kept file.
    """
    found = os.stat(path)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in os.scandir(process / "fd"):
                held = os.stat(descriptor.path)
                if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                    name = (process / "comm").read_text().strip()
                    return "process %s (%s)" % (process.name, name)
        except OSError:
            continue  # it has ended, or is not ours to look into
    return ""


def _paths(names: Swap) -> tuple[Path, Path, Path]:
    return Path(names.target), Path(names.side), Path(names.kept)


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def _second_name(path: Path, other: Path) -> None:
    if _same(path, other):
        return
    try:
        os.link(path, other)
    except FileExistsError:
        raise SourceError("something else lies at %s" % other, hint="move it away") from None
    except OSError:  # no hard links here
        os.rename(path, other)


def _move_companions(path: Path, other: Path) -> None:
    for suffix in ("-wal", "-journal"):
        if os.path.lexists(str(path) + suffix):
            os.rename(str(path) + suffix, str(other) + suffix)
    if os.path.lexists(str(path) + "-shm"):  # not so where that name would be too long
        take_away(Path(str(path) + "-shm"))  # an index of the -wal, which SQLite makes anew


def _return_companions(names: Swap) -> None:
    target, _side, kept = _paths(names)
    if names.existed or not os.path.lexists(target):  # or somebody has made a new one
        _move_companions(kept, target)


def take_away(path: Path) -> None:
    """Remove a file; gone already is fine. Its folder may be another user's, who could have given its name
    to a directory of root's: so never a tree.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise SourceError(
            "something else lies at %s, so it is not removed" % path, hint="move it away"
        ) from None
