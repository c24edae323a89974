# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop containers for a while, and start them again whatever happens: who they are is on disk before."""

from __future__ import annotations

import json
import logging
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .containers import ENGINES, Engine
from .errors import LifeboatError, SourceAbsent, SourceError
from .files import read_small, remove, write

log = logging.getLogger(__name__)
_NOTES = "stopped-*.json"


@contextmanager
def stopped(engine: Engine, containers: Sequence[str], folder: Path, name: str) -> Iterator[None]:
    """Stop these, newest first, and start them in reverse when the block ends; one whose process dies
    leaves its note in `folder` for `resume`. Raises SourceError when one cannot be started again.
    """
    note = folder / f"stopped-{name}.json"
    if not containers:
        yield
        return
    write(note, json.dumps({"engine": engine.program, "containers": list(containers)}).encode())
    try:
        for one in containers:
            engine.stop(one)
        yield
    finally:
        left = start(engine, list(reversed(containers)))
        if left:
            raise SourceError(
                f"{engine.where}container {', '.join(left)} was stopped and does not start again",
                hint=f"see why: {engine.program} logs {left[0]}; each run and `lifeboat recover` try again",
            )
        remove(note)


def start(engine: Engine, containers: Sequence[str]) -> list[str]:
    """Start each; those that did not start. One that is no longer there is not missed."""
    left = []
    for one in containers:
        try:
            engine.start(one)
        except SourceAbsent:
            log.warning("container=%s gone, not started again", one)
        except LifeboatError as exc:
            log.error("container=%s not started again: %s", one, " | ".join(exc.lines()))
            left.append(one)
    return left


def notes(folder: Path) -> list[Path]:
    """What killed processes left in `folder`, the directory of a job."""
    return sorted(folder.glob(_NOTES))


def resume(folder: Path) -> list[str]:
    """Start what a killed process had stopped, as the user who stopped it; a sentence for each note."""
    told = []
    for note in notes(folder):
        try:
            body = json.loads(read_small(note))
            engine, names = str(body["engine"]), [str(one) for one in body["containers"]]
            user = pwd.getpwuid(os.lstat(note).st_uid).pw_name
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, LifeboatError) as exc:
            told.append(f"{note} cannot be read: {exc}")
            continue
        if engine not in ENGINES or any(one.startswith("-") for one in names):
            told.append(f"{note} is not what lifeboat writes")
            continue
        left = start(Engine(engine, user), list(reversed(names)))
        if left:
            told.append(f"container {', '.join(left)} was stopped for a backup and does not start")
            continue
        remove(note)
        told.append(f"container {', '.join(names)} was stopped for a backup and runs again")
    return told
