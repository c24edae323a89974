# SPDX-License-Identifier: GPL-3.0-or-later
"""Say something of a backup that is there: accept, pin, unpin, tag. A mark goes to every destination."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import LifeboatError, UsageError, VerifyError
from ..job import Job
from ..naming import check_tag
from ..operations.copies import catalog
from ..stored import Mark
from . import watch
from .output import Output
from .session import Session, now, remember
from .wanted import meant

# The second last one that there is: a name may be anybody's, and of any time.
_LAST = datetime(9999, 12, 31, 23, 59, 58, tzinfo=timezone.utc)
_PRUNING = timedelta(minutes=15)  # from the mark to the deletion, and the clocks of two hosts
_KINDS = {"accept": "accepted", "pin": "pin", "unpin": "unpin", "tag": "tag"}


def mark(session: Session, asked: Any, out: Output) -> int:
    """Write one mark beside each committed copy; 3 when a destination could not take it."""
    kind = _KINDS[asked.command]
    tag = check_tag(asked.tag) if kind == "tag" else ""
    job, id_ = meant(session, asked.id)[0]
    if id_ == "latest":
        raise UsageError(f"{asked.command} wants a backup id", hint="`lifeboat list` shows them")
    listener = watch.listener(quiet=asked.quiet)
    told = []
    with session.hold(job, asked.command, listener=listener):
        listed, lost = catalog.holdings(job, job.host)
        holding, _remark = catalog.choose(listed, catalog.Wanted(id_), job.name, now())
        at = _after_all(holding)
        problems = {name: str(failure) for name, failure in lost}
        for name, copy in holding.copies:
            if copy.committed:
                told.append(name)
                try:
                    manifest = catalog.read_manifest(job.destination(name), job.host, job.name, id_)
                    catalog.put_mark(job.destination(name), manifest, Mark(kind, at, tag))
                    _see_that_it_stays(job, name, id_)
                except LifeboatError as exc:
                    problems[name] = str(exc)
        remember(session, listener, asked.command, job.name, id=id_, tag=tag)
    for name, problem in problems.items():
        out.note(f"{name}: {problem}")
    marked = [name for name in told if name not in problems]
    out.result(
        {"id": id_, "mark": kind, "tag": tag, "destinations": marked},
        f"{id_}: {kind} at {', '.join(marked) or 'no destination'}",
    )
    return 3 if problems else 0


def _see_that_it_stays(job: Job, name: str, id_: str) -> None:
    """A pruner elsewhere marks first, looks what was said, then deletes. Raises VerifyError where it may
    have looked before this was said."""
    there = catalog.copy_at(job.destination(name), job.host, job.name, id_)
    pruned = there.latest("pruned")
    if not there.committed or (pruned is not None and abs(now() - pruned.at) < _PRUNING):
        gone = "has pruned it" if not there.committed else "prunes it just now, or has tried to"
        raise VerifyError(f"somebody {gone}: see in a while whether `lifeboat list` still has it")


def _after_all(holding: catalog.Holding) -> datetime:
    """An instant later than every mark there is: the latest wins, and they differ by seconds."""
    marks = [mark.at for _name, copy in holding.copies for mark in copy.marks]
    return max([now(), *(min(at, _LAST) + timedelta(seconds=1) for at in marks)])
