# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis or Valkey server: its RDB by the replication stream; restored into the running server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import ConfigError, SourceError, VerifyError
from ...files import free_bytes, make_private, remove
from ...model import (
    Inventory,
    Needs,
    Option,
    Secret,
    SourceRecord,
    Swap,
    Target,
    Workspace,
)
from ...options import IDENTITIES
from ...placement import HERE, Placement
from ...ports import Arena, Plain
from ...units import human_size
from . import arena, rdb, target
from . import swap as swapping
from . import user as redis_user
from .client import REDIS, VALKEY, Server, fields_that_expire
from .dump import METHODS, PART, RedisDump, file_of


class Redis:
    """Implements ports.Source. `user` dumps, `restore_user` restores (the same, if not given)."""

    kind = "redis"
    packages = (r"(redis|valkey)(-server|-tools)?",)
    signs = ("/run/redis*/*.sock", "/run/valkey*/*.sock", "tcp:6379")
    keeps_in = ("/var/lib/redis", "/var/lib/valkey")
    options = (
        Option("socket", default=""),
        Option("host", default="127.0.0.1"),
        Option("port", "integer", default=6379),
        *IDENTITIES,
        Option("restore_address", default=""),
        Option("tls", "boolean", default=False),
        Option("ca_certificate", default=""),
        Option("client_certificate", default=""),
        Option("client_key", default=""),
        Option("method", default="replication", choices=METHODS),
        Option("programs_path", default=""),
    )
    programs = REDIS

    def __init__(
        self,
        *,
        name: str,
        placement: Placement = HERE,
        optional: bool = False,
        socket: str = "",
        host: str = "127.0.0.1",
        port: int = 6379,
        user: str = "",
        password: Secret | None = None,
        restore_user: str = "",
        restore_password: Secret | None = None,
        restore_address: str = "",
        tls: bool = False,
        ca_certificate: str = "",
        client_certificate: str = "",
        client_key: str = "",
        method: str = "replication",
        programs_path: str = "",
    ) -> None:
        self.name = name
        self.optional = optional
        if socket and not os.path.isabs(socket):
            raise ConfigError(f"source {name}: socket: {socket!r}: write an absolute path")
        self._socket = socket
        self._method = method
        self._staged: tuple[str, rdb.Found] | None = None
        self._restore_address = restore_address
        self._server = Server(
            source=name,
            programs=replace(self.programs, folder=programs_path),
            placement=placement,
            address=socket or f"{host}:{port}",
            user=user,
            password=password,
            tls=_tls_words(tls, ca_certificate, client_certificate, client_key),
        )
        self._restorer = (
            replace(self._server, user=restore_user, password=restore_password)
            if restore_user or restore_password
            else self._server
        )

    def needs(self) -> Needs:
        reads = (os.path.dirname(self._socket),) if self._socket else ()
        return Needs(reads=reads, reads_everything=self._method == "bgsave")

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        server = self._server
        if not server.user or self._restorer is server:
            return []  # who dumps is who may all already
        self._restorer.require()
        return redis_user.prepare(
            self._restorer, server.user, server.password, self._method, dry_run
        )

    # -- backup

    def belongings(self, _known: Mapping[str, Any]) -> list[str]:
        """See ports.Source."""
        if not self._server.placement.local:
            return []
        ours = [f"/usr/bin/{one}-cli" for one in ("redis", "valkey")]
        here = self._server.on_loopback
        return ours + ([f"/usr/bin/{one}-server" for one in ("redis", "valkey")] if here else [])

    def check(self) -> dict[str, Any]:
        info = target.look(self._server)
        self._refuse_fields(info)
        self._refuse_stale(info)
        target.refuse_unable(self._server, self._method)
        if self._method == "bgsave":
            file_of(self._server)
        found = target.facts(self._server, info)
        return {
            "server": f"{found['product']} {found['server_version']}",
            "role": found["role"],
            "keys": target.totals(info).get("keys", 0),
        }

    @contextmanager
    def open(self, work: Workspace) -> Iterator[RedisDump]:
        info = target.look(self._server)
        self._refuse_fields(info)
        self._refuse_stale(info)
        found = target.facts(self._server, info)
        inventory = work.bulk / (self.name + ".inventory.jsonl")
        dump = RedisDump(self._server, self._method, found, inventory)
        try:
            yield dump
        finally:
            dump.close()

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        self._examine(self._plain(plains))

    # -- restore

    def target(self, record: SourceRecord, into: str | None) -> Target:
        if into and not re.fullmatch(r"/.+|[^/]+:\d+", into):
            raise SourceError(
                f"source {self.name}: {into!r} is no server",
                hint="write HOST:PORT, or the absolute path of a socket",
            )
        server = self._restorer.at(into or self._restorer.address)
        info = target.look(server)
        refusals = target.refusals(server, info, record.facts)
        if server.tls and not server.on_loopback and server.placement.local:
            refusals.append(
                "the server is reached by TLS on another host, and would have to fetch the data from"
                " here in clear: restore on its own host"
            )
        if fields_that_expire(info):
            refusals.append(
                "the server has hashes with fields that expire, which it gives to no client: what is"
                " there could not be kept. Back it up by `method: bgsave`, and FLUSHALL"
            )
        if not refusals:
            target.address_for(server, self._restore_address)
        counted = target.totals(info)
        return Target(
            label=f"{server.programs.product} at {server.address}",
            name=server.address,
            exists=bool(counted) or int(info.get("number_of_functions", 0)) > 0,
            size_bytes=int(info.get("used_memory", 0)),
            totals=counted,
            refusals=tuple(refusals),
        )

    def plan(self, record: SourceRecord, target_: Target, token: str) -> Swap:
        address = target.address_for(self._live(target_.name), self._restore_address)
        note = {"address": address, "mark": f"lifeboat-restore-{token}"}
        folder = Path(target_.keep_in)
        side, kept = str(folder / "new.rdb"), str(folder / "old.rdb")
        return Swap(self.name, target_.name, side, kept, target_.exists, note)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        side = Path(swap.side)
        make_private(side.parent)
        try:
            free, needed = free_bytes(side.parent), int(record.facts.get("rdb_bytes", 0))
            if free < 2 * needed:  # the side, and about as much for what is there now
                raise SourceError(
                    f"source {self.name}: {side.parent} has {human_size(free)} free,"
                    f" {human_size(2 * needed)} are needed",
                    hint="make room there",
                )
            remove(side)
            found = self._save(self._plain(plains), side)
            swapping.note_counts(side, found)
            self._staged = (swap.side, found)
        except BaseException:
            remove(side.parent)
            raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        path = work.bulk / (self.name + ".restored.jsonl")
        if self._staged and self._staged[0] == swap.side:  # read to its end a moment ago
            return self._staged[1].inventory(path)
        with open(swap.side, "rb") as content:
            return self._prove(content).inventory(path)

    def swap(self, swap: Swap) -> None:
        swapping.swap(self._live(swap.target), swap)

    def swapped(self, swap: Swap) -> bool:
        return swapping.swapped(self._live(swap.target), swap)

    def back(self, swap: Swap) -> None:
        swapping.back(self._live(swap.target), swap)

    def discard(self, swap: Swap) -> None:
        swapping.discard(self._live(swap.target), swap)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        folder = self._server.programs.folder if self._server.placement.local else ""
        programs = replace(self.programs, folder=folder)
        with arena.server(self.name, directory, record.facts, programs) as socket:
            made: Any = type(self)(name=self.name, socket=str(socket), programs_path=folder)
            yield Arena(made, places={"SOCKET": str(socket)})

    # -- inside

    def _refuse_fields(self, info: Mapping[str, str]) -> None:
        if self._method == "replication" and fields_that_expire(info):
            raise SourceError(
                f"{self._server.where} has hashes with fields that expire, which it gives to no client",
                hint="set `method: bgsave`",
            )

    def _refuse_stale(self, info: Mapping[str, str]) -> None:
        """A replica without its master may hold last month's data, or none yet. By replication it refuses
        itself; what it saves bears today's date.
        """
        away = info.get("role") == "slave" and info.get("master_link_status") != "up"
        if self._method == "bgsave" and away:
            raise SourceError(
                f"{self._server.where} is a replica that has lost its master: what it holds may be old",
                hint="see `master_link_status` in its INFO; or back up the master",
            )

    def _live(self, address: str) -> Server:
        return self._restorer.at(address)

    def _plain(self, plains: Mapping[str, Plain]) -> Plain:
        if PART not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive {PART}")
        return plains[PART]

    def _examine(self, plain: Plain) -> rdb.Found:
        found: rdb.Found = plain.read(self._prove)
        return found

    def _save(self, plain: Plain, path: Path) -> rdb.Found:
        """Write a backup's data to a new file, synced, and look at it on the way."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            found: rdb.Found = plain.read(partial(self._prove, keep=out))
            out.flush()
            os.fsync(out.fileno())
        return found

    def _prove(self, content: Any, keep: Any = None) -> rdb.Found:
        try:
            return rdb.examine(content, self._server.checker(), keep)
        except rdb.Broken as exc:
            raise VerifyError(
                f"source {self.name}: its archive is not a whole RDB file", detail=str(exc)
            ) from exc


class Valkey(Redis):
    """The same with Valkey's own programs."""

    kind = "valkey"
    programs = VALKEY


def _tls_words(tls: bool, ca: str, certificate: str, key: str) -> tuple[str, ...]:
    words: tuple[str, ...] = ("--tls",) if tls else ()
    for option, path in (("--cacert", ca), ("--cert", certificate), ("--key", key)):
        if path:
            words += (option, path)
    return words
