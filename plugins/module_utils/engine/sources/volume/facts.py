# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup says about a volume and the containers that use it: enough to make them anew, no secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from ... import ownership
from ...anchor import anchored
from ...containers import Engine, status_of
from ...errors import SourceError
from ..trees import tar as tree_tar

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
    where = str(found["Mountpoint"])
    if os.path.normpath(where) != where or not os.path.isabs(where):
        raise SourceError(f"{engine.where}volume {volume} is said to lie at {where!r}")
    if _of_another(engine):
        with anchored(os.path.dirname(where)) as here:
            require_theirs(engine, here, os.path.basename(where))
    return where


def require_theirs(engine: Engine, here: str, *names: str) -> None:
    """Raise unless the anchored directory `here`, and what is there of `names`, belong to the user whose
    podman told root where a volume lies: what it tells is theirs to write.
    """
    if not _of_another(engine):
        return
    try:
        account = ownership.known(engine.user)
    except KeyError:
        raise SourceError(f"{engine.where}there is no user {engine.user} on this host") from None
    for name in ("", *names):
        path = os.path.join(here, name)
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if name else 0))
        except FileNotFoundError:
            continue
        try:
            found = os.fstat(opened)
        finally:
            os.close(opened)
        ours = ownership.belongs(found.st_uid, account)
        if not ours or not stat.S_ISDIR(found.st_mode):
            raise SourceError(
                f"{engine.where}{path} is not a directory of the user {engine.user}, whose"
                " podman says that a volume lies there",
                hint="see `podman volume inspect` as that user; root touches nothing of others there",
            )


def _of_another(engine: Engine) -> bool:
    return os.geteuid() == 0 and engine.user != "root"


def started(having: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """When each of these was started last, of those that ever were."""
    found = {name_of(one): str(one["State"].get("StartedAt", "")) for one in having}
    return {name: at for name, at in found.items() if not at.startswith("0001-")}


def unstoppable(using: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why these containers cannot be stopped and started again as they are."""
    told = []
    for one in using:
        if (one.get("HostConfig") or {}).get("AutoRemove"):
            told.append(
                f"container {name_of(one)} was made with --rm, and is lost when it is stopped: end"
                " what runs it before (a systemd unit, compose)"
            )
        elif status_of(one) == "paused":
            told.append(f"container {name_of(one)} is paused: let it go on, or stop it")
    return told


def require_stoppable(engine: Engine, using: Sequence[Mapping[str, Any]]) -> None:
    """Raises SourceError."""
    for told in unstoppable(using):
        what, _colon, hint = told.partition(": ")
        raise SourceError(engine.where + what, hint=hint)


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
        "containers": [engine.image_of(one) for one in using],
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
