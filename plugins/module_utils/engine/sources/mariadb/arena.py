# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a throw-away MariaDB or MySQL server for a drill: its own data directory, a unix socket, no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import LifeboatError, MissingDependency
from ...model import Command
from ...process import run
from ...throwaway import give, program, server_user, serving, socket_folder
from .programs import MARIADB, MYSQL, flavour_of

ADMIN = "root"
_SOCKET = "mariadb.sock"
_INSTALL_S = 300.0
_PACKAGES = {"MariaDB": "mariadb-server", "MySQL": "mysql-server"}
# Hardly any memory. What lies on disk is synced as on a real server, or its time would tell nothing.
_SETTINGS = (
    "--skip-networking",
    "--innodb-buffer-pool-size=64M",
    "--max-allowed-packet=1G",
    "--event-scheduler=OFF",
    "--skip-log-bin",
)
# Its own two places for files and for another protocol's socket are on the host, or are not there.
_OF_MYSQL = ("--secure-file-priv=NULL", "--mysqlx=OFF")


@contextmanager
def server(source: str, directory: Path, version: str, folder: str) -> Iterator[Path]:
    """A server of the family that the backup's server (`version`) is of: the path of its socket.

    Raises MissingDependency, SourceError. Its root has no password: only its own user, and root, can
    reach the socket.
    """
    flavour = flavour_of(version)
    daemon = _daemon(flavour, folder)
    user = server_user()
    give(directory, user)
    data = f"--datadir={directory / 'data'}"
    if flavour == MARIADB:
        install = program("mariadb-install-db", folder, _hint(flavour))
        argv: tuple[str, ...] = (
            install,
            "--no-defaults",
            data,
            "--skip-test-db",
            "--skip-name-resolve",
        )
        argv += ("--auth-root-authentication-method=normal",)
    else:
        argv = (daemon, "--no-defaults", "--initialize-insecure", data)
    # As it starts, a server removes what it takes for its own temporary tables, also another server's.
    where: dict[str, Any] = {"cwd": str(directory), "env": {"TMPDIR": str(directory)}, "user": user}
    run(Command(argv, **where), timeout_s=_INSTALL_S, dies_with_us=True)
    with socket_folder(directory, _SOCKET, user) as sockets:
        socket = sockets / _SOCKET
        settings = _SETTINGS + (_OF_MYSQL if flavour == MYSQL else ())
        words = (f"--socket={socket}", f"--pid-file={directory / 'pid'}", *settings)
        command = Command((daemon, "--no-defaults", data, *words), **where)
        with serving(source, command, socket.exists):
            yield socket


def _daemon(flavour: str, folder: str) -> str:
    """The server program of this family; a `mysqld` may be either's."""
    for name in ("mariadbd", "mysqld"):
        try:
            found = program(name, folder, _hint(flavour))
            told = run(Command((found, "--no-defaults", "--version")))
        except LifeboatError:
            continue
        if flavour_of(told.decode("utf-8", "replace")) == flavour:
            return found
    raise MissingDependency(
        f"a server program of {flavour} is not on this machine, and a drill needs it",
        hint=_hint(flavour),
    )


def _hint(flavour: str) -> str:
    package = _PACKAGES[flavour]
    return f"install the package {package}, whose own server need not run; or drill elsewhere"
