# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a tree would be restored: what is there, what forbids it, which names lie beside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ... import anchor
from ...errors import UsageError
from ...inventory import Entry
from ...ownership import mounts_within
from . import attributes, made
from .names import beside
from .survey import covered
from .swap import Tree, member_of


def wanted(
    source: str, trees: Sequence[Mapping[str, Any]], paths: Sequence[str], into: str | None
) -> list[dict[str, Any]]:
    """{"path", "part", "within", "target"} for each path of a restore; raises UsageError.

    `paths` are those asked for, absolute or below the only tree; () = whole trees.
    """
    found: list[dict[str, Any]] = []
    for tree in trees:
        found += [] if paths else [_wanted(str(tree["path"]), tree, into)]
    for path in sorted({_absolute(source, path, trees) for path in paths}):
        around = [tree for tree in trees if inside(path, str(tree["path"]))]
        if not around:
            raise UsageError(
                "source %s of this backup does not hold %s" % (source, path),
                hint="it holds: " + ", ".join(str(tree["path"]) for tree in trees),
            )
        if not any(inside(path, one["path"]) for one in found):
            found.append(_wanted(path, around[0], into))
    return found


def merged(wanted: Sequence[Mapping[str, Any]], into: str | None) -> list[dict[str, Any]]:
    """The same, to be merged into what is there: a whole tree each, of which a part is chosen."""
    found: dict[str, dict[str, Any]] = {}
    for one in wanted:
        tree = found.setdefault(
            one["within"], dict(_wanted(one["within"], {**one, "path": one["within"]}, into))
        )
        tree["merge"] = True
        tree["chosen"] = [*tree["chosen"], *one["chosen"]]
    return list(found.values())


def _wanted(path: str, tree: Mapping[str, Any], into: str | None) -> dict[str, Any]:
    within = str(tree.get("within") or tree["path"])
    return {
        "path": path,
        "part": tree["part"],
        "within": within,
        "target": (into or "").rstrip("/") + path,
        "chosen": [] if path == within else [member_of(path, within)],
    }


def _absolute(source: str, path: str, trees: Sequence[Mapping[str, Any]]) -> str:
    if not os.path.isabs(path):
        if len(trees) != 1:
            raise UsageError(
                "source %s has several paths: %r may lie in each" % (source, path),
                hint="write an absolute path",
            )
        path = os.path.join(str(trees[0]["path"]), path)
    return os.path.normpath(path)


def inside(path: str, folder: str) -> bool:
    return (path.rstrip("/") + "/").startswith(folder.rstrip("/") + "/")


def plan(one: Mapping[str, Any], token: str, keep_in: str) -> Tree:
    """Names for one path of a restore; `one` is of `wanted` or `merged`, `keep_in` of the Target."""
    target = one["target"]
    existed = os.path.lexists(target)
    merge = bool(one.get("merge")) and existed and stat.S_ISDIR(os.lstat(target).st_mode)
    names = (
        os.path.join(target, ".lifeboat-" + token) if merge else beside(target.rstrip("/"), token)
    )
    inode = os.lstat(target).st_ino if existed else 0
    with made.directory(target) as there:
        old = "" if there is None else made.identity(there)
    return Tree(
        one["path"],
        one["part"],
        target,
        names + ".new",
        names + ".old",
        existed,
        inode,
        one["within"],
        tuple(one["chosen"]),
        merge,
        old,
        os.path.join(keep_in, made.NOTES) if keep_in else "",
    )


def forbidding(path: Path, into: str | None, merge: bool = False) -> list[str]:
    """Why a tree cannot be put at `path`, or be merged into it."""
    if into is not None and not os.path.isabs(into):
        return ["%s is not an absolute path" % into]
    if merge and path.is_symlink():
        return ["%s is a link, and links are not followed: use --into" % path]
    if merge and path.is_dir():
        return _unreachable(path)
    if path == Path("/"):
        return [
            "/ cannot be replaced while the system runs from it: give a directory with --into, or "
            "put single files back with --merge"
        ]
    mounts = mounts_within(path) if os.path.lexists(path) else []
    if mounts:
        return [
            "something is mounted at %s, and what is mounted cannot be exchanged: unmount it, use "
            "--into, or put the files back into what is there with --merge" % mounts[0]
        ]
    folder = path.parent
    while into is not None and not os.path.lexists(folder):
        folder = folder.parent  # these will be made
    if not folder.is_dir():
        return ["the directory %s does not exist: make it, or use --into, or --merge" % folder]
    told = attributes.told(str(folder), alone=True) or attributes.told(str(path))
    return [told] if told else _unreachable(folder)


def _unreachable(folder: Path) -> list[str]:
    if not os.access(folder, os.W_OK):
        return ["the directory %s is not ours to write to" % folder]
    told = anchor.forbidding(str(folder))
    return [told] if told else []


def add_up(path: str, counted: dict[str, int], since: datetime | None = None) -> int:
    """Add the regular files below `path`, links not followed; how many were written after `since`."""
    after = since.timestamp() if since else float("inf")
    newer = 0
    for full in _files(path):
        try:
            found = os.lstat(full)
        except OSError:  # gone in this moment
            continue
        if stat.S_ISREG(found.st_mode):
            counted["files"] += 1
            counted["size_bytes"] += found.st_size
            newer += found.st_mtime > after
    return newer


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path) or os.path.islink(path):
        yield path
    else:
        for folder, _folders, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in names)


def alike(
    trees: Sequence[Tree], recorded: Iterator[Entry], found: Iterator[Entry]
) -> tuple[Iterator[Entry], Iterator[Entry]]:
    """(what was recorded of these trees, what was found), so that they can be compared.

    Of the names of one file, those that were not chosen are missing: the first of the others is
    counted as the file then. Of these only that they are there is compared.
    """
    loose: set[str] = set()

    def held(name: str) -> bool:
        return any(_holds(tree, name) for tree in trees)

    def expected() -> Iterator[Entry]:
        for entry in recorded:
            if not held(entry["name"]):
                continue
            if entry["kind"] == "hardlink" and not held(str(entry.get("to"))):
                loose.add(entry["name"])
                entry = {"kind": "file", "name": entry["name"], "uncounted": True}
            yield entry

    def there() -> Iterator[Entry]:
        for entry in found:
            yield dict(entry, kind="file") if entry["name"] in loose else entry

    return expected(), there()


def _holds(tree: Tree, name: str) -> bool:
    if not covered(name, (tree.archive_top,)):
        return False
    around = tree.archive_top == tree.top and any(one.startswith(name + "/") for one in tree.chosen)
    return covered(name, tree.chosen) or around
