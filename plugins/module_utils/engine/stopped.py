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
from .files import open_regular, remove, write
from .progress import Told

log = logging.getLogger(__name__)
_NOTES = "stopped-*.json"
_MOST = 1 << 20  # bytes of a note


@contextmanager
def stopped(engine: Engine, containers: Sequence[str], folder: Path, name: str) -> Iterator[None]:
    """Stop these, newest first, and start them in reverse when the block ends; one whose process dies
    leaves its note in `folder` for `resume`. Raises SourceError when one cannot be started again.
    """
    note = folder / f"stopped-{name}.json"
    if not containers:
        yield
        return
    told = {"engine": engine.program, "user": engine.user, "containers": list(containers)}
    write(note, json.dumps(told).encode())
    try:
        for one in containers:
            engine.stop(one)
        yield
    finally:
        left, gone = start(engine, list(reversed(containers)))
        if gone:
            raise SourceError(
                f"{engine.where}container {', '.join(gone)} was stopped, and is gone since",
                hint=f"see what removed it, make it anew, and remove {note}",
            )
        if left:
            raise SourceError(
                f"{engine.where}container {', '.join(left)} was stopped and does not start again",
                hint=f"see why: {engine.program} logs {left[0]}; each run and `lifeboat recover` try again",
            )
        remove(note)


def start(engine: Engine, containers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Start each; those that did not start, and those that are no longer there."""
    left: list[str] = []
    gone: list[str] = []
    for one in containers:
        try:
            engine.start(one)
        except SourceAbsent:
            log.error("container=%s gone, not started again", one)
            gone.append(one)
        except LifeboatError as exc:
            log.error("container=%s not started again: %s", one, " | ".join(exc.lines()))
            left.append(one)
    return left, gone


def notes(folder: Path) -> list[Path]:
    """What killed processes left in `folder`, the directory of a job."""
    return sorted(folder.glob(_NOTES))


def resume(folder: Path) -> list[Told]:
    """Start what a killed process had stopped; a sentence for each note.

    A note says as whom: root's may say anybody, any other user's only that user.
    """
    told: list[Told] = []
    for note in notes(folder):
        try:
            content, writer = _read(note)
            body = json.loads(content)
            engine, names = str(body["engine"]), [str(one) for one in body["containers"]]
            user = str(body.get("user", writer))
        except FileNotFoundError:
            continue
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            LifeboatError,
        ) as exc:
            told.append(Told(f"{note} cannot be read: {exc}", False))
            continue
        theirs = writer in ("root", user)
        if engine not in ENGINES or not theirs or any(one.startswith("-") for one in names):
            told.append(Told(f"{note} is not what lifeboat writes", False))
            continue
        left, gone = start(Engine(engine, user), list(reversed(names)))
        if gone:
            told.append(
                Told(
                    f"container {', '.join(gone)} was stopped for a backup and is gone since: make it"
                    f" anew, and remove {note}",
                    False,
                )
            )
            continue
        if left:
            waiting = ", ".join(left)
            told.append(
                Told(f"container {waiting} was stopped for a backup and does not start", False)
            )
            continue
        remove(note)
        told.append(Told(f"container {', '.join(names)} was stopped for a backup and runs again"))
    return told


def _read(note: Path) -> tuple[bytes, str]:
    """(content, who wrote it), of one and the same file: its name may lead to another in a moment."""
    with os.fdopen(open_regular(note, os.O_RDONLY), "rb") as there:
        return there.read(_MOST), pwd.getpwuid(os.fstat(there.fileno()).st_uid).pw_name
