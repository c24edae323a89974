# SPDX-License-Identifier: GPL-3.0-or-later
"""Who we are on a MongoDB server: one identity to dump, one to restore; MongoDB's tools for it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MissingDependency, SourceError
from ..model import Command, Secret
from ..placement import Placement
from ..process import run
from .mongodb_session import CommandRefused, Session, connected

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
        return [one if ":" in one else f"{one}:{self.port}" for one in self.host.split(",")]

    def identity(self, admin: bool) -> tuple[str, Secret | None]:
        if admin and self.restore_user:
            return self.restore_user, self.restore_password
        return self.user, self.password

    @contextmanager
    def session(self, admin: bool = False) -> Iterator[Session]:
        """Commands to the server: to dump, or with the rights to restore."""
        if not self.placement.local:
            raise SourceError(
                f"source {self.source}: a MongoDB server is reached from the host, not in its container",
                hint="publish its port on 127.0.0.1, set `host` and `port`, and leave out `placement`",
            )
        user, password = self.identity(admin)
        how: dict[str, Any] = {"host": self._members}
        if self.replica_set:
            how["replicaSet"] = self.replica_set
        else:
            how["directConnection"] = len(self._members) == 1
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
            self.source, self.place, **{key: one for key, one in how.items() if one is not None}
        ) as session:
            yield session

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
        words = [
            self.program(name),
            "--host=" + (f"{self.replica_set}/{hosts}" if self.replica_set else hosts),
        ]
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
        descriptor, path = tempfile.mkstemp(prefix="mongodb-", suffix=".yaml", dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                # a JSON text is a YAML one, if what is not ASCII is left as it is
                quoted = json.dumps(str(password.reveal()), ensure_ascii=False)
                file.write(f"password: {quoted}\n")
            yield (*words, "--config=" + path)
        finally:
            os.unlink(path)


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
