# SPDX-License-Identifier: GPL-3.0-or-later
"""Dump a Redis or Valkey server: as a replica would, or by the file that it saves itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...files import remove
from ...model import Command, Inventory, Stream
from . import rdb
from .client import Refused, Server
from .target import private

PART = "database"
METHODS = ("replication", "bgsave")
_SAVE_S = 6 * 3600.0
_BY_HAND = """# then: {server} --dir NEW_DIRECTORY --dbfilename dump.rdb --appendonly no
# An append-only file would win over the dump: switch it on in the running server (CONFIG SET appendonly yes).
mkdir NEW_DIRECTORY
tee NEW_DIRECTORY/dump.rdb | {checker} /dev/stdin"""


class RedisDump:
    """Implements ports.Dump. What it is of, and from when, the dump says itself, at its end."""

    def __init__(self, server: Server, method: str, facts: dict[str, Any], inventory: Path) -> None:
        self.taken_at = datetime.now(timezone.utc)
        self.facts = facts
        self.private = private(server)
        self._server, self._method, self._inventory = server, method, inventory
        self._reader = rdb.Reader(server.checker())
        self._found: rdb.Found | None = None
        self._head = b""

    def streams(self) -> Iterator[Stream]:
        yield Stream(
            PART,
            "rdb",
            self._feed(),
            self._complaint,
            tap=self._reader.feed,
            surplus=rdb.surplus,
            finish=self._finish,
            by_hand=_BY_HAND.format(
                server=self._server.programs.client.replace("cli", "server"),
                checker=self._server.programs.checker,
            ),
        )

    def inventory(self) -> Inventory:
        if self._found is None:
            raise SourceError(f"{self._server.where} was not dumped to its end")
        return self._found.inventory(self._inventory)

    def close(self) -> None:
        self._reader.stop()
        remove(self._inventory)

    def _feed(self) -> Command:
        """The program that writes the dump."""
        if self._method == "replication":
            return self._server.command("--rdb", "-")
        path = file_of(self._server)
        save_file(self._server)
        return self._server.placement.wrap(Command(("cat", path), {"LC_ALL": "C"}, cwd="/"))

    def _complaint(self, head: bytes, tail: bytes, size_bytes: int) -> str:
        self._head = head
        return rdb.complaint(head, tail, size_bytes)

    def _finish(self, _status: int, _said: str) -> tuple[str, ...]:
        try:
            found = self._found = self._reader.end()
        except rdb.Broken as exc:
            raise SourceError(
                f"{self._server.where} gave a dump that is not whole",
                detail=str(exc),
                hint="the checker must be of the server's version or newer",
            ) from exc
        self.taken_at = found.taken_at or self.taken_at
        self.facts["rdb_version"] = rdb.format_version(self._head)
        self.facts["rdb_bytes"] = found.size_bytes
        self.facts["used_memory"] = int(found.fields.get("used-mem", 0))
        self.facts["highest_database"] = max(found.databases, default=0)
        return ()


def file_of(server: Server) -> str:
    """The path, as the server sees it, of the file that it saves."""
    found = server.config("dir", "dbfilename")
    return os.path.join(found["dir"], found["dbfilename"])


def save_file(server: Server) -> None:
    """Have the server write its file, and wait for it; never SAVE, which stops it meanwhile."""
    until = time.monotonic() + _SAVE_S
    begun = False
    while time.monotonic() < until:
        info = server.info()
        if info.get("rdb_bgsave_in_progress") == "0" and begun:
            if info.get("rdb_last_bgsave_status") != "ok":
                raise SourceError(
                    f"{server.where} could not save its data",
                    hint="see its log: most often a full disk, or no memory to fork",
                )
            return
        if not begun:
            try:
                server.ask("BGSAVE")
                begun = True
            except Refused as exc:
                if "in progress" not in exc.message and "child process" not in exc.message:
                    raise
        time.sleep(0.1)
    raise SourceError(f"{server.where} does not end saving its data")
