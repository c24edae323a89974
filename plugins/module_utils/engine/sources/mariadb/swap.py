# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a database's content into another, and back, so that a crash leaves what can be gone on from.

There is no RENAME DATABASE. Tables change their database by one RENAME TABLE, which is atomic, but not
while they have triggers; views and routines do not change it at all. So a database is packed before it
moves, and unpacked where it arrives (packing.py, ADR 12). Each step looks at what is there, and may be
repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ...errors import SourceError
from ...model import Swap
from . import facts
from .packing import Packer
from .patience import patiently
from .server import Access, identifier


class Mover:
    """The swap of one source, on one server, by one who may restore."""

    def __init__(self, access: Access) -> None:
        self._access, self._packer = access, Packer(access)

    # -- what the world says

    def swapped(self, swap: Swap) -> bool:
        """The side is dropped last, so it tells."""
        there = self._exists(swap.target) and not self._exists(swap.side)
        return there and (not swap.existed or self._exists(swap.kept))

    def _renamed(self, swap: Swap) -> bool:
        """Whether the tables have changed places."""
        if swap.existed:
            return self._packer.packed(swap.kept)
        return self._exists(swap.target) and not self._packer.packed(swap.side)

    # -- the steps

    def swap(self, swap: Swap) -> None:
        if self.swapped(swap):
            return
        if not self._renamed(swap):
            if not self._packer.packed(swap.side):
                raise SourceError(f"database {swap.side!r} is not a restored one: restore again")
            self._refuse_surprise(swap)
            beside, like = (swap.kept, swap.target) if swap.existed else (swap.target, swap.side)
            self._create(beside, like)
            if swap.existed:
                self._packer.pack(swap.target)
            moves = [(swap.target, swap.kept)] if swap.existed else []
            self._rename([*moves, (swap.side, swap.target)])
        if self._exists(swap.side):
            self._make_like(swap.target, swap.side)
        self._packer.unpack(swap.target)
        if swap.existed and self._packer.packed(swap.kept):
            self._packer.regrant(swap.target, swap.kept)
        if facts.tables(self._access, swap.side):
            raise SourceError(f"database {swap.side!r} has come to hold tables that are not ours")
        self.drop(swap.side)

    def back(self, swap: Swap) -> list[str]:
        """The views that could not be made again, since what they name was not there before either."""
        if self._renamed(swap):
            self._create(swap.side, swap.target)
            self._packer.pack(swap.target)
            moves = [(swap.kept, swap.target)] if swap.existed else []
            self._rename([(swap.target, swap.side), *moves])
        lost = []
        if swap.existed:
            if self._exists(swap.kept):
                self._make_like(swap.target, swap.kept)
            lost = self._packer.unpack(swap.target, strict=False)
            self._drop_if_empty(swap.kept)
        else:
            self._drop_if_empty(swap.target)
        return lost

    def discard(self, swap: Swap) -> None:
        torn = self._packer.packed(swap.target) or not self._exists(swap.target)
        if swap.existed and torn and self._exists(swap.kept):
            raise SourceError(
                f"database {swap.target!r} is not whole, and {swap.kept!r} is the last of it: it is"
                " not removed",
                hint="run `lifeboat recover`, or restore again",
            )
        self.drop(swap.side)
        if swap.existed:
            self.drop(swap.kept)

    def drop(self, database: str) -> None:
        patiently(self._access, [f"DROP DATABASE IF EXISTS {identifier(database)}"], [database])

    # -- inside

    def _exists(self, database: str) -> bool:
        return facts.exists(self._access, database)

    def _refuse_surprise(self, swap: Swap) -> None:
        there = self._exists(swap.target)
        if swap.existed and not there:
            raise SourceError(f"database {swap.target!r} has gone since the restore began")
        if not swap.existed and there and facts.tables(self._access, swap.target):
            raise SourceError(f"database {swap.target!r} has come since the restore began")

    def _create(self, database: str, like: str) -> None:
        clause = facts.options(facts.like(self._access, like))
        self._access.ask(f"CREATE DATABASE IF NOT EXISTS {identifier(database)} {clause}")

    def _make_like(self, database: str, like: str) -> None:
        clause = facts.options(facts.like(self._access, like))
        self._access.ask(f"ALTER DATABASE {identifier(database)} {clause}")

    def _drop_if_empty(self, database: str) -> None:
        if self._exists(database) and not facts.tables(self._access, database):
            self.drop(database)

    def _rename(self, moves: Sequence[tuple[str, str]]) -> None:
        """Move all tables of databases, [(from, to)], in one statement: all or none."""
        pairs = []
        for old, new in moves:
            for _kind, name in facts.tables(self._access, old):
                own = identifier(name)
                pairs.append(f"{identifier(old)}.{own} TO {identifier(new)}.{own}")
        patiently(
            self._access,
            ["RENAME TABLE " + ", ".join(pairs)],
            [name for pair in moves for name in pair],
        )


def fitting(name: str, token: str, end: str, most: int = 64) -> str:
    """`name`_lb_`token`_`end`, at most 64 bytes; a name that is cut has a hash of the whole behind it."""
    whole, added = name.encode("utf-8"), f"_lb_{token}_{end}"
    if len(whole) > most - len(added):  # two that begin alike must not become one
        added = f"_{hashlib.sha256(whole).hexdigest()[:8]}{added}"
    return whole[: most - len(added)].decode("utf-8", "ignore") + added
