# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations at the servers of the lab, and a look behind their backs."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

from lifeboat.destinations.sftp.destination import SFTP
from lifeboat.model import Secret

from tests.lab import sftp as lab


def options(server: lab.Server, folder: str, **other: Any) -> dict[str, Any]:
    """What a configuration says of a directory at a server."""
    given = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "path": f"{server.path.rstrip('/')}/{folder}",
        "host_key": server.host_key,
    }
    return {**given, **other}


def place_at(server: lab.Server, **other: Any) -> SFTP:
    """An empty directory of its own, which the server has already."""
    folder = f"d-{secrets.token_hex(4)}"
    behind(server, folder).mkdir()
    if lab.ROOT:
        shutil.chown(behind(server, folder), "nobody")
    given = options(server, folder, **{"credential": Secret.of(server.key), **other})
    made = SFTP(name="attic", **given)
    made.behind = behind(server, folder)  # type: ignore[attr-defined]
    return made


def behind(server: lab.Server, folder: str) -> Path:
    return server.files / folder


def parts(place: SFTP) -> list[str]:
    """What lies there that is no object."""
    return [one.name for one in place.behind.rglob(".*")]  # type: ignore[attr-defined]
