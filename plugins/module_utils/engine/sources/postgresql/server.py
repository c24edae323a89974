# SPDX-License-Identifier: GPL-3.0-or-later
"""Who we are on a PostgreSQL server: one identity to dump, one to restore, and the programs for it."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import SourceAbsent, SourceError
from ...model import Secret
from ...placement import Placement
from .programs import Programs, find_programs
from .session import Access, Session, password_file


@dataclass(frozen=True)
class Server:
    """The server of one source. Nothing is connected before `access(...).session(...)`."""

    source: str  # its name, for errors
    placement: Placement
    host: str  # "" or a directory = the local socket
    port: int
    sslmode: str
    user: str
    password: Secret | None
    restore_user: str
    restore_password: Secret | None
    admin_os_user: str
    maintenance: str  # a database to be connected to while others are renamed
    programs_path: str

    @property
    def place(self) -> str:
        return f"{self.host or 'the local socket'}:{self.port}"

    def typed(self, program: str) -> str:
        """A client as somebody types it who may all, with what it would look for elsewhere."""
        found = {"-h": self.host, "-p": "" if self.port == 5432 else str(self.port)}
        found["-U"] = self.restore_user
        words = "".join(f" {key} {shlex.quote(one)}" for key, one in found.items() if one)
        as_admin = os.geteuid() == 0 and self.on_host and not self.restore_user
        before = f"runuser -u {shlex.quote(self.admin_os_user)} -- " if as_admin else ""
        return f"{before}{program}{words}"

    @property
    def on_host(self) -> bool:
        """Whether the server's files are this host's own, and its system user's."""
        return self.placement.local and (not self.host or self.host.startswith("/"))

    @contextmanager
    def access(self, admin: bool = False, folder: Path | None = None) -> Iterator[Access]:
        """The way to the server: to dump, or with the rights to restore. `folder` is private."""
        user, password, placement = self.user, self.password, self.placement
        if admin and self.restore_user:
            user, password = self.restore_user, self.restore_password
        elif os.geteuid() == 0 and self.on_host and (admin or not (user or password)):
            user, password = "", None  # no server has a role `root`; its own system user may all
            self._require_admin()
            placement = Placement(as_user=self.admin_os_user)
        psql = find_programs(self.placement, self.programs_path, 0).path("psql")
        with password_file(password if placement.local else None, folder) as path:
            yield Access(
                source=self.source,
                placement=placement,
                host=self.host,
                port=self.port,
                user=user,
                sslmode=self.sslmode,
                psql=psql,
                passfile=path,
                password=None if placement.local else password,
                maintenance=self.maintenance,
            )

    def _require_admin(self) -> None:
        try:
            pwd.getpwnam(self.admin_os_user)
        except KeyError:
            raise SourceAbsent(
                f"source {self.source}: there is no user {self.admin_os_user} on this host, as a"
                " PostgreSQL server has",
                hint="install PostgreSQL here, or set `host`, or `admin_os_user`",
            ) from None

    @contextmanager
    def admin(self, target: str) -> Iterator[Session]:
        """A session that may restore, in a database that is not `target`."""
        with self.access(admin=True) as access, access.session(self.beside(target)) as session:
            yield session

    def beside(self, target: str) -> str:
        return self.maintenance if self.maintenance != target else "template1"

    def programs(self, number: int) -> Programs:
        """The client programs of a server with this server_version_num; raises MissingDependency."""
        return find_programs(self.placement, self.programs_path, number // 10000)

    def refuse_pooler(self, access: Access, session: Session, database: str) -> None:
        """A pooler gives its server's connection to the next one who asks while we still hold ours."""
        pid = "SELECT pg_catalog.pg_backend_pid()"
        mine = session.ask(pid)
        with access.session(database) as other:
            if other.ask(pid) == mine:
                raise SourceError(
                    f"source {self.source}: {self.place} is a connection pooler that shares"
                    " sessions; a snapshot does not survive in it",
                    hint="set `host` and `port` to the PostgreSQL server itself",
                )
