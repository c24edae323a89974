# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a throw-away MongoDB server for a drill: a unix socket, no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import MissingDependency
from ...model import Command
from ...process import run
from ...throwaway import give, program, server_user, serving, socket_folder

_SOCKET = "drill.sock"
_DEFAULT = "mongodb-27017.sock"  # mongod makes one of its own too: see --unixSocketPrefix
_HINT = "install mongod (the package mongodb-org-server), whose own server need not run; or drill elsewhere"


@contextmanager
def server(source: str, directory: Path, version: str) -> Iterator[Path]:
    """A server at least as new as the backup's (`version`): the path of its socket.

    Raises MissingDependency, SourceError. It knows no users: only its own user, and root, can reach the
    socket.
    """
    daemon = program("mongod", "", _HINT)
    user = server_user()
    give(directory, user)
    told = run(Command((daemon, "--version"))).decode("utf-8", "replace")
    if _numbers(told) < _numbers(version):
        raise MissingDependency(
            f"mongod here is older than the {version} that the backup is from", hint=_HINT
        )
    data = directory / "data"
    run(Command(("mkdir", "-m", "700", str(data)), user=user))
    with socket_folder(directory, _DEFAULT, user) as sockets:
        socket = sockets / _SOCKET
        words: tuple[str, ...] = (
            f"--dbpath={data}",
            f"--bind_ip={socket}",
            f"--unixSocketPrefix={sockets}",
        )
        words += (
            "--wiredTigerCacheSizeGB=0.25",
            "--setParameter=diagnosticDataCollectionEnabled=0",
        )
        with serving(
            source, Command((daemon, *words), cwd=str(directory), user=user), socket.exists
        ):
            yield socket


def _numbers(text: str) -> tuple[int, ...]:
    """(7, 0) of "db version v7.0.14"."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(int(one) for one in found.groups()) if found else (0,)
