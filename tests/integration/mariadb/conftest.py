"""A throw-away MariaDB server (unix socket, and loopback TCP with passwords), and ways to use it.

A real MySQL server is tested in the same way where LIFEBOAT_TEST_MYSQLD names its mysqld; its own
mysql and mysqldump lie beside it, or on PATH.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lifeboat.model import Secret, Workspace
from lifeboat.sources.mariadb.source import MariaDB

ME = pwd.getpwuid(os.geteuid()).pw_name
PASSWORD = "s\"e'cr\\et#4 2;$"
MARIADBD = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""
MYSQLD = os.environ.get("LIFEBOAT_TEST_MYSQLD", "")


@dataclass
class Server:
    """`program` is mariadbd or mysqld; `client` the program that tests ask with."""

    program: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: Any = field(default=None, repr=False)

    @property
    def mysql(self) -> bool:
        return self.program == MYSQLD

    @property
    def socket(self) -> str:
        return str(self.folder / "s")

    @property
    def programs_path(self) -> str:
        beside = Path(MYSQLD).parent
        return str(beside) if self.mysql and (beside / "mysqldump").exists() else ""

    def client(self, name: str) -> str:
        chosen = {"mariadb": "mysql", "mariadb-dump": "mysqldump"}[name] if self.mysql else name
        return os.path.join(self.programs_path, chosen)

    @property
    def env(self) -> dict[str, str]:
        """As it starts, a server removes the temporary tables of every other in its directory for them."""
        return {**os.environ, "TMPDIR": str(self.folder)}

    def install(self) -> None:
        data = f"--datadir={self.folder}/data"
        argv = ["mariadb-install-db", "--no-defaults", data, f"--user={ME}", "--skip-test-db"]
        argv += ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={ME}"]
        if self.mysql:
            argv = [self.program, "--no-defaults", "--initialize-insecure", data, f"--user={ME}"]
        subprocess.run(argv, check=True, cwd="/", env=self.env, capture_output=True)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.program,
                "--no-defaults",
                f"--datadir={self.folder}/data",
                f"--socket={self.socket}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--user={ME}",
                f"--pid-file={self.folder}/pid",
                f"--log-error={self.folder}/log",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync" if self.mysql else "--debug-no-sync",
                "--innodb-buffer-pool-size=64M",
                "--event-scheduler=OFF",
                *(["--secure-file-priv=NULL", "--mysqlx=OFF"] if self.mysql else []),
                *self.options,
            ],
            cwd="/",
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _attempt in range(300):
            if self.ended() or self.answers():
                break
            time.sleep(0.1)
        assert self.answers(), (self.folder / "log").read_text()

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def answers(self) -> bool:
        done = subprocess.run([*self.argv("mariadb"), "-e", "select 1"], capture_output=True)
        return done.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        if not self.ended():
            self.process.terminate()
            self.process.wait(60)

    def argv(self, name: str, user: str = "") -> list[str]:
        who = user or ("root" if self.mysql else ME)
        words = [f"--socket={self.socket}", "--default-character-set=utf8mb4", f"--user={who}"]
        return [self.client(name), "--no-defaults", *words]

    def sql(self, text: str, database: str = "") -> str:
        """Statements, DELIMITER too; the answer as lines of fields with tabs between them."""
        argv = [*self.argv("mariadb"), "--batch", "--skip-column-names", "--binary-mode"]
        done = subprocess.run(
            argv + ([f"--database={database}"] if database else []),
            input=text.encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().rstrip("\n")

    def look(self, database: str) -> Any:
        """All that the dump program and the catalog tell of a database; None = it is not there.

        Triggers lose the name of their database in a restore: it goes without saying.
        """
        if database not in self.databases():
            return None
        words = ["--skip-comments", "--routines", "--events", "--triggers", "--hex-blob"]
        words += ["--order-by-primary"]  # MySQL reads what is shorter, an index too
        if self.mysql:
            words += ["--set-gtid-purged=OFF"]  # all that it ever did
        done = subprocess.run(
            [*self.argv("mariadb-dump"), *words, "--single-transaction", "--", database],
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        quoted = database.replace("`", "``")
        told = done.stdout.decode("utf-8", "surrogateescape").replace("`shop`.", "")  # of a trigger
        if self.mysql:  # a COLLATE brings the CHARACTER SET with it that it implies
            told = re.sub(r" CHARACTER SET (\w+?)( COLLATE \1_)", r"\2", told)
        return [self.sql(f"SHOW CREATE DATABASE `{quoted}`"), *told.split("\n")]

    def databases(self) -> list[str]:
        return self.sql("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").split("\n")

    def leftovers(self) -> list[str]:
        """What a restore left on the server."""
        packed = self.sql(
            "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES"
            " WHERE TABLE_NAME LIKE '%lifeboat%'"
        )
        return [one for one in self.databases() if "_lb_" in one] + packed.split()

    def drop(self, *databases: str) -> None:
        for name in databases:
            quoted = name.replace("`", "``")
            self.sql(f"DROP DATABASE IF EXISTS `{quoted}`")

    def source(self, database: str = "shop", **options: Any) -> MariaDB:
        chosen: dict[str, Any] = {"socket": self.socket, "programs_path": self.programs_path}
        if self.mysql:
            chosen.update(user="root", restore_user="root")
        return MariaDB("db", database=database, **{**chosen, **options})

    def over_tcp(self, database: str = "shop", **options: Any) -> MariaDB:
        """By the account that only dumps, with a password."""
        chosen = {"host": "127.0.0.1", "port": self.port, "user": "dumper"}
        chosen.update(password=secret(), programs_path=self.programs_path)
        return MariaDB("db", database=database, **{**chosen, **options})


def secret(text: str = PASSWORD) -> Secret:
    return Secret.of(text)


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    """Servers, all stopped and removed at the end. A unix socket's path must be short: not tmp_path."""
    made: list[Server] = []

    def make(program: str = MARIADBD, *options: str) -> Server:
        if not program:
            pytest.skip("no MariaDB server program here")
        folder = Path(tempfile.mkdtemp(prefix="lb-my-", dir="/tmp"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = Server(program, folder, probe.getsockname()[1], options)
        made.append(server)
        server.install()
        server.start()
        return server

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


@pytest.fixture(scope="session")
def make_mysql(make_server: Callable[..., Server]) -> Callable[[], Server]:
    made: list[Server] = []

    def make() -> Server:
        made.append(made[0] if made else make_server(MYSQLD))
        return made[0]

    return make
