# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which restore an undo means, in words that nobody mistakes. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError
from ...job import Job
from ...units import iso
from .journal import SWAPPED, UNDONE, Journal
from .settle import nothing_to_undo


def named(journal: Journal) -> str:
    """By what it brought and when it began: one backup may be restored twice."""
    return f"the restore of {journal.backup_id} that began {iso(journal.begun_at)}"


def meant(job: Job, done: Sequence[Journal], id_: str = "", earlier: bool = False) -> Journal:
    """The restore that is to be undone: the last that is not. `done`: all of the job, oldest first.

    id_: of the backup that it restored, if it was named. Where the last one is undone already, whoever
    types the same again shall not lose another by it: the one before it has to be asked for, as `earlier`
    or by its own id. Raises UsageError.
    """
    swapped = [one for one in done if one.step == SWAPPED]
    last = done[-1] if done else None
    if last is not None and last.step == UNDONE and not earlier and id_ in ("", last.backup_id):
        raise _undone(job, last, swapped)
    if swapped and id_ not in ("", swapped[-1].backup_id):
        if any(one.backup_id == id_ for one in swapped):
            raise UsageError(
                f"{named(swapped[-1])} came after that of {id_}: it has to be undone first",
                hint=f"lifeboat undo {job.name} {swapped[-1].backup_id}",
            )
        raise nothing_to_undo(job, id_)
    if not swapped:
        raise nothing_to_undo(job, id_)
    return swapped[-1]


def in_place(journal: Journal, done: Sequence[Journal]) -> str:
    """What lies there now that it is undone. `done`: all of the job, oldest first."""
    before = f"in place is what was there before it, at {iso(journal.begun_at)}"
    left = [one for one in done if one.step == SWAPPED]
    if not left:
        return before
    return (
        f"{before}; {named(left[-1])} is not undone: `lifeboat undo {journal.job} --earlier` goes"
        " back before that one too"
    )


def _undone(job: Job, last: Journal, swapped: Sequence[Journal]) -> UsageError:
    way = f"`lifeboat confirm {job.name}` lets go of what it brought; to have that back, restore it again"
    if swapped:
        way = (
            f"to go back before {named(swapped[-1])} too, type `lifeboat undo {job.name} --earlier`;"
            f" {way}"
        )
    return UsageError(
        f"{named(last)} is undone already: {in_place(last, ())}; nothing was touched", hint=way
    )
