# SPDX-License-Identifier: GPL-3.0-or-later
"""Who we are on a MongoDB server: one identity to dump, one to restore; MongoDB's tools for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ...errors import MissingDependency, SourceError
from ...model import DESCRIPTOR, Command, Secret
from ...placement import Placement
from ...process import run
from .session import CommandRefused, Session, connected

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

    def require(self, name: str) -> str:
        """Version of one of MongoDB's tools, as it says itself; "unknown" for one that was built without.

        Raises MissingDependency where it is missing or too old.
        """
        version = self._version(name)
        number = re.match(r"\d+", version)
        if number and int(number.group()) < _OLDEST:
            raise MissingDependency(
                f"source {self.source}: {name} {version} is too old",
                hint="install MongoDB Database Tools 100 or newer",
            )
        return version

    def _version(self, name: str) -> str:
        try:
            told = run(self.placement.wrap(Command((self._path(name), "--version"))))
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

    def tool(self, name: str, *words: str, admin: bool = False) -> Command:
        """One of MongoDB's tools, where it runs, with how to connect and these words.

        It reads a password nowhere else but from argv, from a terminal and from a file of settings: it is
        given a pipe for that, here and in a container, so no file is left however we end.
        """
        user, password = self.identity(admin)
        hosts = ",".join(self._members)
        where = "--host=" + (f"{self.replica_set}/{hosts}" if self.replica_set else hosts)
        if self._socket:
            where = "--uri=mongodb://" + quote(hosts, safe="")
        argv = [self._path(name), where]
        if user:
            argv += ["--username=" + user, "--authenticationDatabase=" + self.auth_source]
        if self.auth_mechanism:
            argv.append("--authenticationMechanism=" + self.auth_mechanism)
        if self.tls:
            argv.append("--ssl")
            argv += ["--sslCAFile=" + self.tls_ca_file] if self.tls_ca_file else []
            pem = self.tls_certificate_file
            argv += ["--sslPEMKeyFile=" + pem] if pem else []
        secret = None
        if password is not None:
            argv.append("--config=" + DESCRIPTOR)
            # a text of JSON is one of YAML, and so are these escapes of what is not ASCII
            quoted = json.dumps(str(password.reveal()), ensure_ascii=False)
            secret = f"password: {quoted}".encode("ascii", "backslashreplace")
        return self.placement.wrap(Command((*argv, *words), secret=secret))

    def _path(self, name: str) -> str:
        return f"{self.programs_path}/{name}" if self.programs_path else name


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
