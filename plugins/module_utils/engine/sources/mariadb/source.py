# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB or MySQL database: dumped in one transaction, restored beside and moved in table by table."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import ProcessError, SourceError, VerifyError
from ...inventory import Entry, InventoryWriter
from ...model import Inventory, Needs, Option, Secret, Shelf, SourceRecord, Swap, Target, Workspace
from ...options import IDENTITIES
from ...packages import loopback
from ...placement import HERE, Placement
from ...ports import Arena, Plain
from .. import some_tables
from . import accounts, arena, facts, keys
from .dump import MariaDBDump, complain
from .packing import PACKED, Packer
from .server import Access, QueryError, Server, identifier
from .stream import Found, Scanner
from .swap import Mover, fitting
from .tables import rows_of
from .target import refusals

log = logging.getLogger(__name__)
_SYSTEM = ("mysql", "information_schema", "performance_schema", "sys")
_NAME_CHARACTERS = 64
_BLOCK = 1 << 18  # of SQL; what is larger leaves the processor's cache, and takes twice the time
_CHANGED = re.compile(r"\b(1412|1146)\b")  # a table was altered, or dropped, since the snapshot

_ELSEWHERE = (1049, 1146)  # what is named with its database, and is not there
_FAR = (1158, 1159, 1429, 1430, 1431, 1432, 1433, 1434)  # the server of a FEDERATED table


