# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a path and what may be done with it: read, record, give back; and what is a mount point."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_SUBUID = Path("/etc/subuid")
_NOT_FOR_US = (errno.EPERM, errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EACCES)


def facts(path: Path) -> dict[str, Any]:
    """{"owner": "shop", "group": "www", "uid": 990, "gid": 33, "mode": "0640"}; an unknown name is ""."""
    found = os.lstat(path)
    return {
        "owner": user_name(found.st_uid),
        "group": group_name(found.st_gid),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mode": "%04o" % (found.st_mode & 0o7777),
    }


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def known(name: str) -> pwd.struct_passwd:
    """The account of a user of this system; raises KeyError."""
    return pwd.getpwnam(name)


def belongs(uid: int, account: pwd.struct_passwd) -> bool:
    """Whether files of `uid` are this user's: also of the subordinate users of their containers."""
    if uid == 0:
        return False
    return uid == account.pw_uid or any(
        first <= uid < first + count for first, count in _subordinate(account)
    )


def _subordinate(account: pwd.struct_passwd) -> Iterator[tuple[int, int]]:
    """(first, how many) of each range; see subuid(5)."""
    try:
        lines = _SUBUID.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, first, count = (line.split(":") + ["", ""])[:3]
        if name in (account.pw_name, str(account.pw_uid)) and (first + count).isdecimal():
            yield int(first or 0), int(count or 0)


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def give(descriptor: int, recorded: Mapping[str, Any]) -> None:
    """Set owner and mode as `facts` recorded them. Names win over numbers: another host has others.

    Who is not root cannot give files away: then they stay ours. An open file, never a name: in a
    directory of another user a name may lead anywhere a moment later.
    """
    uid, gid = int(recorded.get("uid", -1)), int(recorded.get("gid", -1))
    try:
        uid = pwd.getpwnam(recorded.get("owner", "")).pw_uid
    except KeyError:
        pass
    try:
        gid = grp.getgrnam(recorded.get("group", "")).gr_gid
    except KeyError:
        pass
    if os.geteuid() == 0:
        os.fchown(descriptor, uid, gid)
    os.fchmod(descriptor, int(str(recorded.get("mode", "0600")), 8))


def give_as(descriptor: int, model: Path) -> None:
    """Set owner, mode, ACLs and the security label as the file `model` has them.

    Raises OSError (ELOOP) when `model` is a link.
    """
    other = os.open(model, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(other)
        if os.geteuid() == 0:
            os.fchown(descriptor, found.st_uid, found.st_gid)
        for name in os.listxattr(other):
            try:
                os.setxattr(descriptor, name, os.getxattr(other, name))
            except OSError as exc:
                if exc.errno not in _NOT_FOR_US:
                    raise
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    finally:
        os.close(other)


def mounts_within(path: Path, table: Path = Path("/proc/self/mountinfo")) -> list[Path]:
    """What is mounted at or below `path`; knows bind mounts of files, which os.path cannot see."""
    top = os.path.join(os.path.realpath(path.parent), path.name)  # a link itself, not what it names
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return [Path(top)] if os.path.ismount(top) else []
    points = [os.fsdecode(_unescape(line.split(b" ")[4])) for line in lines]
    below = top.rstrip("/") + "/"
    return sorted(Path(point) for point in points if point == top or point.startswith(below))


def _unescape(field: bytes) -> bytes:
    """mountinfo writes blanks and the like as \\040, see proc(5)."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), field)
