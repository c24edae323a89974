# SPDX-License-Identifier: GPL-3.0-or-later
"""What the configuration may say of a MongoDB source, and what of it cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ConfigError
from ...model import Option, Secret
from ...placement import Placement
from .server import Server
from .target import unfit

OPTIONS = (
    Option("databases", "texts", default=()),
    Option("host", default="127.0.0.1"),
    Option("port", "integer", default=27017),
    Option("replica_set"),
    Option("user"),
    Option("password", "secret"),
    Option("restore_user"),
    Option("restore_password", "secret"),
    Option("auth_source", default="admin"),
    Option(
        "auth_mechanism",
        choices=("SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "MONGODB-X509"),
    ),
    Option("tls", "boolean", default=False),
    Option("tls_ca_file"),
    Option("tls_certificate_file"),
    Option("programs_path"),
)


def check_databases(source: str, databases: Sequence[str]) -> None:
    """Raise ConfigError for a name that is none."""
    for database in databases:
        why = unfit(database)
        if why:
            raise ConfigError(
                f"source {source}: databases: {database!r} {why}",
                hint="leave `databases` out to have all of them in one archive",
            )
    if len(set(databases)) < len(databases):
        raise ConfigError(f"source {source}: databases: one is named twice")


def server(
    source: str,
    placement: Placement,
    *,
    host: str = "127.0.0.1",
    port: int = 27017,
    replica_set: str | None = None,
    user: str | None = None,
    password: Secret | None = None,
    restore_user: str | None = None,
    restore_password: Secret | None = None,
    auth_source: str = "admin",
    auth_mechanism: str | None = None,
    tls: bool = False,
    tls_ca_file: str | None = None,
    tls_certificate_file: str | None = None,
    programs_path: str | None = None,
) -> Server:
    """The server that these options mean; raises ConfigError."""
    for one, needed, what in (
        (password, user, "user"),
        (restore_password, restore_user, "restore_user"),
    ):
        if one is not None and not needed:
            raise ConfigError(f"source {source}: {what}: missing, and there is a password for it")
    if (tls_ca_file or tls_certificate_file) and not tls:
        raise ConfigError(f"source {source}: tls: set it to true, or leave out its files")
    return Server(
        source=source,
        placement=placement,
        host=host,
        port=port,
        replica_set=replica_set or "",
        user=user or "",
        password=password,
        restore_user=restore_user or "",
        restore_password=restore_password,
        auth_source=auth_source,
        auth_mechanism=auth_mechanism or "",
        tls=tls,
        tls_ca_file=tls_ca_file or "",
        tls_certificate_file=tls_certificate_file or "",
        programs_path=programs_path or "",
    )