class MariaDB:
    """Implements ports.Source. Two identities: `user` dumps, `restore_user` restores.

    Root on the server's own host needs no `restore_user`: the socket lets it in as the server's root.
    """

    kind = "mariadb"
    # for the runbook: a table as its name is written, how to name it to a restore, how to take it over
    lost_table = (
        "orders",
        ' --path "$WHAT"',
        "- type these in `mariadb`\n"
        "- it is gone: `CREATE TABLE DATABASE.orders LIKE {into}.orders`, which leaves out foreign keys and\n"
        "  triggers: `SHOW CREATE TABLE {into}.orders` and `SHOW TRIGGERS FROM {into}` show them; then\n"
        "- rows: `INSERT IGNORE INTO DATABASE.orders SELECT * FROM {into}.orders`",
    )
    packages = (
        r"(mariadb|mysql|mysql-community|default-mysql)-(client|server)(-core)?(-[0-9]+(\.[0-9]+)?)?",
    )
    signs = ("/run/mysqld/mysqld.sock",)
    keeps_in = ("/var/lib/mysql",)
    options = (
        Option("database", required=True),
        Option("host", default=""),  # "" = the local socket
        Option("port", "integer", default=3306),
        Option("socket", default=""),  # "" = where the client was built to look
        *IDENTITIES,  # no user = the account of the system user's name
        Option("tls", choices=("disabled", "required", "verify")),
        Option("tls_ca", default=""),
        Option("programs_path", default=""),
    )

    def __init__(
        self,
        name: str,
        *,
        database: str,
        placement: Placement = HERE,
        optional: bool = False,
        host: str = "",
        port: int = 3306,
        socket: str = "",
        user: str = "",
        password: Secret | None = None,
        restore_user: str = "",
        restore_password: Secret | None = None,
        tls: str | None = None,
        tls_ca: str = "",
        programs_path: str = "",
    ) -> None:
        self.name = name
        self.optional = optional
        self.database = database
        self._only: tuple[str, ...] = ()  # tables, of a restore of some alone
        self._server = Server(
            source=name,
            placement=placement,
            host=host or "",
            port=port,
            socket=socket or "",
            tls=tls or "",
            tls_ca=tls_ca or "",
            user=user or "",
            password=password,
            restore_user=restore_user or "",
            restore_password=restore_password,
            programs_path=programs_path or "",
        )
        table, part, how = self.lost_table
        how = how.replace("`mariadb`", f"`mariadb{self._server.words}`")
        self.lost_table = (table, part, how)

    def needs(self) -> Needs:
        return Needs()  # the server reads its own files; a socket or the network is enough

    # -- backup

    def belongings(self, _known: Mapping[str, Any]) -> list[str]:
        """See ports.Source."""
        if not self._server.placement.local:
            return []
        ours = ["/usr/bin/mariadb-dump", "/usr/bin/mysqldump"]
        return ours + (
            ["/usr/sbin/mariadbd", "/usr/sbin/mysqld"] if loopback(self._server.host) else []
        )

    def check(self) -> Mapping[str, Any]:
        with self._server.access() as access:
            self._ready(access)
            about = access.about
            return {
                "server": about.version,
                "client": f"{access.programs.flavour} {access.programs.version}",
                "user": about.user,
                "note": "; ".join(facts.warnings(access, self.database)),
            }

    @contextmanager
    def open(self, work: Workspace) -> Iterator[MariaDBDump]:
        with self._server.access(folder=work.secret) as access:
            self._ready(access)
            dump = MariaDBDump(access, self.name, self.database, work)
            try:
                yield dump
            finally:
                dump.close()

    def again(self, failure: Exception) -> bool:
        """Whether the same dump, begun anew, may go well: a table was altered in its middle."""
        detail = failure.detail if isinstance(failure, ProcessError) else ""
        return _CHANGED.search(detail) is not None

    def prepare(self, user: str, dry_run: bool = False) -> list[str]:
        """What the account of `user` lacked to dump this database, as SQL; done unless `dry_run`."""
        with self._server.access(admin=True) as access:
            # granted before it is there, so that its user may learn that it is not
            if not self.optional and not facts.exists(access, self.database):
                access.ask("SELECT 1", self.database)  # says so
            here = self._server.host in ("", "localhost", "127.0.0.1", "::1")
            account = f"{self._server.user or user}@{'localhost' if here else '%'}"
            return accounts.prepare(access, self.database, account, self._server.password, dry_run)

    def shelf(self) -> Shelf:
        """See ports.Shelved."""
        with self._server.access(admin=True) as access:
            there = [row[0] for row in access.ask("SHOW DATABASES")]
        own = tuple(one for one in there if one.lower() not in _SYSTEM)
        return Shelf(self._server.place, own, (self.database,))

    def ask(self, statement: str) -> list[str]:
        """See ports.Askable. NULL comes as the text NULL."""
        with self._server.access(admin=True) as access:
            rows = access.ask(["SET SESSION TRANSACTION READ ONLY", statement], self.database)
        return rows[0] if rows else []

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        if "database" not in plains:
            raise VerifyError(f"source {self.name}: the archive 'database' is missing")
        told = complain(*plains["database"].read(_ends))
        if not told and "grants" in plains:  # where the user may not read accounts there is none
            told = accounts.complain(*plains["grants"].read(_ends))
        if told:
            raise VerifyError(f"source {self.name}: {told}")

    # -- restore

    def narrowed(self, paths: Sequence[str], merge: bool) -> MariaDB:
        """See ports.Narrowable: `paths` are tables, whose rows alone come into a new database."""
        some_tables.refuse_merge(self.name, merge)
        made = copy.copy(self)
        made._only = tuple(paths)
        return made

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """See ports.Narrowable."""
        return some_tables.alike(self.name, swap.note.get("only", ()), recorded, found)

    def target(self, record: SourceRecord, into: str | None) -> Target:
        name = into or self.database
        self._refuse_name(name)
        if name.lower() in _SYSTEM:
            raise SourceError(f"source {self.name}: {name} is the server's own, and not a target")
        with self._server.access(admin=True) as access:
            exists = facts.exists(access, name)
            told = refusals(access, record.facts, record.totals, name)
            size_bytes, totals, tables = 0, {}, []
            if exists:
                told += [
                    f"{one} of the live database has a line end in its name: rename it"
                    for one in facts.broken_names(access, name)
                ]
                told += [
                    f"event {one} of the live database has ;; in it, with which the dump program never"
                    " ends: write it without"
                    for one in facts.endless_events(access, name)
                ]
                told += [
                    f"{one} of the live database is not known to {access.programs.flavour}'s programs,"
                    " which are those here: set `programs_path` to MySQL's own"
                    for one in facts.libraries_unknown(access, name)
                ]
                size_bytes, totals = facts.size_bytes(access, name), facts.totals(access, name)
                tables = [one for kind, one in facts.tables(access, name) if kind == "table"]
        told += some_tables.refusals(self._only, into, exists)
        label = f"database {name} on {self._server.place}"
        if self._only:
            label += ", the rows of " + ", ".join(self._only) + " alone"
        note = {"only": self._only} if self._only else {}
        return Target(
            label, name, exists, size_bytes, totals, tuple(told), note, tables=tuple(sorted(tables))
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        side = fitting(target.name, token, "new")
        kept = fitting(target.name, token, "old")
        with self._server.access(admin=True) as access:
            exists = facts.exists(access, target.name)
            new = accounts.missing(access, _accounts(record))
        return Swap(self.name, target.name, side, kept, exists, {"accounts": new, **target.note})

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        wanted = record.facts
        known = plains["grants"].read(accounts.read) if "grants" in plains else {}
        with self._server.access(admin=True, folder=work.secret) as access:
            mover, packer = Mover(access), Packer(access)
            clause = facts.options((wanted["character_set"], wanted["collation"]))
            mover.drop(swap.side)
            access.ask(f"CREATE DATABASE {identifier(swap.side)} {clause}")
            made, later = accounts.create_missing(access, self.name, _accounts(record), known)
            try:
                awake = plains["database"].read(
                    lambda lines: self._load(access, packer, swap, lines)
                )
                packer.pack(swap.side, awake, later)
            except BaseException:
                accounts.drop(access, made)
                mover.drop(swap.side)
                raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        with self._server.access(admin=True, folder=work.secret) as access:
            found = _programs(Packer(access).text(swap.side))
            lines = InventoryWriter(work.bulk / f"{self.name}.restored.jsonl")
            for kind, name, rows in facts.counted(access, swap.side):
                if name == PACKED:
                    continue
                if kind == "table":
                    lines.add(kind, name, rows=rows)
                else:
                    lines.add(kind, name)
            for kind, name in sorted(found.others):
                lines.add(kind, name)
            return lines.close()

    def swap(self, swap: Swap) -> None:
        with self._mover() as mover:
            mover.swap(swap)

    def swapped(self, swap: Swap) -> bool:
        with self._mover() as mover:
            return mover.swapped(swap)

    def back(self, swap: Swap) -> str | None:
        with self._mover() as mover:
            lost = mover.back(swap)
        if not lost:
            return None
        return (
            f"without what names what is not there: {', '.join(lost)} of {swap.target}"
            " (the log has the text)"
        )

    def discard(self, swap: Swap) -> None:
        with self._server.access(admin=True) as access:
            # It is there before the accounts are made, and gone once what was restored is in place.
            if facts.exists(access, swap.side):
                accounts.drop(access, swap.note.get("accounts", ()))
            Mover(access).discard(swap)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        folder = self._server.programs_path if self._server.placement.local else ""
        version = str(record.facts["server_version"])
        with arena.server(self.name, directory, version, folder) as socket:
            there: dict[str, Any] = {
                "socket": str(socket),
                "user": arena.ADMIN,
                "restore_user": arena.ADMIN,
            }
            made: Any = type(self)(self.name, database=self.database, programs_path=folder, **there)
            places = {"SOCKET": str(socket), "USER": arena.ADMIN, "DATABASE": self.database}
            yield Arena(made, places=places)

    # -- inside

    @contextmanager
    def _mover(self) -> Iterator[Mover]:
        with self._server.access(admin=True) as access:
            yield Mover(access)

    def _ready(self, access: Access) -> None:
        """Raise unless the user sees all of the database, and the programs know all of it."""
        self._refuse_name(self.database)
        access.ask("SELECT 1", self.database)  # raises where it is not there, or not ours to enter
        if ("table", PACKED) in facts.tables(access, self.database):
            raise SourceError(
                f"source {self.name}: a restore of database {self.database!r} was cut off, and it is"
                " without its views and triggers",
                hint="run `lifeboat recover`",
            )
        facts.refuse_limit(access, self.name)
        facts.refuse_unreadable(access, self.name, self.database)
        facts.refuse_names(access, self.name, self.database)
        keys.refuse(access, self.name, self.database)
        facts.refuse_programs(access, self.name, self.database)

    def _load(self, access: Access, packer: Packer, swap: Swap, lines: BinaryIO) -> set[bytes]:
        blocks: Iterable[bytes] = iter(lambda: lines.read(_BLOCK), b"")
        if swap.note.get("only"):
            blocks = rows_of(blocks, swap.note["only"])
        try:
            return packer.feed(swap.side, blocks, asleep=True)
        except ProcessError as exc:
            problem = access.explain(exc, swap.side)
            hint = problem.hint or "the live database was not touched"
            if isinstance(problem, QueryError) and problem.code in _ELSEWHERE:
                hint = (
                    "a view or a default of the backup names it with its database: make it there"
                    " first, empty if need be, then restore again"
                )
            if isinstance(problem, QueryError) and problem.code in _FAR:
                hint = (
                    "a FEDERATED table of the backup is made only while the table that it stands for"
                    " can be reached: see its server, then restore again"
                )
            raise SourceError(f"{problem}", detail=problem.detail, hint=hint) from None

    def _refuse_name(self, name: str) -> None:
        if not name or "\0" in name or len(name) > _NAME_CHARACTERS:
            raise SourceError(
                f"source {self.name}: {name!r} is not a database name",
                hint=f"a name has 1 to {_NAME_CHARACTERS} characters",
            )
        if set(name) & set("'\"\\"):
            raise SourceError(
                f"source {self.name}: the dump programs cannot dump the routines and events of a"
                f" database whose name has a quote or a backslash in it: {name!r}",
                hint="move its tables to a database with another name",
            )


class MySQL(MariaDB):
    """The same: which of the two a server is, and which programs are here, is asked and not configured."""

    kind = "mysql"


def _programs(text: bytes) -> Found:
    scanner = Scanner()
    scanner(text)
    return scanner.close()


def _ends(lines: BinaryIO) -> tuple[bytes, bytes, int]:
    """(head, tail, size) of a stream, read to its end."""
    head = tail = lines.read(4096)
    size = len(head)
    while block := lines.read(_BLOCK):
        size += len(block)
        tail = (tail + block)[-4096:]
    return head, tail, size


def _accounts(record: SourceRecord) -> set[str]:
    """Those that the database needs: they have rights in it, or its programs run as they."""
    return {*record.facts["accounts"], *record.facts["definers"]}
