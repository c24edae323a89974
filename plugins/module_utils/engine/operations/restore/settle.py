# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes after a restore: undo it, let go of what it replaced, or settle one that was cut off.

The caller holds the job's lock. Only the journal and the world are asked, never memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ...errors import LifeboatError, RestoreError, UsageError
from ...job import Job
from ...model import Swap
from ...ports import Source
from ...progress import Event, Listener, Told, silent
from ...retention import UNDECIDED_FOR
from . import around, undecided
from .journal import (
    DISCARDING,
    RETURNING,
    SWAPPED,
    SWAPPING,
    UNDOING,
    UNDONE,
    Journal,
    advance,
    forget,
    journals,
)

_OLD = "the old state is in place"
KEPT_FOR = UNDECIDED_FOR  # what a restore replaced stays so long, unless confirmed before


def undo(
    job: Job,
    directory: Path,
    now: datetime,
    services: bool = True,
    listener: Listener = silent,
) -> Journal:
    """Put back what the last restore replaced; what it restored is kept beside. Raises UsageError if none.

    `services`: those of the job are stopped meanwhile. One that does not start again, or does not
    work, is a RestoreError; the old state is in place then all the same.
    """
    swapped = [one for one in journals(directory, job.name) if one.step == SWAPPED]
    if not swapped:
        raise nothing_to_undo(job)
    journal = swapped.pop()
    swaps = [_undoing(_source(job, journal, swap), swap) for swap in journal.swaps]
    try:
        return _undo(job, directory, journal, swaps, services)
    finally:  # also where it was undone, and then something did not work
        for one in journals(directory, job.name):
            if one.token == journal.token and one.step == UNDONE:
                undecided.settled(job, one, directory, now, listener)


def nothing_to_undo(job: Job, id_: str = "") -> UsageError:
    """`id_`: of the backup whose restore was to be undone, where one was named."""
    return UsageError(
        f"job {job.name} has no restore {f'of {id_} ' if id_ else ''}that can be undone",
        hint="there was none, or what it replaced was let go of (confirmed, or a later restore after"
        f" 7 days: `lifeboat history {job.name}`); restore a backup instead: `lifeboat list {job.name}`",
    )


def _undo(
    job: Job, directory: Path, journal: Journal, swaps: list[Swap], services: bool
) -> Journal:
    running = around.running(job) if services else ()
    journal = advance(directory, journal, UNDOING, swaps, running)
    try:
        around.stop(job, running)
    except LifeboatError as exc:
        around.start(job, running)
        advance(directory, journal, SWAPPED, stopped=())
        raise RestoreError(f"{exc}; nothing was undone", detail=exc.detail, hint=exc.hint) from exc
    lost = _back(job, journal)
    left = around.start(job, running)
    journal = advance(directory, journal, UNDONE, stopped=(), lost=lost)
    try:
        if left:
            raise RestoreError("; ".join(left))
        if services:
            around.wait_until_healthy(job)
    except LifeboatError as exc:
        raise RestoreError(
            f"undone: {_old(lost)}; but {exc}", detail=exc.detail, hint=exc.hint
        ) from exc
    return journal


def confirm(job: Job, directory: Path, now: datetime, listener: Listener = silent) -> list[Journal]:
    """Let go of what restores replaced (or of what was restored, where undone). Returns those journals."""
    done = journals(directory, job.name)
    for journal in done:
        _let_go(job, directory, journal, now, listener)
    return done


def expire(job: Job, directory: Path, now: datetime, listener: Listener = silent) -> list[Journal]:
    """`confirm` for restores older than KEPT_FOR. One that cannot be let go of is told, and keeps nobody
    from restoring: only space is at stake."""
    done = []
    for journal in journals(directory, job.name):
        if not journal.open and now - journal.begun_at > KEPT_FOR:
            try:
                _let_go(job, directory, journal, None)  # nobody waits for it any more
            except (LifeboatError, OSError) as exc:
                told = f"{exc}; {exc.hint}" if isinstance(exc, LifeboatError) and exc.hint else exc
                listener(Event("confirm", f"the restore of {journal.backup_id}", problem=str(told)))
            else:
                done.append(journal)
    return done


