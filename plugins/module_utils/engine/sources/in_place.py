# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace what cannot be renamed: save what is there, load, and load what was saved to take it back.

In a private directory of each restore (Target.keep_in), where no user of the data can reach, lie

    new           the side: what is to be loaded
    old           kept: what was there, saved right before it is touched
    new.expected  what a store that counts will find when new, or old, is loaded: by the backup's
    old.expected  inventory, or counted when it was saved
    touched       an empty mark: the store is being changed, and is neither old nor new
    loaded        an empty mark: the store is new

    emptied       an empty mark: nothing was kept, and what was loaded is taken away again

    swap  1. save as old, unless touched   2. touched   3. load new, compare   4. touched -> loaded
    back  1. where loaded, save as new     2. loaded -> touched   3. load old, compare   4. no mark
                                                               where nothing was kept: empty, emptied

A load is only ever repeated as a whole, so it must replace and not merge. Killed before `touched`,
the store is as it was. Killed after it, either direction can be completed from the two files. What
the store itself cannot tell is told by the marks: each is written, and synced, before and after the
only steps that change it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..errors import LifeboatError, SourceError, VerifyError
from ..files import make_private, remove, sync_directory, write
from ..model import Swap, Target

log = logging.getLogger(__name__)
_LET_GO_S = 60.0  # for a program that outlived a killed restore


class Store(Protocol):
    """What is replaced. `path` is a file of ours; errors are LifeboatErrors that name the source."""

    def save(self, path: Path) -> None:
        """Write what is there now to the new file `path`, and what `compare` needs to expected(path)."""

    def load(self, path: Path) -> None:
        """Replace what is there by what `path` holds; may be asked again after it was cut off."""

    def empty(self) -> None:
        """Take away what was loaded where nothing was kept; raises when that is not possible."""

    def compare(self, path: Path) -> list[str]:
        """How what is there now differs from what was loaded from `path`, in words."""


def plan(source: str, target: Target) -> Swap:
    folder = Path(target.keep_in)
    return Swap(source, target.name, str(folder / "new"), str(folder / "old"), target.exists)


def make_folder(swap: Swap) -> Path:
    """The private directory, new and empty."""
    folder = _folder(swap)
    remove(folder)
    make_private(folder.parent)
    return make_private(folder)


def expected(path: Path) -> Path:
    """Beside new or old, also while it is being saved."""
    return path.with_suffix(".expected")


def swap(names: Swap, store: Store, may_lose: bool = False) -> None:
    """`may_lose`: where what is there could not be read when it was looked at, nothing has to be kept."""
    side, kept = Path(names.side), Path(names.kept)
    if swapped(names):
        return
    if not side.exists():
        raise SourceError(f"source {names.source}: nothing lies at {side} to be loaded")
    _wait_for_survivors(names)
    if not _touched(names).exists():
        _save(store, kept, may_lose and not names.existed)
        remove(_emptied(names))
        write(_touched(names), b"")
    store.load(side)
    told = store.compare(side)
    if told:
        raise VerifyError(
            f"what was loaded into {names.target} is not what was backed up",
            detail="\n".join(told),
            hint="see that `restore` replaces what is there, and that nothing writes to it meanwhile",
        )
    os.rename(_touched(names), _loaded(names))
    sync_directory(side.parent)


def swapped(names: Swap) -> bool:
    return _loaded(names).exists()


def back(names: Swap, store: Store, may_lose: bool = False) -> str | None:
    """What could not be put back, in words. `may_lose`: what cannot be read now is not kept at the side."""
    side, kept = Path(names.side), Path(names.kept)
    if not swapped(names) and not _touched(names).exists():
        return _lost(names)
    _wait_for_survivors(names)
    if swapped(names):
        _save(store, side, may_lose)  # the new one with all that was written to it since
        os.rename(_loaded(names), _touched(names))
        sync_directory(side.parent)
    if kept.exists():
        store.load(kept)
        told = store.compare(kept)
        if told:
            raise VerifyError(
                f"what was put back into {names.target} is not what was there: {kept} still holds it",
                detail="\n".join(told),
                hint="see that `restore` replaces what is there (or give a `clear`), and that nothing"
                " writes to it; then run `lifeboat recover`",
            )
        remove(_touched(names))
    elif names.existed:
        raise SourceError(
            f"source {names.source}: {names.target} is half loaded, and {kept}, which holds what was"
            " there, is gone: it cannot be put back",
            hint="put that file back, or restore a backup by hand",
        )
    else:
        store.empty()
        os.rename(_touched(names), _emptied(names))
    sync_directory(side.parent)
    return _lost(names)


def discard(names: Swap) -> None:
    if _touched(names).exists():
        raise SourceError(
            f"source {names.source}: {names.target} is half loaded, and {names.kept} is the last of"
            " what was there: it is not removed",
            hint="run `lifeboat recover`",
        )
    remove(_folder(names))
    with suppress(OSError):  # another restore has its own in there
        os.rmdir(_folder(names).parent)


def _save(store: Store, path: Path, may_lose: bool) -> None:
    """Into a new file that takes the place of `path` once it is whole and on the disk. What cannot be read
    is only missed where it may be lost; what finds no room here always is."""
    part = path.with_name(path.name + ".part")
    remove(part)
    try:
        store.save(part)
        with open(part, "rb") as saved:
            os.fsync(saved.fileno())
        os.rename(part, path)
    except OSError as exc:
        remove(part)
        raise SourceError(
            f"what is there cannot be kept in {path.parent}: {exc.strerror}",
            hint="make room there; nothing was touched",
        ) from exc
    except BaseException as exc:
        remove(part)
        if may_lose and isinstance(exc, LifeboatError):
            log.warning("what is there is not kept: %s", exc)
            return
        raise
    sync_directory(path.parent)


def _wait_for_survivors(names: Swap) -> None:
    """A program that a killed restore started reads on from the file that is its standard input,
    which is locked for as long as it has it open (see `hold`)."""
    until = time.monotonic() + _LET_GO_S
    for path in (Path(names.side), Path(names.kept)):
        while path.exists() and not _free(path):
            if time.monotonic() > until:
                raise SourceError(
                    f"source {names.source}: a program of a restore that was cut off still reads {path}",
                    hint=f"see which one (fuser {path}), and end it or wait for it",
                )
            time.sleep(0.1)


def hold(descriptor: int) -> None:
    """Lock an open file of ours for whoever inherits it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _free(path: Path) -> bool:
    with open(path, "rb") as opened:
        try:
            hold(opened.fileno())
        except BlockingIOError:
            return False
    return True


def _lost(names: Swap) -> str | None:
    if not _emptied(names).exists():
        return None
    return f"nothing of {names.target} was kept: it is empty now"


def _folder(names: Swap) -> Path:
    return Path(names.side).parent


def _touched(names: Swap) -> Path:
    return _folder(names) / "touched"


def _loaded(names: Swap) -> Path:
    return _folder(names) / "loaded"


def _emptied(names: Swap) -> Path:
    return _folder(names) / "emptied"
