# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk and change a directory tree without ever leaving it, whatever was planted in it.

Every path is walked from the root with O_NOFOLLOW and used through directory descriptors, so a
symbolic link below the root leads nowhere, also when it is put there while we work.
"""

from __future__ import annotations

import errno
import grp
import io
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable

from ..disks import unmounted
from ..errors import DestinationError

_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_MODES = (
    errno.EPERM,
    errno.EOPNOTSUPP,
)  # vfat and the like; the file is ours, so it is not that
_NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP)  # directories of some network file systems

_OWNER_HINT = "give the directory to the user that the job runs as"
_LINK_HINT = "below the destination's path only real directories may lie"
_PERMANENT = {
    errno.ENOSPC: ("no space left", "make room there, or let retention keep less"),
    errno.EDQUOT: ("the disk quota is used up", "make room there, or have the quota raised"),
    errno.EROFS: ("the file system is read-only", "look for disk errors, then mount it read-write"),
    errno.EACCES: ("permission denied", _OWNER_HINT),
    errno.EPERM: ("not permitted", _OWNER_HINT),
    errno.ELOOP: ("a symbolic link is in the way", _LINK_HINT),
    errno.ENOTDIR: ("a symbolic link or a file is in a directory's place", _LINK_HINT),
    errno.EISDIR: ("a directory is in the object's place", "move it away"),
    errno.EEXIST: ("it is there already", "an object is never replaced; look at what wrote it"),
}


class Tree:
    """The directory of one destination; errors name both."""

    def __init__(
        self, name: str, path: str, owner: str | None, group: str | None, require_mount: bool
    ) -> None:
        self._name = name
        self._root = Path(path)
        self._owner = owner
        self._group = group
        self._require_mount = require_mount

    def split(self, key: str) -> tuple[tuple[str, ...], str]:
        """(directories, file name) of a key; raises DestinationError for one that could mislead."""
        parts = tuple(key.split("/"))
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            raise self.error("use", repr(key), "this is not a key", permanent=True)
        return parts[:-1], parts[-1]

    @contextmanager
    def directory(self, parts: tuple[str, ...], create: bool = False) -> Iterator[int]:
        """A descriptor of the directory; with `create`, what is missing is made. Raises OSError."""
        if create:
            self._numbers()  # an unknown owner must not leave directories that nobody owns rightly
        here = self._open_root()
        try:
            for part in parts:
                if create:
                    self._make(here, part)
                below = os.open(part, _WALK, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def walk(
        self, parts: tuple[str, ...], begins: str = ""
    ) -> Iterator[tuple[str, os.stat_result]]:
        """(key, stat) of every regular file below, in the order of the keys.

        `begins`: only of names here that begin so. Of a directory no more is held than its names.
        """
        if any(part in ("", ".", "..") for part in parts):
            raise self.error("list", repr("/".join(parts)), "this is not a prefix", permanent=True)
        try:
            with self.directory(parts) as folder:
                for name in _names(folder, begins):
                    if name.endswith("/"):
                        yield from self.walk((*parts, name[:-1]))
                        continue
                    status = _status(folder, name)
                    if status is not None and stat.S_ISREG(status.st_mode):
                        yield "/".join((*parts, name)), status
        except FileNotFoundError:
            return

    def seal(self, folder: int, name: str) -> None:
        """Give a written file its mode and owner, and make its bytes durable."""
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            self._own(descriptor, _FILE_MODE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove_empty(self, parts: tuple[str, ...]) -> None:
        """Remove the directory if nothing is left in it."""
        if parts:
            with self.directory(parts[:-1]) as folder:
                try:
                    os.rmdir(parts[-1], dir_fd=folder)
                except OSError as exc:
                    if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                        raise

    def error(
        self, verb: str, what: str, why: str, *, hint: str = "", permanent: bool = False
    ) -> DestinationError:
        what = what or str(self._root)
        return DestinationError(
            "destination %s: cannot %s %s: %s" % (self._name, verb, what, why),
            hint=hint,
            permanent=permanent,
        )

    @contextmanager
    def faults(self, verb: str, what: str = "") -> Iterator[None]:
        """Turn what the system says into a DestinationError that names destination and path."""
        try:
            yield
        except OSError as exc:
            known = _PERMANENT.get(exc.errno or 0)
            why, hint = known or (exc.strerror or str(exc), "")
            where = " (in %s)" % self._root if what else ""
            raise self.error(
                verb, what, why + where, hint=hint, permanent=known is not None
            ) from exc

    def _open_root(self) -> int:
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # never made here: its disk may only not be mounted
            hint = "mount its disk; a new destination is made by site.yml, or by hand"
            raise self.error(
                "use", "", "it does not exist; is its disk mounted?", hint=hint, permanent=True
            ) from None
        gone = unmounted(str(self._root))
        if gone:
            os.close(descriptor)
            hint = "mount its disk; where none belongs there any more, take it out of /etc/fstab"
            told = f"the disk that /etc/fstab has for {gone} is not mounted"
            raise self.error("use", "", told, hint=hint, permanent=True)
        if self._require_mount:
            above = os.stat("..", dir_fd=descriptor)
            if os.fstat(descriptor).st_dev == above.st_dev:
                os.close(descriptor)
                hint = "mount its disk; with require_mount, path is the mount point itself"
                raise self.error("use", "", "nothing is mounted there", hint=hint, permanent=True)
        return descriptor

    def _make(self, folder: int, name: str) -> None:
        try:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=folder)
        except FileExistsError:
            return
        descriptor = os.open(name, _WALK, dir_fd=folder)
        try:
            self._own(descriptor, _DIRECTORY_MODE)
        finally:
            os.close(descriptor)
        sync(folder)

    def _own(self, descriptor: int, mode: int) -> None:
        try:
            os.fchmod(descriptor, mode)  # the umask had its say at creation
        except OSError as exc:
            if exc.errno not in _NO_MODES:
                raise
        uid, gid = self._numbers()
        if (uid, gid) != (-1, -1):
            os.fchown(descriptor, uid, gid)

    def _numbers(self) -> tuple[int, int]:
        """(uid, gid); -1 = as it is. What root writes belongs to whom the directory belongs to."""
        owner, group = self._owner, self._group
        if os.geteuid() == 0 and self._root.is_dir():
            root = os.stat(self._root)
            owner = str(root.st_uid) if owner is None else owner
            group = str(root.st_gid) if group is None else group
        try:
            uid = -1 if owner is None else _number(owner, lambda name: pwd.getpwnam(name).pw_uid)
            gid = -1 if group is None else _number(group, lambda name: grp.getgrnam(name).gr_gid)
        except KeyError as exc:
            hint = "create it on this host, or change the option"
            raise self.error("use", "", exc.args[0], hint=hint, permanent=True) from None
        return uid, gid


def create(folder: int, name: str) -> BinaryIO:
    """A new private file, to be written; raises FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb")


