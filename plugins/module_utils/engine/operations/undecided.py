# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell destinations of a restore that is neither confirmed nor undone: whoever prunes there waits for that.

Marks `restored` and `settled` beside the manifest that was restored from. Best effort: a destination
that does not take them is told, and costs nobody a restore; a forgotten `restored` holds for 7 days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import LifeboatError
from ..job import Job
from ..model import Mark
from ..naming import mark_key
from ..progress import Event, Listener, silent
from .journal import UNDONE, Journal, journals


def announce(
    job: Job, journal: Journal, destinations: Iterable[str], listener: Listener = silent
) -> Journal:
    """Before anything live is touched. The journal with the names of those that took it."""
    mark, took = Mark("restored", journal.begun_at), []
    for name in destinations:
        if _put(job, journal, name, mark, listener):
            took.append(name)
    return replace(journal, told=tuple(took))


def settled(
    job: Job,
    done: Iterable[Journal],
    directory: Path,
    now: datetime,
    listener: Listener = silent,
) -> None:
    """After these restores were confirmed, undone or taken back. `directory`: of all journals."""
    left = (one for one in journals(directory, job.name) if one.step != UNDONE)
    waiting = {(one.backup_host, one.backup_id) for one in left}
    for journal in done:
        if (journal.backup_host, journal.backup_id) in waiting:
            continue  # the mark that is there is for that one too
        # Later than `restored`, which has the second that the restore began in.
        mark = Mark("settled", max(now, journal.begun_at + timedelta(seconds=1)))
        for name in journal.told:
            _put(job, journal, name, mark, listener)


def _put(job: Job, journal: Journal, name: str, mark: Mark, listener: Listener) -> bool:
    host = journal.backup_host or job.host
    try:
        destination = job.destination(name)
        destination.put(mark_key(host, job.name, journal.backup_id, mark), b"")
    except LifeboatError as exc:  # an identity that may only read cannot say so there
        listener(Event("mark", name, problem=str(exc)))
        return False
    return True
