"""Throw-away Redis and Valkey servers (a unix socket, and loopback TCP), and ways to use them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.model import Workspace
from lifeboat.sources.redis.source import Redis, Valkey

ADMIN = "s e:cr\"et'42ü"  # of the default user, where a server has one
KINDS = {"redis": Redis, "valkey": Valkey}


class Server:
    """`settings` are lines of its configuration file; the data lies in `data`."""

    def __init__(self, product: str, *settings: str) -> None:
        self.product = product
        self.folder = Path(tempfile.mkdtemp(prefix="lb-redis-", dir="/tmp"))
        self.data = self.folder / "data"
        self.data.mkdir()
        self.settings = list(settings)
        self.port = 65535
        while self.port > 55535:  # a cluster has another one, 10000 higher
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.folder / "redis.sock")

    @property
    def guarded(self) -> bool:
        return any(line.startswith("requirepass") for line in self.settings)

    @property
    def config(self) -> Path:
        return self.folder / "redis.conf"

    def start(self) -> Server:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"unixsocket {self.socket}",
            f"dir {self.data}",
            "save ''",
            "repl-diskless-sync-delay 0",
            "enable-debug-command yes",
            *self.settings,
        ]
        if not self.config.exists():
            self.config.write_text("\n".join(lines) + "\n")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [f"{self.product}-server", str(self.config)], stdout=log, stderr=log
            )
        self.wait()
        return self

    def wait(self) -> None:
        for _attempt in range(400):
            done = self.cli("PING", check=False)
            if done in ("PONG", "NOAUTH Authentication required."):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self.process is not None:
            os.kill(self.process.pid, how)
            self.process.wait()
            self.process = None
            Path(self.socket).unlink(missing_ok=True)

    def restart(self, how: int = signal.SIGKILL) -> None:
        self.stop(how)
        self.start()

    def cli(
        self, *words: str, database: int = 0, stdin: bytes | None = None, check: bool = True
    ) -> str:
        where = ["-s", self.socket, "-n", str(database)]
        done = subprocess.run(
            [f"{self.product}-cli", *where, *words],
            input=stdin,
            capture_output=True,
            env={**os.environ, **({"REDISCLI_AUTH": ADMIN} if self.guarded else {})},
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def pour(self, *commands: tuple[bytes | str, ...], database: int = 0) -> None:
        """Commands whose words may hold any byte, with one line as answer, through one connection."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10.0)
            link.connect(self.socket)
            answers = link.makefile("rb")
            first = [("AUTH", ADMIN)] if self.guarded else []
            for command in (*first, ("SELECT", str(database)), *commands):
                raw = [word if isinstance(word, bytes) else word.encode() for word in command]
                link.sendall(b"*%d\r\n" % len(raw))
                link.sendall(b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw))
                answer = answers.readline()
                assert not answer.startswith(b"-"), (command, answer)
                if answer.startswith(b"$") and answer != b"$-1\r\n":
                    answers.read(int(answer[1:]) + 2)

    def save(self) -> None:
        """What a server without an append-only file has after a crash."""
        while self.cli("SAVE") != "OK":  # a child that fed a replica is not reaped at once
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def keys(self, database: int = 0) -> int:
        return int(self.cli("DBSIZE", database=database))

    def source(self, **options: Any) -> Any:
        kind = KINDS[self.product]
        return kind(name="cache", **{"socket": self.socket, **options})


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    """Servers, all stopped and removed at the end. A unix socket's path must be short: not tmp_path."""
    made: list[Server] = []

    def make(product: str = "redis", *settings: str) -> Server:
        if shutil.which(f"{product}-server") is None:
            pytest.skip(f"{product}-server is not installed")
        server = Server(product, *settings)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")
