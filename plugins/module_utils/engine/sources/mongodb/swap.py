# SPDX-License-Identifier: GPL-3.0-or-later
"""Put collections in the place of others by renames within one database, and back.

A rename within a database moves no data, and is one step each; across databases a server copies. So
what is restored lies in the target database itself, as `lifeboat-TOKEN-new-NAME`; what was there is
kept as `lifeboat-TOKEN-old-NAME`. T is a target's name, N the new one beside it, K the kept one:

    swap  1. write down, in lifeboat-TOKEN-state, which names there are as T and as N
          2. every old T -> K         3. every N is given the time after which its documents expire
          4. every N -> T: with the last one the swap is done
    back  1. every new T -> N         2. every K -> T

After a crash at any moment names alone tell: T is new when `new` has it and N is gone. A view is not
renamed but made again under the other name, then dropped: it holds no data. Both may be there after a
crash; what is the same under two names is then dropped once. What an application makes anew under a
name that is being put back is never dropped, but moved aside: `lifeboat-TOKEN-app-NAME`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import SourceError
from .archive import OURS
from .session import NAMESPACE_EXISTS, NO_SUCH_NAMESPACE, CommandRefused, Session

_LATE_S = 20.0
_QUIET_S = 0.3
_OLD, _ASIDE = "old-", ("app-", *(f"ap{number}-" for number in range(2, 10)))  # all of one length
_DURABLE = {"w": "majority", "j": True}
Names = dict[str, Any]  # name without prefix -> definition of a view, None of a collection


@dataclass(frozen=True)
class Room:
    """One database in which a restore swaps."""

    session: Session
    database: str
    side: str  # prefix of what is new
    kept: str  # prefix of what was there
    state: str  # a collection

    def look(self) -> tuple[Names, Names, Names]:
        """(T, N, K)."""
        target: Names = {}
        side: Names = {}
        kept: Names = {}
        for name, told in self.session.collections(self.database).items():
            view = told.get("options", {}) if told.get("type") == "view" else None
            if name.startswith(self.side):
                side[name[len(self.side) :]] = view
            elif name.startswith(self.kept):
                kept[name[len(self.kept) :]] = view
            elif not name.startswith(OURS):
                target[name] = view
        return target, side, kept

    def swap(self) -> None:
        if self.swapped():
            return
        target, side, kept = self.look()
        noted = self._noted() or self._note(target, side)
        for name, view in target.items():
            if name in noted["new"] and name not in side:
                continue  # the new one
            if name in kept:
                if view is not None and kept[name] == view:
                    self.drop(name)  # a view that was cut off between its two steps
            elif view is not None and name in side and name not in noted["old"]:
                self.drop(name)  # likewise; it is moved again below
            else:
                self._move(name, self.kept + name, view)
        self._set_expiring(side)
        for name, view in side.items():
            try:
                self._move(self.side + name, name, view)
            except CommandRefused as exc:
                if exc.code != NAMESPACE_EXISTS:
                    raise
                raise SourceError(
                    f"the collection {self.database}.{name} was made anew by another program while"
                    " the restore put the new one in its place",
                    hint="stop the application and restore again; what it wrote meanwhile stays,"
                    f" as {self._aside()[0]}{name} where the old collection comes back",
                ) from exc

    def swapped(self) -> bool:
        return self._noted() is not None and not self.look()[1]

    def require_kept(self) -> None:
        """Raise if a collection that was there before cannot be put back."""
        noted = self._noted() or {"old": ["its record"]}
        lost = sorted(set(noted["old"]) - set(self.look()[2]))
        if lost:
            raise SourceError(
                f"in the database {self.database} what was there before the restore is not kept any"
                f" more, so nothing was undone: {self.kept}{lost[0]} is missing",
                hint="restore a backup from before; `lifeboat confirm` lets go of this restore",
            )

    def back(self) -> None:
        noted = self._noted()
        if noted is None:
            return  # nothing was begun
        target, side, kept = self.look()
        for name, view in target.items():
            if view is not None and name in side and side[name] == view:
                if name in kept or name not in noted["old"]:
                    self.drop(name)
            elif name in noted["new"] and name not in side:
                self._move(name, self.side + name, view)
            elif name in kept and (view is None or kept[name] != view):
                self._put_aside(name, view)
            # else it is the old one; where it is a view, its second name goes below
        for name, view in kept.items():
            while True:  # an application may make it anew; putting aside ends after some times
                try:
                    self._move(self.kept + name, name, view)
                    break
                except CommandRefused as exc:
                    if exc.code != NAMESPACE_EXISTS:
                        raise
                    self._put_aside(name, None)

    def discard(self) -> None:
        if self.swapped():
            for name in self.look()[2]:
                self.drop(self.kept + name)
            self.drop(self.state)
            return
        _target, side, kept = self.look()
        if kept:
            raise SourceError(
                f"in the database {self.database} not everything is back that the restore replaced:"
                f" {len(kept)} collections are still called {self.kept}…, and are not removed",
                hint="run `lifeboat recover`, or rename them by hand",
            )
        self.drop(self.state)
        if side:
            self.clear()

    def clear(self) -> None:
        """Drop what is beside, and what comes after: a server may still be at the last insert of a
        program that was killed, which makes its collection anew.
        """
        empty_since = None
        until = time.monotonic() + _LATE_S
        while time.monotonic() < until:
            side = self.look()[1]
            for name in side:
                self.drop(self.side + name)
            now = time.monotonic()
            empty_since = None if side else empty_since or now
            if empty_since is not None and now - empty_since >= _QUIET_S:
                return
            time.sleep(_QUIET_S / 3)

    def drop(self, name: str) -> None:
        try:
            self.session.ask(self.database, {"drop": name})
        except CommandRefused as exc:
            if exc.code != NO_SUCH_NAMESPACE:
                raise

    def _move(self, name: str, to: str, view: Mapping[str, Any] | None) -> None:
        if view is None:
            full = f"{self.database}.{name}"
            into = f"{self.database}.{to}"
            self.session.ask("admin", {"renameCollection": full, "to": into})
            return
        if to not in self.session.collections(self.database):
            self.session.ask(self.database, {"create": to, **view})
        self.drop(name)

    def note_expiring(self, name: str, indexes: Sequence[Mapping[str, Any]]) -> None:
        """[{"name": …, "expireAfterSeconds": …}] of a new collection, for the swap to set."""
        noted = {"_id": "expiring " + name, "of": name, "indexes": list(indexes)}
        update = {"q": {"_id": noted["_id"]}, "u": noted, "upsert": True}
        command = {"update": self.state, "updates": [update], "writeConcern": _DURABLE}
        self.session.ask(self.database, command)

    def _set_expiring(self, side: Names) -> None:
        """From here on the server may remove documents: they have been compared."""
        for noted in self.session.rows(self.database, {"find": self.state, "filter": {}}):
            for index in noted["indexes"] if noted.get("of") in side else ():
                command = {"collMod": self.side + noted["of"], "index": index}
                self.session.ask(self.database, command)

    def _aside(self) -> list[str]:
        """Prefixes for what an application has made in the middle of it all."""
        return [self.kept[: -len(_OLD)] + one for one in _ASIDE]

    def _put_aside(self, name: str, view: Mapping[str, Any] | None) -> None:
        there = self.session.collections(self.database)
        free = [one for one in self._aside() if one + name not in there]
        if not free:
            raise SourceError(
                f"another program makes the collection {self.database}.{name} again and again, which"
                " the restore is putting back",
                hint="stop the application, then run `lifeboat recover`",
            )
        self._move(name, free[0] + name, view)

    def _noted(self) -> Any:
        found = self.session.ask(self.database, {"find": self.state, "filter": {"_id": "swap"}})
        return next(iter(found["cursor"]["firstBatch"]), None)

    def _note(self, target: Names, side: Names) -> Any:
        noted = {"_id": "swap", "old": sorted(target), "new": sorted(side)}
        self.session.ask(
            self.database,
            {"insert": self.state, "documents": [noted], "writeConcern": _DURABLE},
        )
        return noted
