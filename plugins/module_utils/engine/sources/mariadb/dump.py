# SPDX-License-Identifier: GPL-3.0-or-later
"""One MariaDB or MySQL database, dumped in one transaction and counted as the dump passes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...files import write
from ...inventory import InventoryWriter
from ...model import Command, Inventory, Stream, Workspace
from . import accounts, altered, facts, keys
from .server import SQL_ALONE, Access
from .stream import MISREAD, Found, Scanner

_END = re.compile(rb"\n-- Dump completed(?: on [^\n]+)?\n\s*$")
_MOST_PACKET = "--max-allowed-packet=1G"
WORDS = (
    *("--single-transaction", "--quick", "--hex-blob", "--no-tablespaces", "--skip-lock-tables"),
    *("--skip-dump-date", _MOST_PACKET),
)


class MariaDBDump:
    """Implements ports.Dump."""

    def __init__(self, access: Access, source: str, database: str, work: Workspace) -> None:
        self._access = access
        self._source = source
        self._database = database
        self._about = about = access.about
        self._work = work
        self._scanner = Scanner()
        self.taken_at = _now()
        self.facts: dict[str, Any] = {
            "server_version": about.version,
            "flavour": about.flavour,
            "client_version": f"{access.programs.flavour} {access.programs.version}",
            **facts.database(access, database),
            "accounts": accounts.concerned(access, database),
        }
        self._uncountable = facts.uncountable(access, database)
        self._warnings = facts.warnings(access, database)
        self._accounts = work.secret / f"{source}.grants.sql"
        self._lines = work.bulk / f"{source}.inventory.jsonl"

    def streams(self) -> Iterator[Stream]:
        # The program takes its snapshot as it connects: nothing of this instant is missing in it.
        self.taken_at = _now()
        yield Stream(
            "database",
            "sql",
            dump(
                self._access,
                "--routines",
                "--events",
                "--triggers",
                *self._without_rows(),
                "--",
                self._database,
            ),
            complain,
            tap=self._scanner,
            finish=self._finish,
            by_hand="# an empty database: CREATE DATABASE NEW_DATABASE "
            + facts.options((self.facts["character_set"], self.facts["collation"]))
            + f"\n{os.path.basename(self._access.programs.client)} {' '.join(SQL_ALONE)}"
            " --default-character-set=utf8mb4 NEW_DATABASE",
        )
        text = accounts.written(self._access)
        if text is not None:
            write(self._accounts, text.encode("utf-8", "surrogateescape"))
            yield Stream(
                "grants",
                "sql",
                self._accounts,
                accounts.complain,
                by_hand="# accounts that are there stay as they are; --force goes on after those that\n"
                f"# cannot be made\n{os.path.basename(self._access.programs.client)}"
                f" {' '.join(SQL_ALONE)} --force",
            )

    def inventory(self) -> Inventory:
        return write_inventory(self._scanner.found, self._uncountable, self._lines)

    def close(self) -> None:
        for path in (self._accounts, self._lines):
            path.unlink(missing_ok=True)

    def _without_rows(self) -> list[str]:
        """Where the program itself does not leave out the rows of another server. It knows FEDERATED."""
        far = facts.of_engines(self._access, self._database, "SPIDER")
        return [f"--ignore-table-data={self._database}.{one}" for one in far]

    def _finish(self, _status: int, said: str) -> tuple[str, ...]:
        found = self._scanner.close()
        if found.lacking:
            raise SourceError(
                f"source {self._source}: the dump lacks what user {self._about.user} may not see",
                detail="\n".join(found.lacking),
                hint="grant the user its rights: site.yml does",
            )
        for refuse in (facts.refuse_names, keys.refuse):  # made meanwhile
            refuse(self._access, self._source, self._database)
        told = tuple(self._warnings) + tuple(line for line in said.splitlines() if line.strip())
        changed = altered.columns(self._access, self._database)
        if changed:
            told += (
                "values come back as others, for the dump program cannot write them (bytes that are no"
                " character, numbers of more than 6 digits): " + facts.first(changed),
            )
        if found.odd_triggers:
            told += (f"only by hand can be restored: the triggers {', '.join(found.odd_triggers)}",)
        if found.passing:
            told += (
                f"not compared at a restore, for they end: the events {', '.join(found.passing)}",
            )
        if found.misread:
            told += (f"only by hand can be restored: {MISREAD}",)
        if not self.facts["accounts"] and accounts.written(self._access) is None:
            told += (f"user {self._about.user} may not read accounts: they are not in this backup",)
        return told


def dump(access: Access, *words: str) -> Command:
    """The dump program with what every dump takes."""
    own = access.programs.dump_words(access.about.flavour, access.about.number)
    return access.command(access.programs.dump, *WORDS, *own, *words)


def complain(head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with a dump, as far as its ends show."""
    if size == 0:
        return "the dump program wrote nothing"
    if not re.match(rb"(/\*M?!999999.*\n)?-- M\w+ dump ", head):
        return "this is not a dump of MariaDB or MySQL: it does not begin like one"
    return "" if _END.search(tail) else "the line that ends a dump, -- Dump completed, is missing"


def write_inventory(found: Found, uncountable: list[tuple[str, str]], path: Path) -> Inventory:
    """The inventory of what was found in a dump; `path` is written."""
    lines = InventoryWriter(path)
    for name, rows in found.rows.items():
        if ("table", name) not in uncountable:
            lines.add("table", name, rows=rows)
    for kind, name in sorted(found.others):
        lines.add(kind, name)
    for kind, name in uncountable:
        lines.add(kind, name, uncounted=True)
    return lines.close()


def _now() -> datetime:
    return datetime.now(timezone.utc)
