"""The servers of the demo: loopback or a socket only, in processes of ours, stopped by process id."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START_S = 30


class Failed(Exception):
    """A server did not do what was asked of it."""


@dataclass(frozen=True)
class S3:
    endpoint: str

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="eu-west-3",
            aws_access_key_id="demo",
            aws_secret_access_key="not-a-secret-on-loopback",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def make_bucket(self, name: str) -> None:
        self._client().create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
        )

    def save_objects(self, bucket: str, folder: Path) -> None:
        """The server keeps them in memory: write them down for those who want to look."""
        client = self._client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", ()):
                path = folder / found["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, found["Key"], str(path))


@contextmanager
def s3(program: Path, log: Path) -> Iterator[S3]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with _process(
        [str(program), "-H", "127.0.0.1", "-p", str(port)], log, signal.SIGTERM
    ) as server:
        _wait(server, "the S3 server", lambda: _answers(endpoint))
        yield S3(endpoint)


@dataclass(frozen=True)
class PostgreSQL:
    programs: Path
    folder: Path  # of the socket
    version: str

    def run(self, database: str, statements: str) -> str:
        command = [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(self.folder), "-d", database, "-c", statements]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr.strip()}")
        return done.stdout

    def rows(self, database: str, query: str) -> list[str]:
        """Nothing where the database is not there."""
        there = self.run("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{database}'")
        return self.run(database, query).splitlines() if there.strip() else []


def postgresql_programs() -> Path | None:
    """The newest directory that has a whole server."""
    on_path = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders.sort(key=lambda one: [int(number) for number in re.findall(r"\d+", str(one))])
    if on_path:
        folders.insert(0, Path(on_path).resolve().parent)
    wanted = ("initdb", "postgres", "psql", "pg_dump", "pg_restore")
    whole = [one for one in folders if all((one / program).exists() for program in wanted)]
    if os.geteuid() == 0 and _server_user() is None:
        return None
    return whole[-1] if whole else None


@contextmanager
def postgresql(programs: Path, log: Path) -> Iterator[PostgreSQL]:
    """A cluster of its own in a temporary directory: a socket's path may have 107 bytes only."""
    runs_as = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-demo-", dir="/tmp"))
    try:
        if runs_as:
            os.chown(folder, pwd.getpwnam(runs_as).pw_uid, pwd.getpwnam(runs_as).pw_gid)
        data = str(folder / "data")
        initdb = [
            str(programs / "initdb"),
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
        ]
        initdb += ["--locale=C.UTF-8", "--no-sync"]
        with open(log, "ab") as out:
            subprocess.run(
                initdb, cwd=folder, stdout=out, stderr=out, user=runs_as, check=True, timeout=120
            )
        serve = [
            str(programs / "postgres"),
            "-D",
            data,
            "-k",
            str(folder),
            "-c",
            "listen_addresses=",
        ]
        serve += ["-c", "fsync=off"]
        # SIGINT is its fast shutdown
        with _process(serve, log, signal.SIGINT, cwd=folder, user=runs_as) as server:
            made = PostgreSQL(programs, folder, _version(programs))
            _wait(server, "PostgreSQL", lambda: _ready(programs, folder))
            as_owner = [
                str(programs / "psql"),
                "-X",
                "-q",
                "-h",
                str(folder),
                "-U",
                "postgres",
                "-d",
                "postgres",
            ]
            name = user_name().replace('"', '""')
            if name != "postgres":
                subprocess.run(
                    [*as_owner, "-c", f'CREATE ROLE "{name}" SUPERUSER LOGIN'],
                    check=True,
                    timeout=60,
                )
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def user_name() -> str:
    """What the client programs call this user."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root; None = as whoever we are."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


def _version(programs: Path) -> str:
    told = subprocess.run(
        [programs / "postgres", "--version"], stdout=subprocess.PIPE, text=True, check=True
    )
    return re.findall(r"\d[\d.]*", told.stdout)[0]


def _ready(programs: Path, folder: Path) -> bool:
    command = [programs / "pg_isready", "-q", "-h", folder]
    return subprocess.run(command, check=False, timeout=30).returncode == 0


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _process(
    command: list[str],
    log: Path,
    stop: signal.Signals,
    cwd: Path | None = None,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """In a session of its own, so that Ctrl-C reaches us first."""
    with open(log, "ab") as out:
        running = subprocess.Popen(
            command,
            cwd=cwd,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        running.send_signal(stop)
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _wait(server: subprocess.Popen[bytes], name: str, ready: Any) -> None:
    deadline = time.monotonic() + _START_S
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{name} did not start, see the log")
        time.sleep(0.1)
