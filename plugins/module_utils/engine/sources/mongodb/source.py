# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect MongoDB: one database, several, or all of a server, as mongodump archives."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import LifeboatError, SourceAbsent, VerifyError
from ...inventory import Entry, InventoryWriter
from ...model import (
    Inventory,
    Needs,
    Shelf,
    SourceRecord,
    Swap,
    Target,
    Workspace,
)
from ...packages import loopback
from ...placement import HERE, Placement
from ...ports import Arena, Plain
from . import arena, exchange
from . import chosen as choosing
from . import restore as restoring
from . import target as targets
from .archive import OURS
from .dump import EXTENSION, MongoDBDump
from .options import OPTIONS, check_databases, server
from .session import Session

_BETWEEN = "/"  # of several databases in one text: no name has it


class MongoDB:
    """`databases`: none named = all but the server's own (admin, config, local)."""

    kind = "mongodb"
    packages = (
        r"mongodb-org(-server|-tools|-database-tools-extra)?",
        r"mongodb-database-tools",
        r"mongodb-(server|server-core|clients)",
        r"mongo-tools",
    )
    signs = ("/tmp/mongodb-*.sock", "tcp:27017")
    keeps_in = ("/var/lib/mongodb", "/var/lib/mongo")
    options = OPTIONS

    def __init__(
        self,
        *,
        name: str,
        databases: Sequence[str] = (),
        placement: Placement = HERE,
        optional: bool = False,
        **connection: Any,
    ) -> None:
        """`connection`: see options.server."""
        check_databases(name, databases)
        self.name = name
        self.optional = optional
        self.databases = tuple(databases)
        self._only: tuple[str, ...] = ()  # collections, of a restore of some alone
        self._placement = placement
        self._server = server(name, placement, **connection)

    def needs(self) -> Needs:
        files = (self._server.tls_ca_file, self._server.tls_certificate_file)
        return Needs(reads=tuple(one for one in files if one))

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []  # users of the server are the administrator's; the docs name the roles

    def shelf(self) -> Shelf:
        """See ports.Shelved."""
        with self._server.session(admin=True) as session:
            told = session.ask("admin", {"listDatabases": 1, "nameOnly": True})
        names = [str(one["name"]) for one in told["databases"]]
        own = tuple(one for one in names if one not in ("admin", "config", "local"))
        return Shelf(self._server.place, own, self.databases or own)

    # -- backup

    def belongings(self, _known: Mapping[str, Any]) -> list[str]:
        """See ports.Source."""
        if not self._placement.local:
            return []
        here = loopback(self._server.host)
        return ["/usr/bin/mongodump", *(["/usr/bin/mongod"] if here else [])]

    def check(self) -> Mapping[str, Any]:
        version = self._server.require("mongodump")
        with self._server.session() as session:
            about = self._server.about(session)
            self._require(session)
        oplog = about.replica_set and not self.databases
        return {
            "server": about.version,
            "client": version,
            "consistency": "all databases at one instant" if oplog else "each collection by itself",
        }

    @contextmanager
    def open(self, work: Workspace) -> Iterator[MongoDBDump]:
        version = self._server.require("mongodump")
        with self._server.session() as session:
            about = self._server.about(session)
            self._require(session)
        with tempfile.TemporaryDirectory(prefix="mongodb-", dir=work.bulk) as private:
            lines = Path(private) / "inventory.jsonl"
            yield MongoDBDump(self._server, about, version, self.databases, lines)

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        for part in self._parts(plains):
            restoring.read(self.name, plains[part])

    # -- restore

    def narrowed(self, paths: Sequence[str], merge: bool) -> MongoDB:
        """See ports.Narrowable: `paths` are collections, which alone come into a new database."""
        made = copy.copy(self)
        made._only = choosing.chosen(self.name, paths, merge)
        return made

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """See ports.Narrowable."""
        return choosing.alike(swap.note.get("only", ()), recorded, found)

    def target(self, record: SourceRecord, into: str | None) -> Target:
        facts = record.facts
        names = targets.destined(self.name, self.databases, facts["databases"], into)
        self._server.require("mongorestore")
        with self._server.session(admin=True) as session:
            about = self._server.about(session)
            totals, size, refusals = targets.look(session, about, facts, names)
        refusals += choosing.refusals(self._only, into, bool(totals["collections"]))
        label = f"MongoDB database {', '.join(names.values())} on {self._server.place}"
        if self._only:
            label += f", {', '.join(self._only)} alone"
        return Target(
            label=label,
            name=_BETWEEN.join(names.values()),
            exists=bool(totals["collections"]),
            size_bytes=size,
            totals=totals if totals["collections"] else {},
            refusals=tuple(refusals),
            note={"only": self._only} if self._only else {},
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        own = f"{OURS}{token}-"
        names = dict(zip(record.facts["databases"], target.name.split(_BETWEEN)))
        note = {"databases": names, "state": own + "state", **target.note}
        return Swap(self.name, target.name, own + "new-", own + "old-", target.exists, note)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        parts = self._parts(plains)
        lost = sorted(set(record.facts["parts"]) - set(parts))
        if lost:
            raise VerifyError(f"source {self.name}: the archive {lost[0]} is missing")
        program = partial(self._server.tool, "mongorestore", admin=True)
        with self._server.session(admin=True) as session:
            rooms = exchange.rooms(session, swap)
            for room in rooms.values():
                if room.look()[1]:  # of an earlier attempt
                    room.clear()
            try:
                for part in parts:
                    restoring.load(self.name, plains[part], program, swap, rooms)
            except BaseException:
                with suppress(LifeboatError):  # what is left is discarded with the journal
                    for room in rooms.values():
                        room.clear()
                raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        descriptor, path = tempfile.mkstemp(prefix="mongodb-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(path))
        with self._server.session(admin=True) as session:
            restoring.count(session, swap, writer)
        return writer.close()

    def swap(self, swap: Swap) -> None:
        exchange.swap(self._server, swap)

    def swapped(self, swap: Swap) -> bool:
        return exchange.swapped(self._server, swap)

    def undoing(self, swap: Swap) -> Swap:
        exchange.require_kept(self._server, swap)
        return swap

    def back(self, swap: Swap) -> None:
        exchange.back(self._server, swap)

    def discard(self, swap: Swap) -> None:
        exchange.discard(self._server, swap)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        folder = self._server.programs_path if self._server.placement.local else ""
        with arena.server(self.name, directory, str(record.facts["server_version"])) as socket:
            made: Any = MongoDB(
                name=self.name,
                databases=self.databases,
                host=str(socket),
                programs_path=folder or None,
            )
            places = {"SOCKET": str(socket), "DATABASE": ",".join(record.facts["databases"])}
            yield Arena(made, places=places)

    # -- inside

    def _require(self, session: Session) -> None:
        """Raise SourceAbsent for a database that is not there: mongodump would write an empty archive."""
        for database in self.databases:
            if not session.collections(database):
                raise SourceAbsent(
                    f"source {self.name}: there is no database {database} on {self._server.place}",
                    hint="see its name, and that the user may list its collections",
                )

    def _parts(self, plains: Mapping[str, Plain]) -> list[str]:
        found = [part for part, plain in sorted(plains.items()) if plain.format == EXTENSION]
        if not found:
            raise VerifyError(f"source {self.name}: the backup has no archive of mongodump")
        return found
