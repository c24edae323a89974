# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk a path lies on: partitions and volumes of one disk wear out together."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK_DEVICES = Path("/sys/dev/block")


def disk_of(path: str) -> str:
    """ "disk sda", "disk sda+sdb" (a volume over two), or "device 0:42" where the system tells no more.

    Of a path that is not there yet: of the directory that it would lie in.
    """
    there = Path(path)
    while not there.exists() and there != there.parent:
        there = there.parent
    device = os.stat(there).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    entry = _BLOCK_DEVICES / number
    if not entry.exists():
        return f"device {number}"
    return "disk " + "+".join(sorted(_disks(entry.resolve())))


def _disks(entry: Path) -> set[str]:
    below = list((entry / "slaves").iterdir()) if (entry / "slaves").is_dir() else []
    if below:
        return {disk for one in below for disk in _disks(one.resolve())}
    return {entry.parent.name if (entry / "partition").exists() else entry.name}
