# SPDX-License-Identifier: GPL-3.0-or-later
"""Find backups that should have gone long ago: read off names, not off what a prune last claimed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ... import retention
from ...errors import LifeboatError
from ...job import Job
from ...stored import Copy

OVERDUE_AFTER = timedelta(days=7)


def overdue(
    job: Job, destination: str, there: Sequence[Copy], now: datetime, stale_after: timedelta
) -> list[str]:
    """The ids that retention would have deleted 7 days ago, would delete still, and that are there.

    What the destination did not let go then is retained, not forgotten. Where nothing may go at all
    (held), nothing is overdue.
    """
    then = now - OVERDUE_AFTER
    by_type = {one.type: one.keep for one in job.schedules if one.keep is not None}
    keep = job.keep_for(destination)
    known = [
        _as_of(copy, then)
        for copy in there
        if copy.committed and copy.taken_at <= then and copy.latest("pruned") is None
    ]
    try:
        due = _expired(retention.plan(known, keep, by_type, then, stale_after))
        if not due:
            return []
        late = set(_expired(retention.plan(there, keep, by_type, now, stale_after)))
    except LifeboatError:  # a policy that is none: `prune` says so
        return []
    return [id_ for id_ in due if id_ in late]


def _as_of(copy: Copy, then: datetime) -> Copy:
    """The copy as it was then; itself where nothing was said of it since, for there may be 100,000."""
    past = tuple(mark for mark in copy.marks if mark.at <= then)
    return copy if past == copy.marks else copy._replace(marks=past)


def _expired(made: retention.Plan) -> list[str]:
    return [copy.id for copy, _why in made.expired]


def said(job: Job, destination: str, late: Sequence[str]) -> str:
    """In words, what is to be said of pruning there; "" = nothing."""
    ours = destination in job.prunes
    if not late:
        return "" if ours or job.pruner else "nothing prunes here: name a host in lifeboat_pruner"
    why = f"see `lifeboat prune {job.name}`"
    if not ours:
        why = f"its pruner {job.pruner} did not" if job.pruner else "nothing prunes here"
    return "%d backups should have been pruned 7 days ago: %s" % (len(late), why)
