# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what takes room, and who listens, on this host. Looks at names and sizes alone."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp
_MOST = 2_000_000  # files that one look counts


def listening(sign: str) -> list[str]:
    """The sockets that `sign` stands for and that are there: paths, or "tcp:PORT"."""
    if not sign.startswith("tcp:"):
        return sorted(one for one in glob.glob(sign) if _is_socket(one))
    return [sign] if int(sign[4:]) in _ports() else []


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _ports() -> set[int]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTENS:
                found.add(int(words[1].rsplit(":", 1)[1], 16))
    return found


def folders(patterns: Iterable[str]) -> list[str]:
    """The directories that these patterns stand for, links not followed."""
    found = {one for pattern in patterns for one in glob.glob(pattern)}
    return sorted(one for one in found if os.path.isdir(one) and not os.path.islink(one))


def size_beside(folder: str, covered: Iterable[str]) -> int:
    """Bytes of the files below `folder` that lie in none of `covered`; on its own file system only."""
    covered = set(covered)
    device = os.lstat(folder).st_dev
    size, seen = 0, 0
    for place, below, names in os.walk(folder):
        if place in covered:
            below.clear()
            continue
        below[:] = [one for one in below if _same(os.path.join(place, one), device)]
        for found in _stats(place, names, covered):
            size += found.st_blocks * 512 if stat.S_ISREG(found.st_mode) else 0
        seen += len(names)
        if seen > _MOST:
            break
    return size


def _stats(place: str, names: Iterable[str], covered: set[str]) -> Iterator[os.stat_result]:
    for name in names:
        path = os.path.join(place, name)
        try:
            if path not in covered:
                yield os.lstat(path)
        except OSError:
            continue


def _same(path: str, device: int) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except OSError:
        return False
