# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away PostgreSQL server with one database of about the asked size; stopped by its own pid file."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path


class Database:
    """Socket only, trust for whoever may enter its directory.

    rows: "pgbench" = what everybody can make again (it compresses very well); "mixed" = texts and
    random values (it halves), which shows what encrypting and hashing cost.
    """

    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, folder: Path, size_mb: int, rows: str) -> None:
        self._wanted_mb, self._rows = size_mb, rows
        self._user = "postgres" if os.geteuid() == 0 else ""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self._bin = found[-1] if found else os.path.dirname(shutil.which("pg_ctl") or "")
        self.sockets = Path(tempfile.mkdtemp(prefix="lb-pg-"))  # a short path: sockets have a limit
        self._data = self.sockets / "data"
        if self._user:
            shutil.chown(self.sockets, self._user)
            self.sockets.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self) -> Database:
        self._run("initdb", "-D", str(self._data), "--auth=trust", "-N", "-U", "postgres")
        options = f"-k {self.sockets} -p {self.port} -c listen_addresses= -c max_wal_size=4GB"
        self._run(
            "pg_ctl",
            "-D",
            str(self._data),
            "-w",
            "-l",
            str(self.sockets / "log"),
            "-o",
            options,
            "start",
        )
        self.sql("create role bench login superuser; create database bench owner bench")
        self._fill()
        return self

    def __exit__(self, *exc: object) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "fast", "stop")
        shutil.rmtree(self.sockets, ignore_errors=True)

    @property
    def size_mb(self) -> int:
        return int(self.sql("select pg_database_size('bench') >> 20", "bench"))

    def program(self, name: str) -> str:
        return f"{self._bin}/{name}"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PGHOST": str(self.sockets),
            "PGPORT": str(self.port),
            "PGUSER": "bench",
        }

    @property
    def source(self) -> dict[str, object]:
        return {
            "type": "postgresql",
            "database": "bench",
            "host": str(self.sockets),
            "port": self.port,
            "user": "bench",
        }

    def dump(self) -> tuple[list[str], dict[str, str]]:
        argv = [self.program("pg_dump"), "-Fc", "-Z0", "--no-password", "bench"]
        return argv, self.environment()

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The program that reads a dump into the new, empty database `name`."""
        self.drop(name)
        self.sql(f"create database {name}")
        return [self.program("pg_restore"), "--exit-on-error", "-d", name], self.environment()

    def into(self, name: str) -> str:
        return name

    def drop(self, name: str) -> None:
        self.sql(f"drop database if exists {name}")

    def sql(self, text: str, database: str = "postgres") -> str:
        argv = [
            self.program("psql"),
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database,
        ]
        environment = {
            **self.environment(),
            "PGUSER": "postgres" if database == "postgres" else "bench",
        }
        done = subprocess.run(
            argv, input=text, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def _fill(self) -> None:
        if self._rows == "pgbench":
            scale = str(max(1, self._wanted_mb // 15))  # a scale of 1 is 15 MB
            argv = [self.program("pgbench"), "-i", "-q", "-s", scale, "bench"]
            subprocess.run(argv, env=self.environment(), check=True, capture_output=True)
            return
        rows = self._wanted_mb * 5000
        self.sql(
            f"""
            create table orders (id bigint, customer int, at timestamptz, note text, code uuid);
            insert into orders select n, n % 50021, now() - n * interval '1 second',
                repeat(md5((n % 1000)::text), 3), gen_random_uuid() from generate_series(1, {rows}) n;
            create table customers as select n id, md5(n::text) name from generate_series(1, 50021) n;
            alter table orders add primary key (id);
            vacuum analyze;
            """,
            "bench",
        )

    def _run(self, program: str, *words: str) -> None:
        argv = [self.program(program), *words]
        if self._user:
            argv = ["runuser", "-u", self._user, "--", *argv]
        subprocess.run(argv, check=True, cwd="/", stdout=subprocess.DEVNULL)
