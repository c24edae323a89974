# SPDX-License-Identifier: GPL-3.0-or-later
"""Change files so that a crash leaves the old or the new one: private, synced, renamed, locked."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import LifeboatError, LockedError
from .fleeting import fleeting
from .model import Workspace

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write(
    path: Path,
    content: bytes,
    mode: int = 0o600,
    owner_of: Path | None = None,
    lasting: bool = True,
) -> None:
    """Replace `path` with `content`: a reader sees the old file or the new one, also after a power cut.

    Without `lasting`, for what is of no use after one, nothing waits for the disk.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(out.fileno(), mode)
            if owner_of is not None and os.geteuid() == 0:
                owner = os.stat(owner_of)
                os.fchown(out.fileno(), owner.st_uid, owner.st_gid)
            out.write(content)
            out.flush()
            if lasting:
                os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        remove(Path(temporary))
        raise
    if lasting:
        sync_directory(path.parent)


def append_line(path: Path, line: str, mode: int = 0o640) -> None:
    """Add one line to a log, in one write, so that two writers never mix theirs; synced.

    A line that a power cut left half written is ended first: it must not swallow this one.
    """
    new = not os.path.lexists(path)
    descriptor = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        if new and os.geteuid() == 0:
            owner = os.stat(path.parent)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        size = os.fstat(descriptor).st_size
        cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if cut else b"") + line.encode("utf-8") + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_small(path: Path, most: int = 1 << 20, for_: os.stat_result | None = None) -> bytes:
    """The content of a file that somebody else may have put there.

    for_: of something else, whose owner leads us to the file: one that he may not read is not read for him.

    Raises OSError, and LifeboatError for what is no regular file or holds over `most` bytes.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as there:
        if for_ is not None and not _open_to(os.fstat(there.fileno()), for_):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        content = there.read(most + 1)
    if len(content) > most:
        raise LifeboatError(
            f"{path} holds more than {most} bytes", hint="look who wrote it, and remove it"
        )
    return content


def _open_to(found: os.stat_result, reader: os.stat_result) -> bool:
    """Whether the owner or the group of `reader` may read a file; both only if its mode says so to all."""
    group = found.st_gid == reader.st_gid and found.st_mode & stat.S_IRGRP
    return bool(found.st_uid == reader.st_uid or group or found.st_mode & stat.S_IROTH)


def sync_directory(path: Path) -> None:
    """Make renames in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """What was written on the file system of `path` is on disk; once, instead of for a million files.

    syncfs(2) tells what could not be written (from Linux 5.8), which sync(2) does not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(opened) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(opened)


def exchange(one: Path, other: Path) -> None:
    """Swap two names of one file system in a single step; raises OSError where the kernel cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, "this C library has no renameat2", str(one))
    done = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one))


def remove(path: Path) -> None:
    """Remove a file or a tree; gone already is fine."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass


def make_private(path: Path, mode: int = 0o700) -> Path:
    """Make a directory, and its parents, of this mode, whatever the umask; an existing one is kept as it is.

    Raises LifeboatError for a symbolic link: whoever put it there would choose where we write.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        what = "a symbolic link" if path.is_symlink() else "not a directory"
        raise LifeboatError(
            f"{path} is {what}", hint="look who put it there, and put a real directory in its place"
        )
    for one in reversed([path, *path.parents]):
        if not one.exists():
            one.mkdir(exist_ok=True)
            one.chmod(mode)
            adopt(one)
    return path


def within(folder: Path, mode: int) -> int:
    """`mode`, for a file in `folder`, without what the folder itself grants nobody: what lies in a user's own
    directory is not for others to read or write, should it ever be moved out of it."""
    return mode & os.stat(folder).st_mode


def adopt(path: Path) -> None:
    """What root makes belongs to whom the directory around it belongs to: the backup user's stays his."""
    if os.geteuid() == 0:
        owner = os.stat(path.parent)
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def free_bytes(path: Path) -> int:
    """Space on the file system of `path` that an ordinary user may fill."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


@contextmanager
def workspace(bulk: Path, secret: Path) -> Iterator[Workspace]:
    """Two private temporary directories, removed at the end however it ends."""
    one = Path(tempfile.mkdtemp(prefix="work-", dir=make_private(bulk)))
    try:
        with fleeting(secret) as other:
            yield Workspace(one, other, bulk)
    finally:
        shutil.rmtree(one, ignore_errors=True)


@contextmanager
def lock(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold `path` locked. The kernel lets go when the process dies, so no lock is ever stale.

    Raises LockedError that says who holds it; with `wait`, waits instead.
    """
    make_private(path.parent, 0o750)
    with _open_lock(path) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(held.fileno(), 200, 0).decode("utf-8", "replace").strip()
            raise LockedError(
                "another operation holds {}: {}".format(path.stem, holder or "unknown"),
                hint="wait until it has ended; nothing was started here",
            ) from None
        os.ftruncate(held.fileno(), 0)
        os.pwrite(held.fileno(), ("%s, process %d\n" % (what, os.getpid())).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(held.fileno(), 0)


def holder(path: Path) -> str:
    """Who holds `path` locked, without trying to take it: "restore, process 123"; "" if nobody does."""
    try:
        said = read_small(path).decode("utf-8", "replace").strip()
    except (OSError, LifeboatError):
        return ""
    process = said.rpartition(" ")[2]  # one that was killed leaves its words there
    return said if process.isdigit() and os.path.exists(f"/proc/{process}") else ""


def _open_lock(path: Path) -> BinaryIO:
    try:
        mode = within(path.parent, 0o660)
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, mode)
    except OSError as exc:
        raise LifeboatError(
            f"the lock {path} cannot be opened: {exc.strerror}",
            hint="run this as root, or as the user the job runs as",
        ) from exc
    if os.geteuid() == 0:  # root's lock must not shut out the user that the job runs as
        owner = os.stat(path.parent)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fchmod(descriptor, mode)  # who may be another one, of this group; the umask had its say
    return os.fdopen(descriptor, "r+b", 0)


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of `path`; a link would lead elsewhere, and a pipe would hold us for ever.

    With O_CREAT, what other names lead to is not taken for ours either.

    Raises OSError, and LifeboatError for what is no regular file.
    """
    try:
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _not_regular(path) from exc
        raise
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        os.close(opened)
        raise _not_regular(path)
    if flags & os.O_CREAT and found.st_nlink > 1:
        os.close(opened)  # root would write to, or give away, what the other name belongs to
        raise LifeboatError(
            f"{path} has a second name elsewhere", hint="look who made it, and remove it"
        )
    return opened


def _not_regular(path: Path) -> LifeboatError:
    return LifeboatError(
        f"{path} is not a regular file", hint="look who put it there, and remove it"
    )
