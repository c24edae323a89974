# SPDX-License-Identifier: GPL-3.0-or-later
"""Extract a tree, or a part of it, in a closed directory beside its target."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ...errors import SourceError, VerifyError
from ...files import remove
from ...model import Command
from ...ports import Plain
from . import made
from . import swap as tree_swap
from . import tar as tree_tar
from .pour import pour
from .survey import survey
from .swap import Tree

_IN = "in"  # of the closed directory of a merge: where tar extracts
_MOST_LINKS = 1000  # that lead out of what is chosen; they are named to tar one by one


def unpack(
    source: str,
    tree: Tree,
    plain: Plain,
    through: Callable[[Command, int], Command] = lambda command, _opened: command,
) -> None:
    """Extract, then move the tree out to `tree.side`. Raises SourceError, VerifyError, ProcessError.

    `through`: how tar is started, given the open directory that it extracts into.
    """
    tree_swap.take_away(tree, tree.unpacked, tree.side)
    extra: Sequence[str] = ()
    if tree.chosen:  # a hard link is extracted only with the file that it is a name of
        extra = plain.read(partial(survey, top=tree.archive_top, chosen=tree.chosen))
    if len(extra) > _MOST_LINKS:
        raise SourceError(
            "source %s: %d hard links lead out of what was chosen" % (source, len(extra)),
            hint="restore the whole path, with --into another directory, and take what you need",
        )
    with tree_swap.closed_directory(tree.unpacked) as opened:
        made.note(tree.notes, opened)
        if tree.merged:
            # it stays closed until all is moved out: see merge.py
            with tree_swap.closed_directory("/proc/self/fd/%d/%s" % (opened, _IN)) as inside:
                _extract(source, tree, plain, extra, inside, through)
            new = _IN if tree.top == "." else os.path.join(_IN, tree.top)
            os.rename(new, tree.inner, src_dir_fd=opened, dst_dir_fd=opened)
            remove(Path("/proc/self/fd/%d/%s" % (opened, _IN)))
        else:
            _extract(source, tree, plain, extra, opened, through)
        tree_swap.require_same(tree.unpacked, opened)
        if tree.merged or tree.top == ".":
            os.rename(tree.unpacked, tree.side)
            tree_swap.require_same(tree.side, opened)
        else:
            with made.directory(tree.top, opened) as found:
                if found is not None:
                    made.note(tree.notes, found)
            os.rename(tree.top, tree.side, src_dir_fd=opened)
    tree_swap.take_away(tree, tree.unpacked)


def _extract(
    source: str,
    tree: Tree,
    plain: Plain,
    extra: Sequence[str],
    opened: int,
    through: Callable[[Command, int], Command],
) -> None:
    around = _around(tree.chosen, tree.archive_top)
    extract = through(tree_tar.extract(opened, [*around, *extra], tree.chosen), opened)
    # Also of what is chosen, which has been judged: tar ends at the archive's end, while what fills up
    # its last block may be yet to come, and that would be lost with it.
    plain.read(partial(pour, tar=extract, top=tree.archive_top))
    for name in extra:
        _take_out(name, opened)
    try:
        found = os.stat(tree.top, dir_fd=opened, follow_symlinks=False)
    except FileNotFoundError:
        raise VerifyError("source %s: its archive holds no %s" % (source, tree.path)) from None
    if tree.merged and not stat.S_ISDIR(found.st_mode):
        raise SourceError(
            "source %s: %s is a directory here, and none in the backup" % (source, tree.path),
            hint="restore it without --merge",
        )


def _around(chosen: Sequence[str], top: str) -> list[str]:
    """The directories that the chosen members lie in, so that they come with owner and mode."""
    found = set()
    for name in chosen:
        while name != top and "/" in name:
            name = name.rpartition("/")[0]
            found.add(name)
    return sorted(one for one in found if one == top or one.startswith(top + "/"))


def _take_out(name: str, opened: int) -> None:
    """Remove what nobody asked for, and the directories that were made for it alone."""
    os.unlink(name, dir_fd=opened)
    with suppress(OSError):
        while "/" in name:
            name = name.rpartition("/")[0]
            os.rmdir(name, dir_fd=opened)