def _let_go(
    job: Job,
    directory: Path,
    journal: Journal,
    now: datetime | None,
    listener: Listener = silent,
) -> None:
    """Discard what is not in place; once begun it is only ever completed, never undone. Destinations are
    told so, at `now`, while the journal is there for whoever comes after a kill."""
    sources = [_source(job, journal, swap) for swap in journal.swaps]
    journal = advance(directory, journal, DISCARDING)
    for source, swap in zip(sources, journal.swaps):
        source.discard(swap)
    if now is not None:
        undecided.settled(job, journal, directory, now, listener)
    forget(directory, journal)


def recover(job: Job, directory: Path, now: datetime, listener: Listener = silent) -> list[Told]:
    """Finish or take back every restore that was cut off; one sentence for each, saying which state holds."""
    told = []
    for journal in journals(directory, job.name):
        if journal.open:
            told.append(settle(job, journal, directory, now, listener))
    return told


def settle(
    job: Job, journal: Journal, directory: Path, now: datetime, listener: Listener = silent
) -> Told:
    """Bring one open journal to an end. Only a restore whose every source is swapped is the new state.

    Services that the restore had stopped run again in any case. Where it is taken back, destinations
    that were told of the restore are told of that, at `now`.
    """
    where = f"restore {journal.token} of job {journal.job} from {journal.backup_id}"
    if journal.step == DISCARDING:
        _let_go(job, directory, journal, now, listener)
        return Told(f"{where}: letting go of what it replaced was cut off and is now complete")
    if journal.step == UNDOING:
        around.stop(job, journal.stopped)  # a boot, or somebody, may have started them
        lost = _back(job, journal)
        left = around.start(job, journal.stopped)
        undecided.settled(job, journal, directory, now, listener)
        advance(directory, journal, UNDONE, stopped=(), lost=lost)
        return _told(f"{where}: its undo was cut off and is now complete; {_old(lost)}", left)
    if journal.step == SWAPPING and all(
        _source(job, journal, swap).swapped(swap) for swap in journal.swaps
    ):
        left = around.start(job, journal.stopped)
        advance(directory, journal, SWAPPED, stopped=())
        return _told(f"{where} was cut off after the last swap; the new state is in place", left)
    lost = []
    if journal.step in (SWAPPING, RETURNING):
        around.stop(job, journal.stopped)
        lost = _back(job, journal)
    left = around.start(job, journal.stopped)
    for swap in journal.swaps:
        _source(job, journal, swap).discard(swap)
    undecided.settled(job, journal, directory, now, listener)
    forget(directory, journal)
    return _told(f"{where} did not come to its end and is taken back; {_old(lost)}", left)


def _told(sentence: str, left: list[str]) -> Told:
    return Told("; ".join([sentence, *left]), not left)


def _undoing(source: Source, swap: Swap) -> Swap:
    """The swap as the undo begins; all must be within reach, and kept, before the first is touched."""
    swapped = source.swapped(swap)
    note = getattr(source, "undoing", None)
    if note is None and not swapped:
        raise RestoreError(
            f"source {swap.source}: {swap.target} is not as the restore has left it, so nothing was undone",
            hint="if it was removed since, make it anew, empty, and undo again; what was there before is"
            f" {swap.kept}, as long as that is there",
        )
    return note(swap) if note else swap


def _back(job: Job, journal: Journal) -> list[str]:
    """Every source, also one that was cut off in its middle: `back` knows what is left to do. What
    could not be put back, in words."""
    lost = [_source(job, journal, swap).back(swap) for swap in reversed(journal.swaps)]
    return [told for told in lost if told]


def _old(lost: Sequence[str]) -> str:
    return ", but ".join([_OLD, *lost])


def _source(job: Job, journal: Journal, swap: Swap) -> Source:
    """Who made the swap; what another kind of source took its names for could be anything."""
    source = job.source(swap.source)
    kind = dict(journal.kinds).get(swap.source, source.kind)
    if kind != source.kind:
        raise UsageError(
            f"source {swap.source} of job {job.name} is a {source.kind} now, and was a {kind} when "
            f"backup {journal.backup_id} was restored",
            hint=f"configure it as {kind} again until that restore is confirmed or undone",
        )
    return source
