# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL database, held still in an exported snapshot while pg_dump reads it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ...errors import ProcessError
from ...files import remove
from ...model import Command, Inventory, Stream
from ...process import run
from ...units import parse_instant
from . import count, facts, rewritten
from . import parallel as files
from .programs import Programs
from .session import Access, Session, becoming, conninfo, patient

_COUNT_SHARE = 0.10  # of the dump's time, that counting may go on after it
_COUNT_AT_LEAST_S = 2.0
_BY_HAND = (
    "# as a user who may create databases, most often postgres\ncreatedb NEW_DATABASE\n"
    "pg_restore --exit-on-error -d NEW_DATABASE"
)
_BY_HAND_FILES = (
    "# as a user who may create databases, most often postgres, in a new and empty directory; then\n"
    "# pg_restore --exit-on-error --jobs 4 --format=directory -d NEW_DATABASE .\n"
    "createdb NEW_DATABASE\ntar -xf -"
)
_GLOBALS_END = re.compile(
    rb"-- PostgreSQL database cluster dump complete\s+--\s*(\\unrestrict \w+\s*)?$"
)


class PostgreSQLDump:
    """Implements ports.Dump. `session` belongs to this dump until `close`."""

    def __init__(
        self,
        access: Access,
        programs: Programs,
        session: Session,
        database: str,
        me: Any,
        lock_timeout: timedelta,
        inventory: Path,
        work: Path,
        parallel: int,
    ) -> None:
        self._access = access
        self._programs = programs
        self._session = session
        self._database = database
        self._lock_timeout_ms = int(lock_timeout.total_seconds() * 1000)
        self._inventory = inventory
        self._work, self._parallel = work, parallel
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        held = session.row(
            "SELECT pg_catalog.pg_export_snapshot() AS snapshot, pg_catalog.pg_backend_pid() AS pid,"
            " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at"
        )
        # A statement that fails must not end the transaction, and the snapshot with it. Only now:
        # a snapshot cannot be exported from a subtransaction.
        session.set("ON_ERROR_ROLLBACK", "on")
        self.taken_at: datetime = parse_instant(held["at"])
        self._snapshot, self._pid = held["snapshot"], held["pid"]
        self._hashes = session.ask(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
        ) == ["t"]
        self._hidden = facts.hidden_mappings(session)
        self._unquieted = facts.unquieted(session)
        self._behind = facts.cut_off(session) if me["standby"] else ""
        found = facts.database(session)
        # Only encrypted: applications keep keys in settings, and anybody may read a manifest.
        self.private: dict[str, Any] = {
            key: value for key in ("settings", "comment") if (value := found.pop(key))
        }
        self.facts: dict[str, Any] = {
            "server_version": me["version"],
            "server_number": me["number"],
            "client_version": programs.version,
            "standby": me["standby"],
            "role_passwords": self._hashes,
            **found,
        }
        self._counting = count.begin(session)
        self._beside = count.Beside(session, self._counting)
        self._began = self._ended = time.monotonic()

    def streams(self) -> Iterator[Stream]:
        self._began = time.monotonic()
        self._beside.start()
        if self._parallel > 1:
            user = self._access.placement.as_user
            with files.folder(self._work, user) as place:
                files.require_room(self._access.source, place, self.facts["size_bytes"])
                words = (f"--jobs={self._parallel}", "--file=" + files.DUMP)
                tar, told = files.dump(self._pg_dump("directory", *words), place)
                yield Stream(
                    "database",
                    files.FORMAT,
                    tar,
                    files.complain,
                    finish=lambda status, _said: self._finish_database(status, told),
                    by_hand=self._by_hand(_BY_HAND_FILES),
                )
        else:
            yield Stream(
                "database",
                "pgdump",
                self._pg_dump("custom"),
                complain_database,
                finish=self._finish_database,
                by_hand=self._by_hand(_BY_HAND),
            )
        yield Stream(
            "globals",
            "sql",
            self._access.command(
                (
                    self._programs.path("pg_dumpall"),
                    "--globals-only",
                    "--no-password",
                    "--database=" + conninfo(self._database),
                )
                + (() if self._hashes else ("--no-role-passwords",))
                + becoming(self._session.role),
                self._database,
                patient(self.facts["server_number"]),
            ),
            complain_globals,
            finish=self._finish_globals,
            by_hand="# new roles are made; those that are there are told as errors, which is right\n"
            "psql -X -d postgres",  # not ON_ERROR_STOP: roles that exist are errors
        )
        self._ended = time.monotonic()

    def _by_hand(self, typed: str) -> str:
        if not self.facts["subscriptions"]:
            return typed
        return typed.replace("--exit-on-error", "--exit-on-error --no-subscriptions")

    def _pg_dump(self, format_: str, *words: str) -> Command:
        argv = (
            self._programs.path("pg_dump"),
            "--format=" + format_,
            "--compress=0",
            "--no-password",
            # its own: bytes of an SQL_ASCII one are of none, and some of Asia have more than Unicode
            "--encoding=" + self.facts["encoding"],
            "--snapshot=" + self._snapshot,
            f"--lock-wait-timeout={self._lock_timeout_ms}",
        )
        return self._access.command(argv + becoming(self._session.role) + words, self._database)

    def inventory(self) -> Inventory:
        grace = max(_COUNT_AT_LEAST_S, _COUNT_SHARE * (self._ended - self._began))
        return self._beside.inventory(self._inventory, time.monotonic() + grace, self._cancel)

    def close(self) -> None:
        self._session.stop()
        self._beside.close()
        remove(self._inventory)

    def _cancel(self) -> None:
        argv = (self._access.psql, "-X", "-q", "-A", "-t", "--no-password")
        cancel = argv + ("-c", f"SELECT pg_catalog.pg_cancel_backend({self._pid})")
        try:
            run(self._access.command(cancel, self._database))
        except ProcessError:
            pass  # tried again; the count ends by itself in the end

    def _finish_database(self, status: int, said: str) -> tuple[str, ...]:
        told = _warnings(status, said)
        rewritten.refuse(self._access, self._database, self._snapshot)
        if self._behind:
            told += (self._behind,)
        told += tuple(
            f"the event trigger {one} fires ALWAYS: if it forbids REFRESH MATERIALIZED VIEW, it forbids a restore;"
            " ALTER EVENT TRIGGER ... ENABLE is enough where nothing replicates"
            for one in self._unquieted
        )
        told += tuple(
            f"the database has the subscription {one}, which a restore does not bring, only the rows that it"
            " has brought: make it anew then, with a copy of all rows"
            for one in self.facts["subscriptions"]
        )
        if self._hidden:
            told += (
                f"the role may not read the options of {self._hidden} user mappings: user names and"
                " passwords for foreign servers are not in this backup",
            )
        return told

    def _finish_globals(self, status: int, said: str) -> tuple[str, ...]:
        told = _warnings(status, said)
        if not self._hashes:
            told += (
                "the role may not read passwords of roles: they are not in this backup; back up as a"
                " superuser, or set them by hand after a restore",
            )
        return told


def complain_database(head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with a custom archive, as far as its ends show; pg_dump's status is the proof.

    It ends with a block's zero length, or, without any data, with the last entry's zero offset:
    five zero bytes either way (pg_backup_custom.c: _EndData, _WriteExtraToc; written to a pipe).
    """
    if size == 0:
        return "pg_dump wrote nothing"
    if not head.startswith(b"PGDMP"):
        return "this is not a pg_dump archive: it does not begin with PGDMP"
    return "" if tail.endswith(b"\0" * 5) else "the pg_dump archive is cut off"


def complain_globals(_head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with the output of pg_dumpall."""
    if size == 0:
        return "pg_dumpall wrote nothing"
    return "" if _GLOBALS_END.search(tail) else "the line that ends pg_dumpall's output is missing"


def _warnings(_status: int, said: str) -> tuple[str, ...]:
    return tuple(line for line in said.splitlines() if "warning:" in line)
