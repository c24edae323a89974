# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which job and backup an operator means by one word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ..errors import FormatError, UsageError
from ..job import Job
from ..naming import parse_id
from ..operations.copies import bundle, catalog
from ..ports import Destination
from ..registry import bundle as bundle_at
from .session import Session


def meant(session: Session, what: str | None) -> list[tuple[Any, str]]:
    """(job, id) pairs for a job's name, an id, or nothing (all jobs)."""
    jobs = session.configuration.jobs
    if what is None:
        return [(job, "latest") for job in jobs.values()]
    if what in jobs:
        return [(jobs[what], "latest")]
    if what.endswith(".tar"):
        job, id_ = from_bundle(session, what)
        return [(replace(job, host=host_of(job)), id_)]
    try:
        parse_id(what)
    except FormatError:
        raise UsageError(
            f"{what!r} is neither a job nor a backup id, nor a .tar",
            hint="the jobs here are: " + ", ".join(sorted(jobs)),
        ) from None
    for job in jobs.values():
        listed, _lost = catalog.holdings(job, job.host)
        if any(one.id == what for one in listed):
            return [(job, what)]
    raise UsageError(f"no job here has a backup {what}", hint="`lifeboat list` shows them all")


def from_bundle(session: Session, path: str, name: str = "") -> tuple[Job, str]:
    """(the job of a bundle, which then has no other destination; the id of its backup). A job that is
    not configured here has no sources: its bytes can be verified, and no more."""
    held = bundle_at(path)
    bundle.check_sum(Path(path))
    if name and held.job != name:
        raise UsageError(
            f"{path} holds a backup of job {held.job}, not of {name}",
            hint=f"restore job {held.job}, if there is one here",
        )
    known = session.configuration.jobs.get(held.job)
    job = known or Job(held.job, held.host, "production", (), (), ())
    return replace(job, destinations=(cast(Destination, held),)), held.id


def host_of(job: Job) -> str:
    """Whose backup the bundle of `from_bundle` holds."""
    return str(getattr(job.destinations[0], "host", job.host))
