# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a throw-away Redis or Valkey server for a drill: a unix socket, no network, nothing on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...model import Command
from ...throwaway import give, program, server_user, serving, socket_folder
from .client import VALKEY, Programs

_SOCKET = "redis.sock"


@contextmanager
def server(
    source: str, directory: Path, facts: Mapping[str, Any], programs: Programs
) -> Iterator[Path]:
    """A server of the same product, with as many databases as `facts` say: the path of its socket.

    Raises MissingDependency, SourceError. It asks for no password: only its own user, and root, can
    reach the socket. It fetches what is restored from us, as from a master.
    """
    valkey = programs.product == VALKEY.product
    name = "valkey" if valkey else "redis"
    hint = f"install the package {name}-server, whose own server need not run; or drill elsewhere"
    daemon = program(name + "-server", programs.folder, hint)
    user = server_user()
    give(directory, user)
    with socket_folder(directory, _SOCKET, user) as sockets:
        socket = sockets / _SOCKET
        settings = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(directory),
            "save": "",
            "appendonly": "no",
            "databases": str(max(16, int(facts.get("highest_database", 0)) + 1)),
        }
        words = tuple(word for key, text in settings.items() for word in ("--" + key, text))
        command = Command((daemon, *words), cwd=str(directory), user=user)
        with serving(source, command, socket.exists):
            yield socket
