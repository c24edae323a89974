# SPDX-License-Identifier: GPL-3.0-or-later
"""Write existing backups again for the present recipients, and say what became of each."""

from __future__ import annotations

from typing import Any

from ..operations.upkeep import rekey
from ..registry import FILTERS
from . import rescue, watch
from .incidents import used
from .output import Output, table
from .session import Session, now, remember


def rekey_(session: Session, asked: Any, out: Output) -> int:
    """0 when every backup is encrypted to the present recipients, 3 when some are not, 1 when none could be."""
    job = session.job(asked.job)
    listener = watch.listener(quiet=asked.quiet)
    key = rescue.identity(asked.identity)
    with session.hold(job, "rekey", listener=listener):
        stale, done = rekey.plan(job)
        if asked.dry_run:
            for one in stale:
                if one.unsigned:
                    out.note(f"{one.id}: {one.unsigned}")
            for left in done:
                out.note(f"{left.id}: {left.problem}")
            out.result([one.id for one in stale], "\n".join(one.id for one in stale))
            return 0
        spool = session.area(job, rescue=True).spool
        for one in stale:
            more = (listener, asked.allow_unsigned)
            done.append(rekey.rekey(job, one, spool, FILTERS, key, now, *more))
        written = {one.id: one.new_id for one in done if one.new_id}
        if stale:
            remember(session, listener, "rekey", job.name, written=written, key=used(key))
    told = [
        {
            "id": one.id,
            "new_id": one.new_id,
            "done": one.done,
            "problem": one.problem,
            "destinations": {each.destination: each.state for each in one.outcomes},
        }
        for one in done
    ]
    rows = [
        [
            one.id,
            one.new_id or "-",
            ", ".join(f"{each.destination}:{each.state}" for each in one.outcomes) or "-",
            one.problem or "; ".join(each.error for each in one.outcomes if each.error),
        ]
        for one in done
    ]
    shown = table(["ID", "NOW", "COPIES", "PROBLEM"], rows) if rows else "nothing to rekey"
    out.result(told, shown)
    if all(one.done for one in done):
        return 0
    return 3 if any(one.done for one in done) or not stale else 1
