# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a backup's files into a directory, and ask for those in cold storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..job import Job
from ..operations.copies import catalog
from ..operations.copies.fetching import DAYS, Fetched, fetch_backup
from ..operations.copies.next_best import naming_the_next
from ..units import human_size
from . import watch
from .output import Output
from .session import Session, now, remember
from .wanted import meant


def fetch_(session: Session, asked: Any, out: Output) -> int:
    """0 the files are there; 1 not yet: they thaw."""
    job, id_ = meant(session, asked.what)[0]
    listener = watch.listener(quiet=asked.quiet)
    with session.hold(job, "fetch", listener=listener):
        at, fetched = fetch_one(
            job,
            catalog.Wanted(id=id_, at=asked.at),
            asked.from_host or job.host,
            Path(asked.directory),
            thaw=asked.thaw,
            tier=asked.tier,
            listener=listener,
        )
        remember(session, listener, "fetch", job.name, id=fetched.manifest.id)
    told = fetched_mapping(fetched, at)
    if fetched.waiting:
        out.result(told, "")
        out.note(waiting_text(fetched, at))
        return 1
    out.result(told, f"{asked.directory}: {fetched.manifest.id} from {at}, every byte proved")
    return 0


def fetch_one(
    job: Job, wanted: catalog.Wanted, host: str, directory: Path, **how: Any
) -> tuple[str, Fetched]:
    """(destination, what was fetched from it) of the backup that is meant. Also used by a module."""
    listed, lost = catalog.holdings(job, host, wanted.at)
    if not listed and lost:
        raise lost[0][1]
    holding, _remark = catalog.choose(listed, wanted, job.name, now())
    at = holding.committed_at[0]
    how["signers"] = job.signers
    with naming_the_next(job, host, listed, wanted, now()):
        return at, fetch_backup(job.destination(at), host, job.name, holding.id, directory, **how)


def waiting_text(fetched: Fetched, at: str) -> str:
    """What is being thawed, how long that takes and what to do then."""
    size = human_size(sum(one.size_bytes for one in fetched.waiting))
    classes = ", ".join(sorted({one.storage_class for one in fetched.waiting}))
    hours = ", ".join(sorted({one.hours for one in fetched.waiting if one.hours})) or "hours"
    return (
        f"{len(fetched.waiting)} archives ({size}) of {fetched.manifest.id} at {at} are being thawed "
        f"from {classes}: it takes {hours} from when it was asked for, and {DAYS} days they can be "
        "read then. The provider bills the retrieval. Come back with the same command."
    )


def fetched_mapping(fetched: Fetched, at: str) -> dict[str, Any]:
    """As --json prints it and archive_fetch returns it."""
    return {
        "id": fetched.manifest.id,
        "destination": at,
        "files": list(fetched.files),
        "waiting": [
            {
                "key": one.key,
                "state": one.state,
                "storage_class": one.storage_class,
                "hours": one.hours,
            }
            for one in fetched.waiting
        ],
    }
