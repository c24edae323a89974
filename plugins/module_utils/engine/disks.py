# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk a path lies on (partitions and volumes of one disk wear out together), and what room is there."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

_BLOCK_DEVICES = Path("/sys/dev/block")
_MOUNTS = Path("/proc/self/mountinfo")
_FSTAB = Path("/etc/fstab")
# made by the kernel or by a program as it goes, images of packages, and layers of what is counted below
_NO_DATA = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fuse\.(gvfs|lxcfs|portal).*"
    r"|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs"
    r"|squashfs|sysfs|tmpfs|tracefs"
)
_PACKING = ("bcachefs", "btrfs", "zfs")  # may hold more than they have room for


def disk_of(path: str) -> str:
    """ "disk sda", "disk sda+sdb" (a volume over two), or "device 0:42" where the system tells no more.

    Of a path that is not there yet: of the directory that it would lie in.
    """
    device = os.stat(nearest_there(path)).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    entry = _BLOCK_DEVICES / number
    if not entry.exists():
        return f"device {number}"
    return "disk " + "+".join(sorted(_disks(entry.resolve())))


def unmounted(path: str) -> str:
    """The directory, `path` or one above it, where fstab(5) wants a disk and nothing is mounted; "" = none.

    What lies there is not what is meant: the directory below a mount point looks like an empty disk.
    """
    try:
        found = os.stat(_FSTAB)
        points = _mount_points(str(_FSTAB), found.st_mtime_ns, found.st_ino)
    except OSError:  # a container, or a system that is mounted some other way
        return ""
    real = os.path.realpath(path)
    for point in points:
        if os.path.commonpath((real, point)) == point and not _mounted(point):
            return point
    return ""


@lru_cache(maxsize=4)
def _mount_points(table: str, _mtime_ns: int, _inode: int) -> tuple[str, ...]:
    """Those of a file that has not changed since; the deepest first."""
    rows = (line.split() for line in Path(table).read_bytes().splitlines())
    named = (_unescaped(row[1]) for row in rows if len(row) > 2 and not row[0].startswith(b"#"))
    points = {os.path.realpath(point) for point in named if os.path.isabs(point)}
    return tuple(sorted(points - {"/"}, key=len, reverse=True))


def mounted_below(path: str) -> list[str]:
    """Where file systems with data of their own are mounted below `path`. None of them is asked."""
    device = os.stat(path).st_dev
    own, real = f"{os.major(device)}:{os.minor(device)}", os.path.realpath(path)
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    found = set()
    for line in lines:
        before, _dash, after = line.partition(b" - ")
        point, kind = _unescaped(before.split()[4]), after.split()[0].decode()
        below = point != real and os.path.commonpath((real, point)) == real
        if below and before.split()[2].decode() != own and not _NO_DATA.fullmatch(kind):
            found.add(point)
    return sorted(found)


def _mounted(point: str) -> bool:
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return os.path.ismount(point)
    return any(_unescaped(line.split()[4]) == point for line in lines)


def _unescaped(field: bytes) -> str:
    """Both tables write blanks and the like as \\040."""
    return os.fsdecode(
        re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), field)
    )


def nearest_there(path: str) -> Path:
    """The path, or the nearest directory above it that is there."""
    there = Path(path)
    while not there.exists() and there != there.parent:
        there = there.parent
    return there


def room(path: Path) -> int | None:
    """Bytes that we may still write on the file system of `path`; None = it packs, and nobody knows."""
    if _type_of(os.path.realpath(path)) in _PACKING:
        return None
    found = os.statvfs(path)
    return (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize


def _type_of(path: str) -> str:
    """ "ext4"; "" where the kernel does not tell."""
    best, kind = -1, ""
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for words in (line.split() for line in lines):
        point = words[4].rstrip("/") + "/"
        if len(point) >= best and (path.rstrip("/") + "/").startswith(point):
            best, kind = len(point), words[words.index("-") + 1]
    return kind


def _disks(entry: Path) -> set[str]:
    below = list((entry / "slaves").iterdir()) if (entry / "slaves").is_dir() else []
    if below:
        return {disk for one in below for disk in _disks(one.resolve())}
    return {entry.parent.name if (entry / "partition").exists() else entry.name}
