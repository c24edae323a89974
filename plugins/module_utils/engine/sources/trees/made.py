# SPDX-License-Identifier: GPL-3.0-or-later
"""Know the directories that a restore has made from any other: by what was noted of each when it was made.

They lie in a folder that may be another user's, who may rename them, and give their names to
directories of root's. A name, an owner or a mode would prove nothing. So the inode of each, and when
it came to be, is written down where only whoever restores may write, before anything is put into it:
what is not noted is empty if it is ours, and of that no more goes than its folder's owner could
remove himself. The number alone would not do: that of a directory that went is given out again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ... import sealing
from ...errors import SourceError
from ...files import append_line, make_private, read_small, remove, sync_directory

NOTES = "made"  # in Target.keep_in; a line is + or -, and what `identity` returns
_BTIME, _BTIME_AT = 0x800, 80  # of struct statx, see statx(2)
_EMPTY_PATH = 0x1000
_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def identity(opened: int) -> str:
    """Of an open directory: its inode and, where the file system tells, when it was made. Without the
    device, which may have another number after a boot."""
    return "%d:%d" % (os.fstat(opened).st_ino, _born_ns(opened))


def note(notes: str, opened: int) -> None:
    """That this open directory is ours; on disk when this returns. `notes`: a file's name; "" = nowhere."""
    if notes:
        folder = make_private(make_private(Path(notes).parent.parent) / Path(notes).parent.name)
        append_line(Path(notes), "+" + identity(opened), 0o600)
        sync_directory(folder)


def known(notes: str) -> frozenset[str]:
    """The identities that were noted, without those that went."""
    found: set[str] = set()
    if notes and os.path.lexists(notes):
        for line in read_small(Path(notes)).decode("ascii", "replace").split():
            (found.add if line[0] == "+" else found.discard)(line[1:])
    return frozenset(found)


def forget(notes: str) -> None:
    """Nothing that was noted is there any more."""
    if notes:
        remove(Path(notes).parent)
        with suppress(OSError):  # another restore has its own in there
            os.rmdir(Path(notes).parent.parent)


def is_one(name: str, opened: int, ours: Collection[str]) -> bool:
    """Whether the open directory, found at `name`, is one of these; its folder tells the device."""
    here = os.fstat(opened).st_dev == os.stat(os.path.dirname(name)).st_dev
    return here and identity(opened) in ours


def unknown(name: str, notes: str) -> SourceError:
    """That a directory is not known to be ours; `notes` "": of a restore from before there were any."""
    if notes:
        return SourceError(
            "something else lies at %s, so it is not touched" % name, hint="move it away"
        )
    return SourceError(
        "%s is of a restore that an older lifeboat made, which noted nothing of what it made: so nothing"
        " tells that it is still the same directory, and it is not touched" % name,
        hint="look at it as root: it is what that restore has kept, or brought; take what you need of it,"
        " move it away or remove it, and type `lifeboat confirm` for the job",
    )


def take_away(name: str, notes: str, also: Collection[str] = ()) -> None:
    """Remove a directory that was noted, or one of `also`, with all it holds; of any other what is empty.

    Gone already is fine. Of a file or a link the name goes, as its folder's owner could do himself.
    Raises SourceError for a directory that is not ours.
    """
    with directory(name) as opened:
        if opened is None:
            with suppress(FileNotFoundError):
                os.unlink(name)
            return
        noted = known(notes)
        if is_one(name, opened, {*noted, *also}):
            here = Path("/proc/self/fd", str(opened))  # by the directory, not by its name
            for entry in os.listdir(here):
                remove(here / entry)
            if identity(opened) in noted:
                append_line(Path(notes), "-" + identity(opened), 0o600)
    take_away_empty(name, notes)


def take_away_empty(name: str, notes: str) -> None:
    """Remove an empty directory; gone already is fine. Raises SourceError for anything else."""
    try:
        os.rmdir(name)
    except FileNotFoundError:
        pass
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
            raise
        raise unknown(name, notes) from exc


def directory(name: str, folder: int | None = None) -> AbstractContextManager[int | None]:
    """What lies there, open, if it is a directory; None if not, or if there is nothing."""
    return sealing.directory(name, folder, _OPEN)


def _born_ns(opened: int) -> int:
    """0 = the file system, or the C library, does not tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = ctypes.create_string_buffer(256)
    if not hasattr(libc, "statx") or libc.statx(opened, b"", _EMPTY_PATH, _BTIME, found) != 0:
        return 0
    if not struct.unpack_from("=I", found)[0] & _BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME_AT)
    return int(seconds) * 10**9 + int(nanoseconds)
