"""A throw-away PostgreSQL server (unix socket, and loopback TCP with scram), and ways to use it."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from lifeboat.model import Command, Secret, SourceRecord, Workspace
from lifeboat.pipeline import Pipeline, feed
from lifeboat.sources.postgresql.source import PostgreSQL

_FOUND = sorted(glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin"))
BIN = _FOUND[-1] if _FOUND else os.path.dirname(shutil.which("pg_ctl") or "")
OS_USER = "postgres" if os.geteuid() == 0 else ""
PASSWORD = r"se:cr\et'42"
HBA = """
local all,replication postgres peer map=us
local all all             trust
host  all all 127.0.0.1/32 scram-sha-256
"""


def as_server_user(*argv: str) -> list[str]:
    return ["runuser", "-u", OS_USER, "--", *argv] if OS_USER else list(argv)


@dataclass
class Server:
    folder: Path
    port: int
    killed: bool = False
    programs: str = BIN
    settings: tuple[str, ...] = ()  # "wal_level=logical"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def control(self, *words: str) -> None:
        done = subprocess.run(
            as_server_user(self.programs + "/pg_ctl", "-D", str(self.data), "-w", "-s", *words),
            cwd="/",
            env=self.locales(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + (self.folder / "log").read_text()

    def locales(self) -> dict[str, str]:
        """The environment in which the server knows the locales that were made for it, and no others."""
        made = self.folder / "locales"
        return {**os.environ, **({"LOCPATH": str(made), "LANGUAGE": ""} if made.exists() else {})}

    def start(self) -> None:
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        options += "".join(f" -c {one}" for one in self.settings)
        self.control("-l", str(self.folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """SIGKILL the server and what it forked, as a power cut would."""
        self.killed = True
        postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        for pid in [postmaster] + [pid for pid, parent in pairs if parent == postmaster]:
            os.kill(pid, signal.SIGKILL)

    def environment(self, user: str = "postgres") -> dict[str, str]:
        return {
            **os.environ,
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": user,
            "PGCLIENTENCODING": "UTF8",
        }

    def sql(self, text: str, database: str = "postgres", user: str = "postgres") -> str:
        argv = [self.programs + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            as_server_user(*argv) if user == "postgres" else argv,
            input=text,
            env={**self.environment(user), "PGDATABASE": database},
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def psql(self, database: str) -> subprocess.Popen[bytes]:
        """A session that stays: write to its stdin; close it to end it."""
        return subprocess.Popen(
            as_server_user(self.programs + "/psql", "-X", "-q", "-A", "-t"),
            env={**self.environment(), "PGDATABASE": database},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )

    def databases(self) -> list[str]:
        return self.sql("SELECT datname FROM pg_database WHERE NOT datistemplate").split("\n")

    def source(self, database: str = "shop", **options: Any) -> PostgreSQL:
        chosen = {"host": str(self.folder), "port": self.port, **options}
        if not OS_USER:
            chosen.setdefault("user", "postgres")
        return PostgreSQL("db", database=database, **chosen)


def make_locales(folder: Path, names: tuple[str, ...]) -> None:
    """Those of `names` (de_DE), in UTF-8, for one server: this machine keeps the ones it has."""
    folder.mkdir(mode=0o755)
    for name in names:
        argv = ["localedef", "-i", name, "-f", "UTF-8", str(folder / (name + ".UTF-8"))]
        try:
            subprocess.run(argv, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("localedef, or the sources of locales, are not here (Debian: locales)")


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    """Servers, all stopped and removed at the end. A unix socket's path must be short: not tmp_path."""
    if not os.path.exists(BIN + "/pg_ctl"):
        pytest.skip("no PostgreSQL server programs here")
    made: list[Server] = []

    def make(
        programs: str = BIN, settings: tuple[str, ...] = (), locales: tuple[str, ...] = ()
    ) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="lb-pg-", dir="/tmp"))
        folder.chmod(0o755)
        if OS_USER:
            shutil.chown(folder, OS_USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = Server(folder, probe.getsockname()[1], programs=programs, settings=settings)
        made.append(server)
        if locales:
            make_locales(folder / "locales", locales)
        words = ("-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "UTF8")
        subprocess.run(
            as_server_user(programs + "/initdb", "--no-sync", "--locale=C.UTF-8", *words),
            cwd="/",
            env=server.locales(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        us = OS_USER or _my_name()
        (server.data / "pg_ident.conf").write_text(f"us {us} postgres\n")
        (server.data / "pg_hba.conf").write_text(HBA)
        server.start()
        return server

    yield make
    for server in made:
        if not server.killed and (server.data / "postmaster.pid").exists():
            server.control("-m", "immediate", "stop")
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def server(make_server: Callable[[], Server]) -> Server:
    return make_server()


@pytest.fixture
def make_standby(tmp_path: Path) -> Iterator[Callable[[Server], Server]]:
    """A server that follows another one, and has replayed all that it has written."""
    made: list[Server] = []

    def make(primary: Server) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="lb-pg-", dir="/tmp"))
        folder.chmod(0o755)
        if OS_USER:
            shutil.chown(folder, OS_USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            standby = Server(folder, probe.getsockname()[1])
        words = ["-D", str(standby.data), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run(
            as_server_user(BIN + "/pg_basebackup", *words),
            env=primary.environment(),
            cwd="/",
            check=True,
        )
        made.append(standby)
        standby.start()
        written = primary.sql("SELECT pg_current_wal_lsn()")
        for _wait in range(100):
            if standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == "t":
                return standby
            time.sleep(0.1)
        raise AssertionError("the standby does not follow")

    yield make
    for standby in made:
        standby.control("-m", "immediate", "stop")
        shutil.rmtree(standby.folder)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


class FilePlain:
    """ports.Plain on a file, without encryption."""

    def __init__(self, part: str, format_: str, path: Path) -> None:
        self.part, self.format, self._path = part, format_, path

    def feed(self, command: Command) -> None:
        with Pipeline(self._path, []) as flow:
            feed(flow, command)

    def save(self, path: Path) -> None:
        shutil.copy(self._path, path)

    def read(self, consume: Callable[[BinaryIO], Any]) -> Any:
        with open(self._path, "rb") as stream:
            return consume(stream)


@dataclass
class Backup:
    record: SourceRecord
    plains: dict[str, FilePlain]
    inventory: bytes
    warnings: tuple[str, ...]
    by_hand: dict[str, str]


def back_up(source: PostgreSQL, work: Workspace, folder: Path) -> Backup:
    """What the engine does with a source, without compression, encryption and destinations."""
    folder.mkdir(exist_ok=True)
    plains, warnings, by_hand = {}, (), {}
    with source.open(work) as dump:
        for stream in dump.streams():
            path = folder / stream.part
            with Pipeline(stream.feed, [], tap=stream.tap) as flow, open(path, "wb") as out:
                for block in flow.blocks():
                    out.write(block)
                flow.check()
            complaint = stream.complaint(flow.head, flow.tail, flow.plain_bytes)
            assert complaint == ""
            if stream.finish:
                warnings += stream.finish(flow.feed_status, flow.feed_said)
            by_hand[stream.part] = stream.by_hand
            plains[stream.part] = FilePlain(stream.part, stream.extension, path)
        inventory = dump.inventory()
        content = inventory.path.read_bytes()
        facts = {**dump.facts, **dump.private}  # as the engine has them at a restore
        record = SourceRecord(
            "db", source.kind, "good", dump.taken_at, facts, inventory.totals, inventory.digest
        )
    return Backup(record, plains, content, warnings, by_hand)


def secret(text: str = PASSWORD) -> Secret:
    return Secret.of(text)


def _my_name() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
