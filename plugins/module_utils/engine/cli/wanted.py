# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which job and backup an operator means by one word."""

from __future__ import annotations

from typing import Any

from ..errors import FormatError, UsageError
from ..naming import parse_id
from ..operations import catalog
from .session import Session


def meant(session: Session, what: str | None) -> list[tuple[Any, str]]:
    """(job, id) pairs for a job's name, an id, or nothing (all jobs)."""
    jobs = session.configuration.jobs
    if what is None:
        return [(job, "latest") for job in jobs.values()]
    if what in jobs:
        return [(jobs[what], "latest")]
    try:
        parse_id(what)
    except FormatError:
        raise UsageError(
            f"{what!r} is neither a job nor a backup id",
            hint="the jobs here are: " + ", ".join(sorted(jobs)),
        ) from None
    for job in jobs.values():
        listed, _lost = catalog.holdings(job, job.host)
        if any(one.id == what for one in listed):
            return [(job, what)]
    raise UsageError(f"no job here has a backup {what}", hint="`lifeboat list` shows them all")
