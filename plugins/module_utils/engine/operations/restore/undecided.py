# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell destinations of a restore that is neither confirmed nor undone: whoever prunes there waits for that.

Marks `restored` and `settled` beside the manifest that was restored from. Best effort: a destination
that does not take them costs nobody a restore, but the operator is told that it is not held; a
forgotten `restored` holds for 7 days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ...errors import LifeboatError
from ...job import Job
from ...naming import mark_key
from ...progress import Event, Listener, silent
from ...stored import Mark
from .journal import DISCARDING, UNDONE, Journal, journals, save


def announce(
    job: Job,
    journal: Journal,
    destinations: Iterable[str],
    directory: Path,
    listener: Listener = silent,
) -> Journal:
    """Before anything live is touched. The journal with the names of those that took it, and of those
    that did not. Who is killed in between leaves one that names all: `settled` alone does no harm.
    """
    mark, names = Mark("restored", journal.begun_at), tuple(destinations)
    journal = replace(journal, told=names)
    save(directory, journal)
    took = tuple(name for name in names if _put(job, journal, name, mark, listener))
    deaf = tuple(
        name for name in names if name not in took and _pruned_elsewhere(job, journal, name)
    )
    return replace(journal, told=took, deaf=deaf)


def unheld(journal: Journal) -> list[str]:
    """What it means, in a sentence for each destination that does not know of the restore."""
    return [
        f"{name} is NOT held: it does not take marks from here (an identity that may only read cannot"
        f" write there), so who prunes there does not wait for this restore, and may delete backups of"
        f" {journal.job} before you have confirmed or undone it; until then stop pruning there"
        " (on the pruner: systemctl stop lifeboat-prune.timer), or keep what you may still need with"
        f" `lifeboat pin {journal.backup_id}` on a host that may write there"
        for name in journal.deaf
    ]


def settled(
    job: Job,
    journal: Journal,
    directory: Path,
    now: datetime,
    listener: Listener = silent,
) -> None:
    """After it was confirmed, undone or taken back. `directory`: of all journals."""
    waiting = {
        (one.backup_host, one.backup_id)
        for one in journals(directory, job.name)
        if one.token != journal.token and one.step not in (UNDONE, DISCARDING)
    }
    if (journal.backup_host, journal.backup_id) in waiting:
        return  # the mark that is there is for that one too
    # Later than `restored`, which has the second that the restore began in.
    mark = Mark("settled", max(now, journal.begun_at + timedelta(seconds=1)))
    for name in journal.told:
        _put(job, journal, name, mark, listener)


def _pruned_elsewhere(job: Job, journal: Journal, name: str) -> bool:
    """Whether anybody prunes there who does not see the journal of this host."""
    return name not in job.prunes or (journal.backup_host or job.host) != job.host


def _put(job: Job, journal: Journal, name: str, mark: Mark, listener: Listener) -> bool:
    host = journal.backup_host or job.host
    try:
        destination = job.destination(name)
        destination.put(mark_key(host, job.name, journal.backup_id, mark), b"")
    except LifeboatError as exc:  # an identity that may only read cannot say so there
        listener(Event("mark", name, problem=str(exc)))
        return False
    return True
