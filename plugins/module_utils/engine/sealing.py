# SPDX-License-Identifier: GPL-3.0-or-later
"""Take files from whoever wrote them: root's, read-only, in directories that only root can change.

All of it goes through directory descriptors and follows no link, for the tree belongs to somebody
who may change it meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Sticky: in it the client makes files, and removes or renames its own ones only.
_DIRECTORY_MODE = 0o1770
# Root's already, but somebody may still hold it open for writing: not sealed yet.
_TAKEN_MODE = 0o640
_SEALED_MODE = 0o440
_NO_LEASES = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOLCK)

SEALED, BUSY, ALREADY = "sealed", "busy", "already"


@contextmanager
def directory(name: str, within: int | None = None, flags: int = _WALK) -> Iterator[int | None]:
    """A descriptor of the directory; None if there is none of that name. Raises OSError."""
    try:
        opened = os.open(name, flags, dir_fd=within)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        yield None
        return
    try:
        yield opened
    finally:
        os.close(opened)


def take_directory(folder: int, group: int) -> None:
    """Make an open directory root's, sticky, and writable for the client's group."""
    found = os.fstat(folder)
    wanted = (0, group, _DIRECTORY_MODE)
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != wanted:
        os.fchmod(folder, 0o700)  # nobody comes between: first closed, then root's, then open
        os.fchown(folder, 0, group)
        os.fchmod(folder, _DIRECTORY_MODE)


def seal_file(folder: int, name: str, group: int) -> str:
    """Make a regular file root's and read-only; SEALED, ALREADY, or BUSY where somebody has it open for
    writing: what is open stays writable, whoever the file belongs to. "" if it is not a regular file."""
    found = os.lstat(name, dir_fd=folder)
    if not stat.S_ISREG(found.st_mode):
        return ""
    if is_sealed(found, group):
        return ALREADY
    opened = os.open(name, _READ, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return ""
        os.fchown(opened, 0, group)
        os.fchmod(opened, _TAKEN_MODE)
        if _open_for_writing(opened):
            return BUSY
        os.fchmod(opened, _SEALED_MODE)
    finally:
        os.close(opened)
    return SEALED


def names(folder: int) -> list[tuple[str, os.stat_result]]:
    """(name, status) of everything in an open directory, by name."""
    found = []
    for name in sorted(os.listdir(folder)):
        with suppress(FileNotFoundError):  # removed meanwhile
            found.append((name, os.lstat(name, dir_fd=folder)))
    return found


def is_sealed(found: os.stat_result, group: int) -> bool:
    """Whether `seal_file` has been here, to its end."""
    mode = stat.S_IMODE(found.st_mode)
    return (found.st_uid, found.st_gid, mode) == (0, group, _SEALED_MODE)


def _open_for_writing(opened: int) -> bool:
    """The kernel gives a read lease only on a file that nobody has open for writing."""
    try:
        fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as exc:
        if exc.errno in _NO_LEASES:  # a file system without leases: owner and mode must do
            return False
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return True
        raise
    fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
