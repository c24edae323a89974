# SPDX-License-Identifier: GPL-3.0-or-later
"""Push copies that a destination misses, from any good copy that another one has."""

from __future__ import annotations

from typing import Any

from ..errors import LifeboatError
from ..job import Job
from ..operations import catalog
from ..operations.replicate import replicate
from ..progress import Listener
from . import watch
from .output import Output
from .session import Session, now, remember

_DONE = ("intact", "archived")


def push(session: Session, asked: Any, out: Output) -> int:
    """Carry every good backup to the destinations that lack it; 3 when one still lacks it."""
    job = session.job(asked.job)
    listener = watch.listener(quiet=asked.quiet)
    told: list[dict[str, str]] = []
    with session.hold(job, "push", listener=listener):
        listed, lost = catalog.holdings(job, job.host)
        told += [
            {"id": "", "destination": name, "state": "lost", "error": str(failure)}
            for name, failure in lost
        ]
        unreachable = {name for name, _failure in lost}
        for holding in listed:
            for name in _missing(job, holding, unreachable):
                told.append(_one(session, job, holding, name, listener))
        remember(session, listener, "push", job.name, outcomes=told)
    lines = [
        f"{one['id']} {one['destination']}: {one['state']}"
        + (f", {one['error']}" if one["error"] else "")
        for one in told
    ]
    out.result(told, "\n".join(lines) or "nothing is missing")
    return 0 if all(one["state"] in _DONE and not one["error"] for one in told) else 3


def _missing(job: Job, holding: catalog.Holding, unreachable: set[str]) -> list[str]:
    """Destinations without this backup. One that pruned it does not miss it."""
    if not holding.good:
        return []
    known = {
        name for name, copy in holding.copies if copy.committed or copy.latest("pruned") is not None
    }
    return [one.name for one in job.destinations if one.name not in known | unreachable]


def _one(
    session: Session, job: Job, holding: catalog.Holding, name: str, listener: Listener
) -> dict[str, str]:
    source = next(at for at, copy in holding.copies if copy.good)
    told = {"id": holding.id, "destination": name, "state": "lost", "error": ""}
    try:
        outcome = replicate(
            job.destination(source),
            job.destination(name),
            job.host,
            job.name,
            holding.id,
            session.area(job, rescue=True).spool,
            now,
            listener,
        )
    except LifeboatError as exc:
        return dict(told, error=str(exc))
    return dict(told, state=outcome.state, error=outcome.error)
