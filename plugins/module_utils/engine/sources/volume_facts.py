# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup says about a volume and the containers that use it: enough to make them anew, no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..containers import Engine
from ..errors import SourceError
from . import tree_tar

TREE = {"path": "/", "part": "tree"}  # the tree of a volume is all of it, wherever it lies
_DATABASES = ("PG_VERSION", "ibdata1", "WiredTiger", "mysql.ibd")  # their files, copied, are torn


def name_of(container: Mapping[str, Any]) -> str:
    return str(container["Name"]).lstrip("/")


def place(engine: Engine, volume: str) -> str:
    """The directory of the volume; raises SourceAbsent, and SourceError unless it is this host's own."""
    found = engine.volume(volume)
    if found.get("Driver") != "local" or found.get("Options"):
        raise SourceError(
            f"{engine.where}volume {volume} is not a plain one of this host",
            hint="back up what it is mounted from, as `files`",
        )
    return str(found["Mountpoint"])


def public(
    engine: Engine, volume: str, at_rest: bool, using: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The facts of a dump; anybody who reads the destination may read them."""
    return {
        "tar": tree_tar.version(),
        "trees": [dict(TREE)],
        "volume": {
            "engine": engine.program,
            "name": volume,
            "labels": dict(engine.volume(volume).get("Labels") or {}),
            "at_rest": at_rest,
        },
        "containers": [engine.image(name_of(one)) for one in using],
    }


def private(container: Mapping[str, Any]) -> dict[str, Any]:
    """What tells how a container was made, without what may hold a secret: values of variables, words
    of its command (and podman's own record of how it was called), labels. It is encrypted.
    """
    config = container.get("Config") or {}
    kept = {key: config.get(key) for key in ("Image", "User", "WorkingDir", "StopSignal")}
    kept["Env"] = [one.partition("=")[0] for one in config.get("Env") or []]
    shown = {key: container.get(key) for key in ("Id", "Name", "Created", "Image", "Mounts")}
    return {**shown, "ImageDigest": container.get("ImageDigest"), "Config": kept}


def refuse_databases(engine: Engine, volume: str, folder: str) -> None:
    """Raise where files of a database would be read while it writes them."""
    for one in _DATABASES:
        if os.path.lexists(os.path.join(folder, one)):
            raise SourceError(
                f"{engine.where}volume {volume} holds a database's files ({one}), and would be read"
                " while it writes",
                hint="back the database up by its own kind of source, or say `running: stop`",
            )
