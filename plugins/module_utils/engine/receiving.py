# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiving host knows: where the copies of each client lie, and how long those are kept."""

from __future__ import annotations

import grp
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import VERSION, Configuration
from .config import parse as parse_configuration
from .errors import ConfigError
from .model import Option, Secret
from .options import check_options

_TOP = (
    Option("version", "integer", required=True),
    Option("host", required=True),
    Option("clients", "mapping", required=True),
    # host -> what a pruner is told of it (configuring.pruner), its destination being a directory here
    Option("hosts", "mapping", default={}),
)
_CLIENT = (Option("path", required=True), Option("group", required=True))


@dataclass(frozen=True)
class Client:
    """One user of the receiving host."""

    name: str
    path: str
    group: str

    def gid(self) -> int:
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise ConfigError(
                f"clients.{self.name}.group: there is no group {self.group!r} on this host",
                hint="run site.yml for this host",
            ) from None


@dataclass(frozen=True)
class Receiving:
    clients: tuple[Client, ...]
    retention: Configuration  # of this host as the pruner of those that send; no jobs of its own


def load(path: Path) -> Receiving:
    """What a JSON file says; raises ConfigError."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"this host receives nothing: there is no {path}",
            hint="define backup_storage_clients for it and run site.yml",
        ) from None
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path} cannot be read: {exc}", hint="run this as root") from None
    return parse(mapping)


def parse(mapping: Any) -> Receiving:
    top = check_options("", mapping, _TOP)
    clients = tuple(_client(name, body) for name, body in sorted(top["clients"].items()))
    pruned: Mapping[str, Any] = {
        "version": VERSION,
        "host": top["host"],
        "destinations": {},
        "jobs": {},
        "prunes": {"at": "daily", "hosts": top["hosts"]},
    }
    return Receiving(clients, parse_configuration(dict(pruned, version=top["version"]), _no_secret))


def _client(name: str, body: Any) -> Client:
    given = check_options(f"clients.{name}", body, _CLIENT)
    return Client(name, given["path"], given["group"])


def _no_secret(name: str) -> Secret:
    raise ConfigError(
        f"the credential {name!r}: a receiving host needs none for its own directories"
    )
