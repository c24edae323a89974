# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories for a moment, of one process: what a killed one left goes when the next one is made there."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import LifeboatError

PREFIX = "lifeboat-fleeting-"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 20


@contextmanager
def fleeting(place: Path | None = None) -> Iterator[Path]:
    """A private directory in `place`, by default in memory; removed at the end, or when we are dead.

    It is locked while we live: the kernel lets go of the lock however we end. Raises OSError.
    """
    place = place or memory()
    sweep(place)
    made, held = _made(place)
    try:
        yield made
    finally:
        os.close(held)
        shutil.rmtree(made, ignore_errors=True)


def sweep(place: Path) -> None:
    """Remove those of ours in `place` that nobody holds any more; what cannot be removed stays."""
    for left in place.glob(PREFIX + "*"):
        with suppress(OSError):
            if left.lstat().st_uid != os.geteuid():
                continue
            held = os.open(left, _OPEN)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def memory() -> Path:
    """Where nothing reaches a disk, if there is such a place that we may write to, and where nobody else
    can put a directory of his in the place of ours."""
    for folder in candidates():
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and _stays(folder.stat()):
            return folder
    return Path(tempfile.gettempdir())


def _stays(folder: os.stat_result) -> bool:
    """Whether only we, or root, may rename what is ours there."""
    shared = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder.st_uid in (0, os.geteuid()) and (
        not shared or bool(folder.st_mode & stat.S_ISVTX)
    )


def candidates() -> list[Path]:
    """Places in memory. Short ones, since a socket's path may have 107 bytes."""
    own = os.environ.get("XDG_RUNTIME_DIR") if os.geteuid() else "/run"
    return [Path(one) for one in (own, "/run/lifeboat", "/dev/shm") if one]


def _made(place: Path) -> tuple[Path, int]:
    """(a new directory, what holds it)."""
    for _attempt in range(_ATTEMPTS):
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        with suppress(FileNotFoundError):
            held = os.open(made, _OPEN)
            with suppress(OSError):  # a file system without locks: then nobody sweeps there either
                fcntl.flock(held, fcntl.LOCK_SH)
            if made.exists():  # else one who swept was between our two steps
                return made, held
            os.close(held)
    raise LifeboatError(
        f"no directory can be made in {place}", hint="see who empties it all the time"
    )
