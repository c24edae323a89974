# SPDX-License-Identifier: GPL-3.0-or-later
"""List backups: where each has copies, what it holds, and why one does not count. Also used by modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..errors import LifeboatError
from ..files import holder
from ..job import Job
from ..operations.copies import catalog
from ..operations.copies.catalog import Holding
from ..operations.restore.journal import journals
from ..operations.standing import status
from ..retention import SKEW
from ..stored import Copy
from ..units import human_duration, iso
from .output import Output, Rows
from .session import Session, now

_HEAD = ["ID", "JOB", "TYPE", "AGE", "GOOD", "HOLDS", "COPIES", ""]
Held = Mapping[str, tuple[str, ...]]


def list_(session: Session, asked: Any, out: Output) -> int:
    """Backups of one job or of all, newest first, with the state of each copy."""
    jobs = [session.job(asked.job)] if asked.job else list(session.configuration.jobs.values())
    for job in jobs if asked.at else ():
        job.destination(asked.at)  # a name that is none is told before anything else
    moment = now()
    lost: list[str] = []
    found = (one for job in jobs for one in _found(session, asked, out, job, lost))
    if out.as_json:
        out.results(mapping(job, one, held, moment) for job, one, held in found)
    else:
        out.rows(_HEAD, Rows(_row(job, one, held, moment) for job, one, held in found))
    return 3 if lost else 0


def _found(
    session: Session, asked: Any, out: Output, job: Job, lost: list[str]
) -> Iterator[tuple[Job, Holding, Held]]:
    """The backups of one job, newest first. Destinations that could not be asked are noted, and added to
    `lost`."""
    host = asked.from_host or job.host
    listed, failures = catalog.holdings(job, host, asked.at)
    held, unlisted = sources_held(job, host, listed)
    lost += [name for name, _failure in failures]
    for name, failure in [*failures, *unlisted]:
        out.note(f"destination {name} could not be asked: {failure}")
    for one in restores(session, job):
        out.note(f"{job.name}: {one.reason}")
    for holding in listed:
        yield job, holding, held


def restores(session: Session, job: Job) -> list[status.Standing]:
    """Restores of a job that wait for somebody, as `status` and `list` tell them."""
    try:
        found = journals(session.paths.journals, job.name)
    except (LifeboatError, OSError) as exc:
        return [status.Standing(job.name, "", status.CRITICAL, str(exc))]
    return status.restores(job, found, holder(session.paths.job_lock(job.name)))


def sources_held(
    job: Job, host: str, listed: Sequence[Holding]
) -> tuple[Held, list[tuple[str, LifeboatError]]]:
    """{id: sources} of the backups that do not hold all of their job, and destinations that did not tell."""
    held: dict[str, tuple[str, ...]] = {}
    lost: list[tuple[str, LifeboatError]] = []
    parts: dict[str, set[str]] = {}
    for holding in listed:
        if holding.subset:
            parts.setdefault(holding.committed_at[0], set()).add(holding.id)
    for name, ids in parts.items():
        try:
            held.update(catalog.sources_at(job.destination(name), host, job.name, ids))
        except LifeboatError as exc:
            lost.append((name, exc))
    return held, lost


def mapping(job: Job, one: Holding, held: Held, moment: datetime) -> dict[str, Any]:
    """One backup, as --json prints it and backup_info returns it."""
    return {
        "id": one.id,
        "job": job.name,
        "type": one.type,
        "taken_at": iso(one.taken_at),
        "good": one.good,
        "why_not_good": why_not_good(one, moment),
        "subset": one.subset,
        "sources": list(held.get(one.id, ())),
        "tags": list(one.tags),
        "copies": {name: copy.state for name, copy in one.copies},
        "signed": {name: copy.signed for name, copy in one.copies},
        "locked_until": {
            name: iso(copy.locked_until) for name, copy in one.copies if copy.locked_until
        },
    }


def lacking(
    job: Job,
    listed: Sequence[Holding],
    lost: list[tuple[str, LifeboatError]],
    runs: Iterable[Mapping[str, Any]],
    at: str = "",
) -> list[str]:
    """Destinations (or `at` alone) without a good copy of any backup. One that could not be asked is
    among them until a run of this host's history (`runs`) stored something there."""
    wanted = {at} if at else {one.name for one in job.destinations}
    good = {name for holding in listed for name, copy in holding.copies if copy.good}
    took = {
        name
        for run in runs
        for name, state in (run.get("outcomes") or {}).items()
        if state in ("intact", "archived", "stored")
    }
    return sorted(wanted - good - (took & {name for name, _failure in lost}))


def why_not_good(one: Holding, moment: datetime) -> str:
    """One word: the state that keeps its best copy from counting, or "future"; "" for one that counts."""
    if one.taken_at > moment + SKEW:
        return "future"
    return one.why_not


def locked(copy: Copy, moment: datetime) -> bool:
    """Whether the destination still lets nobody delete this copy, as it told when it was stored."""
    return copy.locked_until is not None and copy.locked_until > moment


def _row(job: Job, one: Holding, held: Held, moment: datetime) -> list[str]:
    copies = ", ".join(
        f"{name}:{copy.state}" + (" (locked)" if locked(copy, moment) else "")
        for name, copy in one.copies
    )
    age = human_duration(moment - one.taken_at)
    good = why_not_good(one, moment) or "yes"
    sources = ", ".join(held.get(one.id, ("?",))) if one.subset else "all"
    flags = " ".join(_flags(one.copies[0][1]))
    unsigned = [name for name, copy in one.copies if copy.committed and not copy.signed]
    if job.signers and unsigned:
        flags = f"{flags} unsigned:{','.join(unsigned)}".strip()
    return [one.id, job.name, one.type, age, good, sources, copies, flags]


def _flags(copy: Copy) -> list[str]:
    return (["pinned"] if copy.pinned else []) + [f"tag={tag}" for tag in copy.tags]
