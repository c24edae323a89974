# SPDX-License-Identifier: GPL-3.0-or-later
"""What the configuration may say of a PostgreSQL source, and what of it cannot be."""

from __future__ import annotations

from ...errors import ConfigError, SourceError
from ...model import Option, Secret
from ...options import IDENTITIES
from ...placement import Placement
from .server import Server
from .session import NAME_BYTES

_MOST_PARALLEL = 64
OPTIONS = (
    Option("database", required=True),
    Option("host", default=""),  # "" or a directory = the local socket
    Option("port", "integer", default=5432),
    *IDENTITIES,  # no user = the role of the system user's name
    Option("admin_os_user", default="postgres"),
    Option("maintenance_database", default="postgres"),
    Option("sslmode", default=""),
    Option("lock_timeout", "duration", default="5m"),
    Option("parallel", "integer", default=1),
    Option("programs_path", default=""),
)


def server(
    source: str,
    placement: Placement,
    *,
    host: str = "",
    port: int = 5432,
    user: str = "",
    password: Secret | None = None,
    restore_user: str = "",
    restore_password: Secret | None = None,
    admin_os_user: str = "postgres",
    maintenance_database: str = "postgres",
    sslmode: str = "",
    programs_path: str = "",
) -> Server:
    """The server that these options mean."""
    return Server(
        source=source,
        placement=placement,
        host=host or "",
        port=port,
        sslmode=sslmode or "",
        user=user or "",
        password=password,
        restore_user=restore_user or "",
        restore_password=restore_password,
        admin_os_user=admin_os_user,
        maintenance=maintenance_database,
        programs_path=programs_path or "",
    )


def check_parallel(source: str, parallel: int, placement: Placement) -> None:
    """Raises ConfigError."""
    if not 1 <= parallel <= _MOST_PARALLEL or (parallel > 1 and not placement.local):
        raise ConfigError(
            f"source {source}: parallel: {parallel}: write 1 to {_MOST_PARALLEL}, and 1 in a container",
            hint="each is a connection of its own, and its files must lie on this host",
        )


def check_name(source: str, database: str) -> None:
    """Raises SourceError."""
    if not database or "\0" in database or len(database.encode("utf-8")) > NAME_BYTES:
        raise SourceError(
            f"source {source}: {database!r} is not a database name",
            hint=f"a name has 1 to {NAME_BYTES} bytes; the server cuts longer ones",
        )
