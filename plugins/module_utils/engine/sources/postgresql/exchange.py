# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a restored database the name of the one that it replaces, and back; see ports.Source for each step."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import SourceError
from ...model import Swap
from .server import Server
from .swap import drop, oid, rename, subscribed


def swap(server: Server, of: Swap) -> None:
    if not swapped(server, of):
        _require_unsubscribed(server, of, [of.target] if of.existed else [])
        moves = [(of.target, of.kept)] if of.existed else []
        _rename(server, of, [*moves, (of.side, of.target)])


def swapped(server: Server, of: Swap) -> bool:
    with server.admin(of.target) as admin:
        now = oid(admin, of.target)
        return now not in (0, of.note["target_oid"]) and not oid(admin, of.side)


def require_kept(server: Server, of: Swap) -> None:
    """Raise unless both databases are there that an undo exchanges, and that goes away has no subscription."""
    with server.admin(of.target) as admin:
        kept = not of.existed or oid(admin, of.kept)
    if not kept or not swapped(server, of):
        what = of.target if kept else of.kept
        raise SourceError(
            f"source {of.source}: database {what!r} is not there any more, so nothing was undone",
            hint="restore a backup from before; `lifeboat confirm` lets go of this restore"
            if not kept
            else f"make it anew, empty, and undo again: that brings back {of.kept!r}",
        )
    _require_unsubscribed(server, of, [of.target], ", so nothing was undone")


def back(server: Server, of: Swap) -> None:
    if swapped(server, of):
        moves = [(of.kept, of.target)] if of.existed else []
        _rename(server, of, [(of.target, of.side), *moves])


def discard(server: Server, of: Swap) -> None:
    with server.admin(of.target) as admin:
        if oid(admin, of.kept) and not oid(admin, of.target):
            raise SourceError(
                f"source {of.source}: database {of.target!r} is gone, and {of.kept!r} is"
                " the last of it: it is not removed",
                hint="restore again, or rename it by hand",
            )
        for name in (of.side, of.kept):
            if name != of.target:
                _require_unsubscribed(server, of, [name])
                drop(admin, name)


def _require_unsubscribed(server: Server, of: Swap, names: Sequence[str], so: str = "") -> None:
    with server.admin(of.target) as admin:
        told = [one for name in names for one in subscribed(admin, name)]
    if told:
        raise SourceError(f"source {of.source}: {told[0]}{so}")


def _rename(server: Server, of: Swap, moves: Sequence[tuple[str, str]]) -> None:
    rename(lambda: server.admin(of.target), of.source, moves)