def fill(folder: int, name: str, content: bytes) -> None:
    """A new private file with this content; raises FileExistsError."""
    with create(folder, name) as out:
        out.write(content)


def open_file(folder: int, name: str) -> io.FileIO:
    """A regular file, to be read, unbuffered."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not hold us
    stored = io.FileIO(os.open(name, flags, dir_fd=folder))
    if not stat.S_ISREG(os.fstat(stored.fileno()).st_mode):
        stored.close()
        raise OSError(errno.EISDIR, "not a regular file", name)
    return stored


def exists(folder: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def publish(folder: int, part: str, name: str) -> None:
    """Give a finished part its name; raises FileExistsError, and never replaces anything."""
    try:
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
        if exists(folder, name):
            raise FileExistsError(errno.EEXIST, "it is there already", name) from None
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)


def sync(folder: int) -> None:
    """Make the names in a directory durable."""
    try:
        os.fsync(folder)
    except OSError as exc:
        if exc.errno not in _NO_SYNC:
            raise


def _names(folder: int, begins: str) -> list[str]:
    """What lies in a directory and begins so, in the order of its keys; directories end with a slash."""
    with os.scandir(folder) as found:
        names = (one.name + "/" if one.is_dir(follow_symlinks=False) else one.name for one in found)
        return sorted(name for name in names if name.startswith(begins))


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:  # removed meanwhile
        return None


def _number(name: str, lookup: Callable[[str], int]) -> int:
    try:
        return int(name) if name.isdigit() else lookup(name)
    except KeyError:
        raise KeyError("there is no user or group %r on this host" % name) from None
