# SPDX-License-Identifier: GPL-3.0-or-later
"""Notice that two hosts write under one name, and say so where whoever prunes can read it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from ..errors import FormatError, LifeboatError
from ..files import make_private, read_small, write
from ..job import Job
from ..naming import mark_key, parse_id
from ..operations.backup.backup import Report
from ..operations.copies.catalog import copies_at
from ..operations.copies.strangers import strangers
from ..operations.standing.history import past
from ..paths import Paths
from ..stored import Mark

_NOTED = 50  # ids


def note(paths: Paths, job: str, id_: str) -> None:
    """That a backup is begun here: a killed run has no line in the history, and may have stored all."""
    place = paths.begun(job)
    with suppress(OSError, LifeboatError):
        make_private(place.parent, 0o750)
        kept = [*_noted(paths, job)[-_NOTED:], id_]
        write(place, "".join(f"{one}\n" for one in kept).encode(), 0o640, owner_of=place.parent)


def known(paths: Paths, job: str) -> set[str]:
    """The ids of the backups of a job that were begun here."""
    made = {str(entry.get("id") or "") for entry in past(paths.history, job)}
    return {one for one in {*made, *_noted(paths, job)} if one}


def told_of_strangers(
    job: Job, ours: Collection[str], report: Report, clock: Callable[[], datetime]
) -> Report:
    """The report, with a remark where a backup of this name and job is there that is as young as this host's
    last ones, and was not begun here. It is marked `stranger`: nobody prunes then, here or elsewhere.

    A run goes on: a host that was built anew has no history.
    """
    outcomes = []
    for outcome in report.outcomes:
        found = _marked(job, outcome.destination, ours, clock()) if outcome.done else ""
        if found:
            told = f"{found} was not made here: do two hosts have the name {job.host}?"
            outcome = replace(outcome, remarks=(*outcome.remarks, told))
        outcomes.append(outcome)
    return replace(report, outcomes=tuple(outcomes))


def _marked(job: Job, destination: str, ours: Collection[str], at: datetime) -> str:
    """The newest stranger at a destination, which is marked; "" = none."""
    there = job.destination(destination)
    try:
        found = strangers(there, job.host, job.name, copies_at(there, job.host, job.name), ours)
    except LifeboatError:
        return ""  # a remark is not worth failing for; who prunes looks again
    if not found:
        return ""
    with suppress(LifeboatError):
        there.put(mark_key(job.host, job.name, found[0].id, Mark("stranger", at)), b"")
    return found[0].id


def _noted(paths: Paths, job: str) -> list[str]:
    try:
        lines = read_small(paths.begun(job)).decode(errors="replace").split()
    except (OSError, LifeboatError):
        return []
    return [one for one in lines if _is_id(one)]


def _is_id(text: str) -> bool:
    try:
        parse_id(text)
    except FormatError:
        return False
    return True
