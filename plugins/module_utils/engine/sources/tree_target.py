# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a tree would be restored: what is there, what forbids it, which names lie beside it."""

from __future__ import annotations

import os
from pathlib import Path

from ..ownership import mounts_within
from .tree_names import beside
from .tree_swap import Tree


def plan(path: str, part: str, target: str, token: str) -> Tree:
    names = beside(target.rstrip("/"), token)
    existed = os.path.lexists(target)
    inode = os.lstat(target).st_ino if existed else 0
    return Tree(path, part, target, names + ".new", names + ".old", existed, inode)


def forbidding(path: Path, into: str | None) -> list[str]:
    """Why a tree cannot be put at `path`."""
    if into is not None and not os.path.isabs(into):
        return ["%s is not an absolute path" % into]
    if path == Path("/"):
        return ["/ cannot be replaced while the system runs from it: give a directory with --into"]
    mounts = mounts_within(path) if os.path.lexists(path) else []
    if mounts:
        return ["something is mounted at %s: unmount it, or use --into" % mounts[0]]
    folder = path.parent
    while into is not None and not os.path.lexists(folder):
        folder = folder.parent  # these will be made
    if not folder.is_dir():
        return ["the directory %s does not exist: make it, or use --into" % folder]
    if not os.access(folder, os.W_OK):
        return ["the directory %s is not ours to write to" % folder]
    return []


def add_up(path: str, counted: dict[str, int]) -> None:
    """Add the regular files below `path`, links not followed."""
    if os.path.isfile(path) and not os.path.islink(path):
        counted["files"] += 1
        counted["size_bytes"] += os.path.getsize(path)
        return
    for folder, _folders, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            if not os.path.islink(full) and os.path.isfile(full):
                counted["files"] += 1
                counted["size_bytes"] += os.path.getsize(full)
