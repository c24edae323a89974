# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL database: dumped in one snapshot with its globals, restored beside and renamed in."""

from __future__ import annotations

import copy
import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from ... import units
from ...errors import SourceError
from ...inventory import Entry
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
from .. import some_tables
from . import arena, content, count, exchange, facts, role, staging, tables
from . import swap as naming
from . import target as looking
from .dump import PostgreSQLDump
from .options import OPTIONS, check_name, check_parallel, server


class PostgreSQL:
    """Implements ports.Source. Two identities: `user` dumps, `restore_user` restores.

    Root on the server's own host needs no `restore_user`: restores run as `admin_os_user` there.
    """

    kind = "postgresql"
    # For the runbook: a table as its name is written, how to name it to a restore, how to take it over.
    # All tables come: of one alone there would be no keys, and its sequences would begin anew.
    lost_table = (
        "public.orders",
        "",
        '- it is gone: `pg_dump -t "$WHAT" {into} | psql DATABASE`; foreign keys of other tables to it,\n'
        "  and views of it, went with it: `pg_dump -s {into}` shows them\n"
        # the live sequences are further than those of the backup: who sets them back breaks what inserts
        '- rows: `pg_dump -a --inserts --on-conflict-do-nothing -t "$WHAT" {into}'
        " | grep -v '^SELECT pg_catalog.setval(' | psql DATABASE`",
    )
    empty_server = (  # for the runbook: how one is made where the data of the old one is gone
        "Of PostgreSQL 17 on Debian, say, whose settings stay in `/etc`:\n"
        "`runuser -u postgres -- /usr/lib/postgresql/17/bin/initdb -D /var/lib/postgresql/17/main`."
    )
    packages = (
        r"postgresql(-client|-contrib)?(-[0-9]+(\.[0-9]+)?)?",
        r"postgresql-pl(perl|python3|tcl)-[0-9]+",
        r"postgresql-[0-9]+-[a-z0-9+.-]+",
    )
    signs = ("/run/postgresql/.s.PGSQL.*[0-9]",)
    keeps_in = ("/var/lib/postgresql", "/var/lib/pgsql")
    options = OPTIONS

    def __init__(
        self,
        name: str,
        *,
        database: str,
        placement: Placement = HERE,
        optional: bool = False,
        lock_timeout: timedelta | str = "5m",
        parallel: int = 1,
        **connection: Any,
    ) -> None:
        """`connection`: see options.server."""
        check_parallel(name, parallel, placement)
        self.name = name
        self.optional = optional
        self.database = database
        self._server = server(name, placement, **connection)
        table, part, how = self.lost_table
        for program in ("pg_dump", "psql"):
            how = how.replace(program + " ", self._server.typed(program) + " ")
        self.lost_table = (table, part, how)
        self._parallel = parallel
        self._only: tuple[str, ...] = ()  # tables, of a restore of some alone
        self._lock_timeout = (
            lock_timeout if isinstance(lock_timeout, timedelta) else units.duration(lock_timeout)
        )

    def needs(self) -> Needs:
        return Needs()  # the server reads its own files; a socket or the network is enough

    # -- backup

    def belongings(self, known: Mapping[str, Any]) -> list[str]:
        """See ports.Source: of the server's own major version, and its extensions."""
        if not self._server.placement.local:
            return []
        major = int(known["server_number"]) // 10000
        bin_ = f"/usr/lib/postgresql/{major}/bin/"
        if not loopback(self._server.host):
            return [bin_ + "pg_dump"]
        share = f"/usr/share/postgresql/{major}/extension/"
        return [
            *(bin_ + one for one in ("pg_dump", "postgres")),
            *(share + glob.escape(one) + ".control" for one in known["extensions"]),
        ]

    def check(self) -> Mapping[str, Any]:
        check_name(self.name, self.database)
        with self._server.access() as access, access.session(self.database) as session:
            me = facts.server(session)
            programs = self._server.programs(me["number"])
            facts.refuse_lenient(session, self.name)
            facts.refuse_unreadable(session, self.name, me)
            self._server.refuse_pooler(access, session, self.database)
        return {
            "server": me["version"],
            "client": programs.version,
            "role": me["role"],
            "note": "a standby: a long dump may be cancelled, see hot_standby_feedback"
            if me["standby"]
            else "",
            "warning": looking.unfit(self._server, self.database),
        }

    @contextmanager
    def open(self, work: Workspace) -> Iterator[PostgreSQLDump]:
        check_name(self.name, self.database)
        with (
            self._server.access(folder=work.secret) as access,
            access.session(self.database) as session,
        ):
            me = facts.server(session)
            programs = self._server.programs(me["number"])
            facts.refuse_lenient(session, self.name)
            facts.refuse_unreadable(session, self.name, me)
            inventory = work.bulk / (self.name + ".inventory.jsonl")
            dump = PostgreSQLDump(
                access,
                programs,
                session,
                self.database,
                me,
                self._lock_timeout,
                inventory,
                work.bulk,
                self._parallel,
            )
            try:
                yield dump
            finally:
                dump.close()

    def prepare(self, role_name: str, dry_run: bool = False) -> list[str]:
        """What `role_name` lacked to dump this database, as SQL; done unless `dry_run`. [] = nothing."""
        with self._server.access(admin=True) as access, access.session(self.database) as session:
            return role.prepare(session, role_name, self._server.password, dry_run)

    def shelf(self) -> Shelf:
        """See ports.Shelved."""
        query = "SELECT datname AS name FROM pg_catalog.pg_database WHERE NOT datistemplate"
        with self._server.admin(self.database) as session:
            there = facts.names(session, query)
        own = tuple(one for one in there if one != "postgres")
        return Shelf(self._server.place, own, (self.database,))

    def ask(self, statement: str) -> list[str]:
        """See ports.Askable: one query, in the search path of the database."""
        if "\\" in statement:
            raise SourceError(
                f"source {self.name}: write a query without a backslash: psql reads it"
            )
        with self._server.access(admin=True) as access, access.session(self.database) as session:
            session.ask("RESET search_path")
            rows = session.rows(statement)
        return [str(one) for one in rows[0].values()] if rows else []

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        content.check(self.name, plains, self._server.programs_path, work)

    # -- restore

    def narrowed(self, paths: Sequence[str], merge: bool) -> PostgreSQL:
        """See ports.Narrowable: `paths` are tables, whose rows alone come into a new database."""
        made = copy.copy(self)
        made._only = tables.chosen(self.name, paths, merge)
        return made

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """See ports.Narrowable."""
        return some_tables.alike(self.name, swap.note.get("only", ()), recorded, found)

    def target(self, record: SourceRecord, into: str | None) -> Target:
        return looking.target(self._server, record.facts, self.database, into, self._only)

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        side = naming.fitting(target.name, token, "new")
        kept = naming.fitting(target.name, token, "old")
        with self._server.admin(target.name) as admin:
            now = naming.oid(admin, target.name)
        note = {"target_oid": now, **target.note}
        return Swap(self.name, target.name, side, kept, now != 0, note)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        staging.stage(self._server, swap, record, plains, work, self._parallel)

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        with (
            self._server.access(admin=True, folder=work.secret) as access,
            access.session(swap.side) as session,
        ):
            counting = count.begin(session)
            count.count_rows(session, counting)
            path = work.bulk / (self.name + ".restored.jsonl")
            return count.write(session, counting, path)

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
        major = int(record.facts["server_number"]) // 10000
        with arena.server(self.name, directory, major, folder) as (sockets, programs):
            there: dict[str, Any] = {"host": str(sockets), "port": arena.PORT, "user": arena.ADMIN}
            made: Any = PostgreSQL(
                self.name,
                database=self.database,
                restore_user=arena.ADMIN,
                parallel=self._parallel,
                programs_path=programs,
                **there,
            )
            places = {"HOST": str(sockets), "PORT": str(arena.PORT), "USER": arena.ADMIN}
            yield Arena(made, places={**places, "DATABASE": self.database})
