# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away MariaDB server with one database of about the asked size; stopped by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path


class MariaDB:
    """Socket only, for the user who measures. `rows` as in database.Database."""

    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, size_mb: int, rows: str) -> None:
        self._wanted_mb, self._rows = size_mb, rows
        self._me = pwd.getpwuid(os.geteuid()).pw_name
        self._folder = Path(tempfile.mkdtemp(prefix="lb-my-"))  # a short path: sockets have a limit
        self._socket = str(self._folder / "s")

    def __enter__(self) -> MariaDB:
        data = f"--datadir={self._folder}/data"
        argv = ["mariadb-install-db", "--no-defaults", data, f"--user={self._me}"]
        argv += ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={self._me}"]
        subprocess.run(argv, check=True, cwd="/", capture_output=True)
        server = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin") or "mariadbd"
        argv = [server, "--no-defaults", data, f"--socket={self._socket}", f"--user={self._me}"]
        argv += ["--skip-networking", f"--log-error={self._folder}/log"]
        argv += ["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=1G"]
        self._process = subprocess.Popen(argv, cwd="/", stdout=subprocess.DEVNULL)
        for _attempt in range(300):
            time.sleep(0.1)
            done = subprocess.run([*self._client(), "-e", "select 1"], capture_output=True)
            if done.returncode == 0:
                break
        self._sql("create database bench")
        self._fill()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(120)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def size_mb(self) -> int:
        return int(
            self._sql(
                "select sum(data_length + index_length) >> 20 from information_schema.tables"
                " where table_schema = 'bench'"
            )
        )

    @property
    def source(self) -> dict[str, object]:
        return {"type": "mariadb", "database": "bench", "socket": self._socket}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        words = ["--single-transaction", "--quick", "--routines", "--events", "--hex-blob"]
        argv = ["mariadb-dump", "--no-defaults", f"--socket={self._socket}", *words, "bench"]
        return argv, dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The client that reads a dump into the new, empty database `name`."""
        self._sql(f"drop database if exists {name}; create database {name}")
        return [*self._client(), name], dict(os.environ)

    def into(self, name: str) -> str:
        return name

    def drop(self, name: str) -> None:
        self._sql(f"drop database if exists {name}")

    def _client(self) -> list[str]:
        return ["mariadb", "--no-defaults", f"--socket={self._socket}"]

    def _sql(self, text: str, database: str = "") -> str:
        argv = [*self._client(), "-N", "-B", *([database] if database else [])]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def _fill(self) -> None:
        rows = self._wanted_mb * 5000
        note = "repeat(md5(seq % 1000), 3)" if self._rows == "mixed" else "repeat('x', 96)"
        code = "md5(rand())" if self._rows == "mixed" else "md5(seq % 1000)"
        self._sql(
            f"""
            create table orders (id bigint primary key, customer int, at datetime, note text, code char(32));
            insert into orders select seq, seq % 50021, now() - interval seq second, {note}, {code}
                from seq_1_to_{rows};
            create table customers as select seq id, md5(seq) name from seq_1_to_50021;
            analyze table orders, customers;
            """,
            "bench",
        )
