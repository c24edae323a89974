# SPDX-License-Identifier: GPL-3.0-or-later
"""Who we are on a MongoDB server: one identity to dump, one to restore; MongoDB's tools for it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...errors import LifeboatError, MissingDependency, SourceError
from ...model import Command, Secret
from ...placement import Placement
from ...process import run
from .session import CommandRefused, Session, connected

_ON_SQLITE = re.compile(r"FerretDB [^ ]+ and SQLite ")
_OLDEST = 100  # before, the tools had the server's own numbers, and read newer ones wrongly


@dataclass(frozen=True)
class About:
    """What kind of server it is."""

    version: str
    replica_set: str  # "" = it stands alone, and has no oplog
    has_users: bool

    @property
    def major(self) -> tuple[int, ...]:
        return tuple(int(one) for one in re.findall(r"\d+", self.version)[:2])


@dataclass(frozen=True)
class Server:
    """The server of one source. Nothing is connected before a session asks."""

    source: str  # its name, for errors
    placement: Placement
    host: str
    port: int
    replica_set: str
    user: str
    password: Secret | None
    restore_user: str
    restore_password: Secret | None
    auth_source: str
    auth_mechanism: str
    tls: bool
    tls_ca_file: str
    tls_certificate_file: str
    programs_path: str

    @property
    def place(self) -> str:
        return ",".join(self._members)

    @property
    def _members(self) -> list[str]:
        if self._socket:
            return [self.host]
        return [one if ":" in one else f"{one}:{self.port}" for one in self.host.split(",")]

    @property
    def _socket(self) -> bool:
        """Whether `host` is the path of a unix socket, as a throw-away server's is."""
        return self.host.startswith("/")

    def identity(self, admin: bool) -> tuple[str, Secret | None]:
        if admin and self.restore_user:
            return self.restore_user, self.restore_password
        return self.user, self.password

    @contextmanager
    def session(self, admin: bool = False) -> Iterator[Session]:
        """Commands to the server: to dump, or with the rights to restore. Always from this host."""
        user, password = self.identity(admin)
        members = self._members if self.placement.local else [self._reached()]
        if self._socket:
            members = ["mongodb://" + quote(self.host, safe="")]
        how: dict[str, Any] = {"host": members}
        if self.replica_set:
            how["replicaSet"] = self.replica_set
        else:
            how["directConnection"] = len(members) == 1
        if user:
            how.update(username=user, authSource=self.auth_source)
        if password is not None:
            how["password"] = str(password.reveal())
        if self.auth_mechanism:
            how["authMechanism"] = self.auth_mechanism
        if self.tls:
            how.update(tls=True, tlsCAFile=self.tls_ca_file or None)
        if self.tls_certificate_file:
            how["tlsCertificateKeyFile"] = self.tls_certificate_file
        with connected(
            self.source,
            ",".join(members),
            **{key: one for key, one in how.items() if one is not None},
        ) as session:
            yield session

    def _reached(self) -> str:
        """Where the port of a server in a container is on this host: published, or at its own address.

        Its tools run inside, but no client that answers a program does: images differ too much in it.
        """
        engine, name = self.placement.containers, self.placement.container
        engine.require_running(name)
        told = engine.container(name)
        network = told.get("NetworkSettings") or {}
        for one in (network.get("Ports") or {}).get(f"{self.port}/tcp") or ():
            address = one.get("HostIp") or ""
            everywhere = address in ("", "0.0.0.0", "::")
            return f"{'127.0.0.1' if everywhere else address}:{one['HostPort']}"
        if (told.get("HostConfig") or {}).get("NetworkMode") == "host":
            return f"127.0.0.1:{self.port}"
        for joined in () if engine.rootless else (network.get("Networks") or {}).values():
            if joined.get("IPAddress"):
                return f"{joined['IPAddress']}:{self.port}"
        raise SourceError(
            f"source {self.source}: port {self.port} of container {name} cannot be reached from this host",
            hint=f"publish it on the loopback address: 127.0.0.1:{self.port}:{self.port}",
        )

    def about(self, session: Session) -> About:
        """Raises SourceError for a router of a sharded cluster: no tool dumps one at one instant."""
        told = session.ask("admin", {"hello": 1})
        if told.get("msg") == "isdbgrid":
            raise SourceError(
                f"source {self.source}: {self.place} is a router of a sharded cluster, which mongodump"
                " cannot dump consistently",
                hint="use Percona Backup for MongoDB, or name each shard's replica set as a source",
            )
        version = str(session.ask("admin", {"buildInfo": 1})["version"])
        return About(version, str(told.get("setName", "")), _has_users(session))

    def program(self, name: str) -> str:
        """Path of one of MongoDB's tools; raises MissingDependency where it is missing or too old."""
        path = f"{self.programs_path}/{name}" if self.programs_path else name
        version = self.version(name)
        number = re.match(r"\d+", version)
        if number and int(number.group()) < _OLDEST:
            raise MissingDependency(
                f"source {self.source}: {name} {version} is too old",
                hint="install MongoDB Database Tools 100 or newer",
            )
        return path

    def version(self, name: str) -> str:
        """Of one of the tools, as it says itself; "unknown" for one that was built without."""
        path = f"{self.programs_path}/{name}" if self.programs_path else name
        try:
            told = run(self.placement.wrap(Command((path, "--version"))))
        except MissingDependency as exc:
            if not self.placement.local:
                raise
            raise MissingDependency(
                f"source {self.source}: {name} is not "
                + (f"in {self.programs_path}" if self.programs_path else "on this machine"),
                hint="install MongoDB Database Tools (the package mongodb-database-tools of MongoDB's"
                " own repository), or set `programs_path`",
            ) from exc
        found = re.search(r"version: r?(\d[\w.+~-]*)", told.decode("utf-8", "replace"))
        return found.group(1) if found else "unknown"

    @contextmanager
    def tool(self, name: str, folder: Path, admin: bool = False) -> Iterator[tuple[str, ...]]:
        """The first words of an argument list; the password lies in a file in `folder`, for as long.

        MongoDB's tools read it nowhere else but from argv and from a terminal.
        """
        user, password = self.identity(admin)
        hosts = ",".join(self._members)
        where = "--host=" + (f"{self.replica_set}/{hosts}" if self.replica_set else hosts)
        if self._socket:
            where = "--uri=mongodb://" + quote(hosts, safe="")
        words = [self.program(name), where]
        if user:
            words += ["--username=" + user, "--authenticationDatabase=" + self.auth_source]
        if self.auth_mechanism:
            words.append("--authenticationMechanism=" + self.auth_mechanism)
        if self.tls:
            words.append("--ssl")
            words += ["--sslCAFile=" + self.tls_ca_file] if self.tls_ca_file else []
            pem = self.tls_certificate_file
            words += ["--sslPEMKeyFile=" + pem] if pem else []
        if password is None:
            yield tuple(words)
            return
        # a JSON text is a YAML one, if what is not ASCII is left as it is
        quoted = json.dumps(str(password.reveal()), ensure_ascii=False)
        with self._private_file(f"password: {quoted}\n".encode(), folder) as path:
            yield (*words, "--config=" + path)

    @contextmanager
    def _private_file(self, content: bytes, folder: Path) -> Iterator[str]:
        """A file where the tools run, for them alone; in a container made by its own programs."""
        if self.placement.local:
            descriptor, path = tempfile.mkstemp(prefix="mongodb-", suffix=".yaml", dir=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                yield path
            finally:
                os.unlink(path)
            return
        path = run(self.placement.wrap(Command(("mktemp",)))).decode().strip()
        try:
            run(self.placement.wrap(Command(("tee", "--", path))), stdin=content)
            yield path
        finally:
            with suppress(LifeboatError):  # a container that has gone took it along
                run(self.placement.wrap(Command(("rm", "-f", "--", path))))


def counts_pages(session: Session) -> bool:
    """Whether this server's collStats counts what lies in a collection's pages, as FerretDB on SQLite
    does (dbstat: the cells of the leaves). Elsewhere it tells a statistic, and only reading counts.
    """
    if "ferretdbVersion" not in session.ask("admin", {"buildInfo": 1}):
        return False
    try:
        told = session.ask("admin", {"getLog": "startupWarnings"})
    except CommandRefused:
        return False
    return any(_ON_SQLITE.search(str(line)) for line in told.get("log", ()))


def _has_users(session: Session) -> bool:
    """Whether mongodump can dump the users and roles of a database: it wants to see this document."""
    try:
        found = session.ask(
            "admin", {"find": "system.version", "filter": {"_id": "authSchema"}, "limit": 1}
        )
    except CommandRefused:
        return False  # not ours to read: mongodump would fail
    authority: list[Mapping[str, Any]] = list(found["cursor"]["firstBatch"])
    return bool(authority)
