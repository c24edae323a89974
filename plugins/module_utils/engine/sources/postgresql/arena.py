# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a throw-away PostgreSQL server for a drill: its own cluster, a unix socket, no network."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import MissingDependency
from ...model import Command
from ...process import run
from ...throwaway import give, program, server_user, serving, socket_folder

PORT = 5432  # only the name of its socket: nothing listens
ADMIN = "postgres"
_SOCKET = f".s.PGSQL.{PORT}"
# Where Debian and the PostgreSQL project's RPMs keep several versions side by side.
_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_INITDB_S = 300.0
# Hardly any memory. What lies on disk is synced as on a real server, or its time would tell nothing.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "dynamic_shared_memory_type": "mmap",  # in its own directory: nothing else is left by a kill
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
}


@contextmanager
def server(source: str, directory: Path, major: int, folder: str) -> Iterator[tuple[Path, str]]:
    """A server of version `major`, or the next newer one: (the directory of its socket, of its programs).

    Raises MissingDependency, SourceError. Everybody who can reach the socket is its superuser: only its
    own user, and root, can.
    """
    programs = _programs(major, folder)
    user = server_user()
    give(directory, user)
    data = directory / "data"
    words = ("--pgdata", str(data), "--username", ADMIN, "--auth", "trust", "--encoding", "UTF8")
    argv = (programs + "/initdb", *words, "--locale", "C", "--no-sync")
    run(Command(argv, {"LC_ALL": "C"}, cwd="/", user=user), timeout_s=_INITDB_S, dies_with_us=True)
    with socket_folder(directory, _SOCKET, user) as sockets:
        settings = {**_SETTINGS, "unix_socket_directories": str(sockets)}
        given = tuple(word for key, text in settings.items() for word in ("-c", f"{key}={text}"))
        command = Command(
            (programs + "/postgres", "-D", str(data), "-p", str(PORT), *given),
            {"LC_ALL": "C"},
            cwd="/",
            user=user,
        )
        # SIGQUIT: at once, and its shared memory goes with it
        with serving(source, command, lambda: _answers(data), signal.SIGQUIT):
            yield sockets, programs


def _answers(data: Path) -> bool:
    """The last line of its pid file says when it takes connections, see pg_ctl."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
    except (OSError, IndexError):
        return False


def _programs(major: int, folder: str) -> str:
    """The directory of the server programs of `major`, else of the oldest newer version."""
    hint = (
        f"install the package postgresql-{major}, whose own server need not run; or drill elsewhere"
    )
    if folder:
        return os.path.dirname(program("initdb", folder, hint))
    found = [str(path) for pattern in _FOLDERS for path in Path("/").glob(pattern)]
    fitting = [one for one in found if os.access(one + "/initdb", os.X_OK) and _major(one) >= major]
    if not fitting:
        one = os.path.dirname(os.path.realpath(program("initdb", "", hint)))
        if _major(one) < major:
            raise MissingDependency(
                f"the PostgreSQL server programs here are of version {_major(one)}, and the backup is"
                f" from {major}",
                hint=hint,
            )
        return one
    return min(fitting, key=_major)


def _major(folder: str) -> int:
    told = run(Command((folder + "/postgres", "--version")))
    version = re.search(rb"\) (\d+)", told)
    return int(version.group(1)) if version else 0
