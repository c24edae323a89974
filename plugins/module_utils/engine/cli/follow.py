# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow what an operation on a job is doing, whoever started it: `lifeboat watch JOB`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ..errors import LifeboatError
from ..files import holder, read_small
from ..operations.standing import history
from ..progress import Event
from . import watch
from .output import Output
from .session import Session

_POLL_S = 0.3


def follow(session: Session, asked: Any, out: Output) -> int:
    """Show its progress until it ends; its result is that of the operation, told by its own report."""
    job = session.job(asked.job)
    lock, path = session.paths.job_lock(job.name), session.paths.progress(job.name)
    who, seen, first = holder(lock), b"", True
    if not who:
        last = _last(session, job.name)
        out.result({"running": "", "last": last}, f"nothing is running for {job.name}; {last}")
        return 0
    out.note(f"{job.name}: {who}")
    listener = watch.listener(quiet=asked.quiet)
    while holder(lock) == who:
        told = _told(path, lock) or seen
        if told != seen:
            seen = told
            event = _event(told)
            if event is not None and first and not asked.quiet:
                out.note(watch.sentence(event) + watch.percent(event))  # it may go on for an hour
                first = False
            elif event is not None:
                listener(event)
        time.sleep(_POLL_S)
    last = _last(session, job.name)
    out.result({"running": who, "last": last}, last)
    return 0


def _told(path: Path, lock: Path) -> bytes:
    """What the operation that holds the lock wrote; empty while there is only what one before it left."""
    try:
        return read_small(path) if path.stat().st_mtime_ns >= lock.stat().st_mtime_ns else b""
    except (OSError, LifeboatError):
        return b""


def _event(told: bytes) -> Event | None:
    try:
        return watch.event_of(json.loads(told))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None


def _last(session: Session, job: str) -> str:
    """The newest run in words."""
    runs = history.past(session.paths.history, job)
    if not runs:
        return "it has not run on this host yet"
    last = runs[-1]
    how = "went well" if last.get("exit_code") == 0 else f"ended with {last.get('exit_code')}"
    return watch.shown(f"the last run, {last.get('id') or last.get('at')}, {how}")
