# SPDX-License-Identifier: GPL-3.0-or-later
"""One MongoDB server's databases, while mongodump reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ...inventory import InventoryWriter
from ...model import Inventory, Stream
from .archive import OURS, Walk
from .server import About, Server

WHOLE = "instance"  # the part of an archive that has every database
EXTENSION = "mongodump"
NOT_ONE_INSTANT = (
    "the collections are from different moments of the dump, one after the other: this server"
    " has no oplog, or not all databases were dumped"
)
_PART = re.compile(r"[^a-z0-9_-]+")


class MongoDBDump:
    """Implements ports.Dump. `databases`: () = all of them."""

    def __init__(
        self,
        server: Server,
        about: About,
        tool_version: str,
        databases: Sequence[str],
        inventory: Path,
    ) -> None:
        self.taken_at = datetime.now(timezone.utc).replace(microsecond=0)
        self._server = server
        self._about = about
        self._path = inventory
        self._walks: list[Walk] = []
        self._parts = parts(databases)
        self._oplog = bool(about.replica_set) and not databases
        self.facts: dict[str, Any] = {
            "server_version": about.version,
            "client_version": tool_version,
            "replica_set": about.replica_set,
            "consistency": "oplog" if self._oplog else "none",
            "users_and_roles": about.has_users,
            "parts": self._parts,
            "databases": list(databases),
            "timeseries": 0,
        }

    def streams(self) -> Iterator[Stream]:
        for part, database in self._parts.items():
            walk = Walk()
            yield Stream(
                part,
                EXTENSION,
                self._server.tool("mongodump", "--archive", *self._what(database)),
                complaint=lambda _head, _tail, _size, walk=walk: walk.complaint(),  # type: ignore[misc]
                tap=walk,
                finish=partial(self._finish, walk),
                by_hand=_by_hand(database, self._oplog, self._about.has_users),
            )
            self._walks.append(walk)

    def inventory(self) -> Inventory:
        """Counted in the archive: what it holds, not what the server held at one instant."""
        writer = InventoryWriter(self._path)
        try:
            for walk in self._walks:
                walk.write(writer)
        finally:
            counted = writer.close()
        return counted

    def _what(self, database: str) -> tuple[str, ...]:
        if not database:
            return ("--oplog",) if self._oplog else ()
        words = ("--db=" + database, "--excludeCollectionsWithPrefix=" + OURS)
        return (*words, "--dumpDbUsersAndRoles") if self._about.has_users else words

    def _finish(self, walk: Walk, _status: int, _said: str) -> tuple[str, ...]:
        if not self.facts["databases"]:
            self.facts["databases"] = walk.databases()
        told: tuple[str, ...] = () if self._oplog else (NOT_ONE_INSTANT,)
        timeseries = sum(one.kind == "timeseries" for one in walk.collections)
        if timeseries:
            self.facts["timeseries"] += timeseries
            told += (
                f"{timeseries} time-series collections are in the archive, and come back by hand only:"
                " a server does not rename them",
            )
        if any(one.name == "system.js" for one in walk.collections):
            told += ("stored functions (system.js) are in the archive, and come back by hand only",)
        return told


def parts(databases: Sequence[str]) -> dict[str, str]:
    """{part: database}: one archive each, or one of all ("") where none is named. Parts are ASCII."""
    if not databases:
        return {WHOLE: ""}
    if len(databases) == 1:
        return {"database": databases[0]}
    named: dict[str, str] = {}
    for number, database in enumerate(databases, 1):
        # the number keeps two apart that differ in what cannot be in a part
        plain = _PART.sub("-", database.lower()).strip("-_")[:40]
        named[f"database-{number}-{plain}".rstrip("-")] = database
    return named


def _by_hand(database: str, oplog: bool, users: bool) -> str:
    if oplog:
        return (
            "# into an empty server, which then has the state at the end of the dump\n"
            "mongorestore --archive --oplogReplay"
        )
    if not database:
        return "mongorestore --archive --stopOnError --nsExclude='admin.*' --nsExclude='config.*'"
    told = (
        f"mongorestore --archive --stopOnError --nsInclude='{database}.*' --nsFrom='{database}.*'"
        " --nsTo='NEW_DATABASE.*'"
    )
    if users:
        told = (
            f"# users and roles too, into the database's own name: mongorestore --archive"
            f" --db={database} --restoreDbUsersAndRoles\n" + told
        )
    return told
