# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what was restored of a server in its place, all its databases, and back; see ports.Source for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...model import Swap
from .server import Server
from .session import Session
from .swap import Room


def rooms(session: Session, of: Swap) -> dict[str, Room]:
    """{database: where a restore swaps in it}."""
    return {
        one: Room(session, one, of.side, of.kept, of.note["state"])
        for one in of.note["databases"].values()
    }


def swap(server: Server, of: Swap) -> None:
    with _rooms(server, of) as there:
        for room in there:
            room.swap()


def swapped(server: Server, of: Swap) -> bool:
    with _rooms(server, of) as there:
        return all(room.swapped() for room in there)


def require_kept(server: Server, of: Swap) -> None:
    """Raise if a collection that was there before cannot be put back."""
    with _rooms(server, of) as there:
        for room in there:
            room.require_kept()


def back(server: Server, of: Swap) -> None:
    with _rooms(server, of) as there:
        for room in reversed(there):
            room.back()


def discard(server: Server, of: Swap) -> None:
    with _rooms(server, of) as there:
        for room in there:
            room.discard()


@contextmanager
def _rooms(server: Server, of: Swap) -> Iterator[list[Room]]:
    with server.session(admin=True) as session:
        yield list(rooms(session, of).values())
