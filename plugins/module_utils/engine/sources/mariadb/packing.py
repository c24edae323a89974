# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack what is text in a database (views, triggers, routines, events) into a table, and unpack it again (ADR 12).

The text is written as SQL into the table, and only then dropped. The table goes along with the others
when they are renamed. Each step looks at what is there, and may be repeated.
"""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import replace

from ...errors import ProcessError, SourceError
from ...process import Started, run, write_all
from . import accounts, facts
from .dump import complain, dump
from .patience import patiently
from .programs import MARIADB
from .server import Access, QueryError, identifier
from .stream import MISREAD, MISREAD_HINT, Misread, Moved, Scanner, awakened

log = logging.getLogger(__name__)

PACKED = "_lifeboat_packed"  # the table
_PIECE = 256 << 10  # bytes of SQL in a row of it: any server takes a statement of twice that
_GRANTS = -1  # the row of the rights in routines, which go with them: GRANTs, in hexadecimal digits
_VIEWS = -2  # the row of the views that the dump program leaves out, for they are broken
_TEXT = ("utf-8", "surrogateescape")
_ERROR = re.compile(r"^ERROR (\d+)", re.MULTILINE)
# a view's table, column, function or definer is not there
_BROKEN = {1049, 1054, 1146, 1305, 1356, 1449}
_NOT_THERE = (1133, 1141, 1305, 1396)  # a routine or an account that a right is about
_VIEW_NAME = re.compile(r" VIEW `((?:[^`]|``)+)` AS ")
_DROPPED = {"package_body": "PACKAGE BODY"}


class Packer:
    """On one server, by one who may restore."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def packed(self, database: str) -> bool:
        return bool(
            self._access.ask(
                "SELECT 1 FROM information_schema.TABLES WHERE"
                f" {facts.same('TABLE_SCHEMA', database)} AND TABLE_NAME = '{PACKED}'"
            )
        )

    def pack(
        self, database: str, awake: Collection[bytes] = (), later: Collection[str] = ()
    ) -> None:
        """Turn what is text in a database into rows of a table. Goes on where it was cut off. Those of
        its events that are `awake` will be enabled when it is unpacked, and the grants `later` given.
        """
        table = f"{identifier(database)}.{identifier(PACKED)}"
        if not self.packed(database) or self._access.value(f"SELECT COUNT(*) FROM {table}") == "0":
            text = awakened(self._programs(database), awake)
            grants = "\n".join([*accounts.of_routines(self._access, database), *later]).encode(
                *_TEXT
            )
            pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
            rows = [
                f"INSERT INTO {table} VALUES ({n}, 0x{piece.hex()})"
                for n, piece in enumerate(pieces)
            ]
            broken = "\n".join(self._broken_views(database, text)).encode(*_TEXT)
            rows.append(f"INSERT INTO {table} VALUES ({_GRANTS}, '{grants.hex()}')")
            rows.append(f"INSERT INTO {table} VALUES ({_VIEWS}, '{broken.hex()}')")
            made = f"CREATE TABLE IF NOT EXISTS {table} (n INT PRIMARY KEY, piece LONGBLOB) ENGINE=InnoDB"
            # all the rows or none: that it has rows says that nothing is missing
            self._access.ask([made, "START TRANSACTION", *rows, "COMMIT"])
        self._drop_programs(database)

    def unpack(self, database: str, strict: bool = True) -> list[str]:
        """The inverse of `pack`; nothing to do where nothing is packed. A view that was broken before
        it was packed cannot be made: that is an error if `strict`, and else returned by name.
        """
        if not self.packed(database):
            return []
        lost = []
        text = self.text(database)
        try:
            if text:
                self._drop_triggers(database, text)
                self.feed(database, [text], *(() if strict else ("--force",)))
        except ProcessError as exc:
            problem = self._access.explain(exc, database)
            if strict or exc.status < 0 or not self._only_broken(database, text, exc.detail):
                raise problem from exc
            log.warning("database=%s not all could be made again: %s", database, exc.detail)
            lost = sorted(name for _kind, name in self._missing(database, text))
        for view in self._lines(database, _VIEWS):
            try:
                self._access.ask(view, database)
            except QueryError as exc:
                if exc.code not in _BROKEN:
                    raise
                log.warning(
                    "database=%s a view was broken, and can be made again only when what it"
                    " names is there: %s",
                    database,
                    view,
                )
                lost += _VIEW_NAME.findall(view)
        self.regrant(database, database)
        self._access.ask(f"DROP TABLE {identifier(database)}.{identifier(PACKED)}")
        return lost

    def _drop_triggers(self, database: str, text: bytes) -> None:
        """Those that `text` makes and an unpacking that was cut off has made: its text may drop none."""
        made = set(facts.programs(self._access, database)) & _made(text)
        where = identifier(database)
        names = sorted(name for kind, name in made if kind == "trigger")
        if names:
            self._access.ask([f"DROP TRIGGER IF EXISTS {where}.{identifier(one)}" for one in names])

    def regrant(self, database: str, packed: str) -> None:
        """Give the rights in routines that the table in `packed` holds in `database`."""
        for grant in self._lines(packed, _GRANTS):
            try:
                self._access.ask(grant, database)
            except QueryError as exc:
                if exc.code not in _NOT_THERE:
                    raise
                log.warning("database=%s not given again: %s", database, grant)

    def text(self, database: str) -> bytes:
        """The SQL that a packed database holds; b"" = the pack was cut off before anything changed."""
        table = f"{identifier(database)}.{identifier(PACKED)}"
        return b"".join(
            bytes.fromhex(row[0])
            for row in self._access.ask(f"SELECT HEX(piece) FROM {table} WHERE n >= 0 ORDER BY n")
        )

    def feed(
        self, database: str, blocks: Iterable[bytes], *words: str, asleep: bool = False
    ) -> set[bytes]:
        """Run the SQL of a dump in a database; raises ProcessError, SourceError if it is cut off.

        The names of the events that were disabled on the way, if `asleep`.
        """
        if self._access.about.flavour == MARIADB:  # rows may be older than a CHECK; MySQL looked
            words += ("--init-command=SET check_constraint_checks = 0",)
        command = self._access.client(database, "--batch", "--max-allowed-packet=1G", *words)
        moved, head, tail, size = Moved(asleep), b"", b"", 0
        with Started(command, subprocess.PIPE, subprocess.DEVNULL) as client:
            sink = client.process.stdin
            try:
                for block in blocks:
                    head, tail, size = (
                        head or block[:64],
                        (tail + block[-4096:])[-4096:],
                        size + len(block),
                    )
                    write_all(sink, memoryview(moved(block)))
                write_all(sink, memoryview(moved.close()))
                sink.close()
            except BrokenPipeError:
                pass  # its status tells
            client.process.wait()
            client.raise_unless_accepted()
            said = client.said()
        told = complain(head, tail, size)
        if told:
            raise SourceError(told)
        if _ERROR.search(said):  # with --force its status does not tell
            raise ProcessError(f"{command.program} went on after an error", status=1, detail=said)
        return moved.awake

    def _only_broken(self, database: str, text: bytes, said: str) -> bool:
        """Whether nothing is missing but views of what is not there."""
        codes = {int(code) for code in _ERROR.findall(said)}
        kinds = {kind for kind, _name in self._missing(database, text)}
        return bool(codes) and codes <= _BROKEN and kinds <= {"view"}

    def _missing(self, database: str, text: bytes) -> set[tuple[str, str]]:
        """What the text makes and the database has not: {(kind, name)}."""
        missing = _made(text) - set(facts.programs(self._access, database))
        return missing - {
            ("sequence", name) for _kind, name in facts.tables(self._access, database)
        }

    def _lines(self, packed: str, row: int) -> list[str]:
        """The statements that one row of the table in `packed` holds."""
        table = f"{identifier(packed)}.{identifier(PACKED)}"
        held = self._access.ask(f"SELECT piece FROM {table} WHERE n = {row}")
        return [
            one
            for found in held
            for one in bytes.fromhex(found[0]).decode(*_TEXT).split("\n")
            if one
        ]

    def _broken_views(self, database: str, text: bytes) -> list[str]:
        """The views that a dump of them lacks, as statements, to be run in the database."""
        there = {one for one in facts.programs(self._access, database) if one[0] == "view"}
        lacking = sorted(there - _made(text))
        asked = [f"SHOW CREATE VIEW {identifier(name)}" for _view, name in lacking]
        rows = self._access.ask(asked, database) if asked else []
        return [row[1].replace("CREATE ", "CREATE OR REPLACE ", 1) for row in rows]

    def _drop_programs(self, database: str) -> None:
        """Triggers last: until then the live tables behave as they should."""
        where = identifier(database)
        found = facts.programs(self._access, database)
        found.sort(key=lambda one: (one[0] == "trigger", one[0] == "package"))
        statements = []
        for kind, name in found:
            dropped = (
                f"DROP {_DROPPED.get(kind, kind.upper())} IF EXISTS {where}.{identifier(name)}"
            )
            if kind.startswith("package"):  # MariaDB before 11.4 knows the word in this mode alone
                statements += ["SET sql_mode = 'ORACLE'", dropped, "SET sql_mode = ''"]
            else:
                statements.append(dropped)
        if statements:
            patiently(self._access, statements, [database])

    def _programs(self, database: str) -> bytes:
        """What is text in a database, as the dump program writes it, views last."""
        text = self._said(
            "--no-data", "--no-create-info", "--routines", "--events", "--triggers", "--", database
        )
        views = [name for kind, name in facts.programs(self._access, database) if kind == "view"]
        if views:
            # --force: goes on after a view that is broken, and says so in its status
            words = ("--force", "--no-data", "--skip-triggers", "--", database, *views)
            text += self._said(*words, accepts=(0, 2))
        return text

    def _said(self, *words: str, accepts: tuple[int, ...] = (0,)) -> bytes:
        command = dump(self._access, *words)
        try:
            text = run(replace(command, accepts=accepts), timeout_s=600.0)
        except ProcessError as exc:
            raise self._access.explain(exc) from exc
        if Misread()(text):
            raise SourceError(MISREAD, hint=MISREAD_HINT)
        told = complain(text[:64], text[-4096:], len(text))
        if told:
            raise SourceError(f"views and routines cannot be set aside: {told}")
        return text


def _made(text: bytes) -> set[tuple[str, str]]:
    """What the SQL of a dump makes, but for tables: {(kind, name)}."""
    scanner = Scanner()
    scanner(text)
    return scanner.close().others
