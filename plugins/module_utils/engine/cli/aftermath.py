# SPDX-License-Identifier: GPL-3.0-or-later
"""After an operation: have its job looked at again, without keeping anybody waiting who backs up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import LifeboatError
from ..model import Command
from ..paths import Paths
from ..process import run
from . import unit
from .output import Output
from .session import Session

UNIT = "lifeboat-watch@{}.service"
CHANGE = ("run", "verify", "restore", "undo", "confirm", "prune", "push", "recover", "drill") + (
    "accept",
    "pin",
    "unpin",
    "tag",
)


def look_again(session: Session, asked: Any, out: Output) -> None:
    """Let systemd do it where it runs our units; else do it here, if there is anybody to tell.

    Whatever goes wrong is noted; the operation has ended, and its result stays.
    """
    if asked.command not in CHANGE or os.environ.get("LIFEBOAT_UNIT"):
        return  # a unit that ends has its own look started by systemd
    if getattr(asked, "dry_run", False) or (asked.command == "prune" and not asked.apply):
        return
    if asked.command == "run" and not asked.here and unit.usable(session.paths):
        return  # it ran there
    try:
        if _by_systemd(session.paths):
            return
        configuration = session.configuration
        if configuration.textfile or configuration.notify.urls or configuration.notify.ping:
            named = str(getattr(asked, "job", ""))
            names = [named] if named in configuration.jobs else sorted(configuration.jobs)
            from .freshness import check

            check(session, names, out.note)
    except (LifeboatError, OSError) as exc:
        out.note(f"the job could not be looked at again: {exc}")


def _by_systemd(paths: Paths) -> bool:
    """Whether a systemd that has our units was asked to."""
    if not (paths.units / UNIT.format("")).exists():
        return False
    system = paths.scope == "system"
    if system and (os.geteuid() != 0 or not Path("/run/systemd/system").is_dir()):
        return False
    scope = () if system else ("--user",)
    try:
        run(
            Command(("systemctl", *scope, "start", "--no-block", UNIT.format(unit.ALL))),
            timeout_s=10,
        )
    except LifeboatError:
        return False
    return True
