# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk a path lies on (partitions and volumes of one disk wear out together), and what room is there."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK_DEVICES = Path("/sys/dev/block")
_MOUNTS = Path("/proc/self/mountinfo")
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
