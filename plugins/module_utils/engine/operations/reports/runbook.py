# SPDX-License-Identifier: GPL-3.0-or-later
"""Write this host's runbook: Markdown with its own names, for somebody at 3 a.m. Pure.

Every block of commands in it is run by a test (tests/integration/rescue/test_runbook.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...job import Job
from ...model import Needs
from ...ports import Source
from ...units import human_duration
from . import runbook_host as pages
from . import runbook_trouble as trouble

# {job: {source: how long the newest drill took to restore it, in seconds}}
Timed = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Told:
    """What people add to what the configuration says."""

    contacts: Mapping[str, str] = field(default_factory=dict)  # who: how to reach them
    notes: str = ""  # Markdown of their own


def runbook(host: str, jobs: Sequence[Job], told: Told, timed: Timed, who: str = "root") -> str:
    """The whole page. The same configuration and drills give the same text. `who` types the commands."""
    environments = ", ".join(sorted({job.environment for job in jobs}))
    parts = [
        pages.HEAD.format(host=host, environments=environments or "no job", who=who),
        *_table(jobs, timed),
        *_people(told),
    ]
    for job in jobs:
        parts += _job(job)
    parts += [
        trouble.STOPS.format(empty="".join("\n" + one + "\n" for one in _empty_servers(jobs)))
    ]
    parts += [pages.LOST_HOST.format(host=host)]
    parts += [pages.KEYS.format(recipients=_recipients(jobs))]
    each = {
        verb: "\n".join(f"lifeboat {verb} {job.name}" for job in jobs) for verb in ("prune", "push")
    }
    parts += [trouble.TROUBLE.format(prunes=each["prune"], pushes=each["push"])]
    parts += [pages.WITHOUT.format(places=_places(jobs)), pages.CHECKLISTS]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _table(jobs: Sequence[Job], timed: Timed) -> Iterator[str]:
    rows = []
    for job in jobs:
        for source in job.sources:
            promised = job.objectives_for(source.name)
            took = timed.get(job.name, {}).get(source.name)
            cells = (
                f"`{job.name}`",
                f"`{source.name}` ({source.kind})",
                human_duration(promised.rpo) if promised.rpo else "-",
                human_duration(promised.rto) if promised.rto else "-",
                f"{took:.0f} s" if took is not None else "never drilled",
            )
            rows.append("| " + " | ".join(cells) + " |")
    yield pages.TABLE.format(rows="\n".join(rows))


def _empty_servers(jobs: Sequence[Job]) -> list[str]:
    """How those servers are made anew whose kind says it."""
    found = (getattr(source, "empty_server", "") for job in jobs for source in job.sources)
    return list(dict.fromkeys(filter(None, found)))


def _people(told: Told) -> Iterator[str]:
    lines = [f"- {who}: {how}" for who, how in told.contacts.items()]
    yield pages.PEOPLE.format(
        contacts="\n".join(lines) or "Nobody is named: see `lifeboat_runbook`."
    )
    if told.notes:
        yield told.notes


def _job(job: Job) -> Iterator[str]:
    names = {"job": job.name, "host": job.host, "gate": pages.GATES[job.environment]}
    yield pages.JOB.format(**names, places=", ".join(one.name for one in job.destinations))
    if job.around.stop:
        yield pages.SERVICES.format(
            **names, services=", ".join(f"`{one}`" for one in job.around.stop)
        )
    for source in job.sources:
        if getattr(source, "export", False):
            yield pages.EXPORT.format(**names, source=source.name)
            continue
        yield pages.ONE.format(**names, source=source.name, what=_what(source))
        if source.needs().replaces:
            yield pages.PART.format(**names, source=source.name, path=source.needs().replaces[0])
        lost: tuple[str, str, str] | None = getattr(source, "lost_table", None)
        if lost is not None:
            yield _table_lost(job, source, *lost)
    yield pages.ALL.format(**names)
    yield pages.CORRUPT.format(**names)
    yield pages.AFTER.format(**names)


def _table_lost(job: Job, source: Source, table: str, part: str, how: str) -> str:
    into = f"{source.name}_then".replace("-", "_")
    how = how.replace("{into}", into)
    how = how.replace("DATABASE", str(source.__dict__.get("database") or "DATABASE"))
    return trouble.TABLE_LOST.format(
        job=job.name, source=source.name, table=table, part=part, into=into, how=how
    )


def _what(source: Source) -> str:
    """What it protects, for a title."""
    needs = source.needs()
    paths = needs.replaces or needs.covers
    if paths:
        return f"{source.kind} `{paths[0]}`" + (" and more" if len(paths) > 1 else "")
    database: Any = source.__dict__.get("database", "")  # not asked of a container
    return f"{source.kind} `{database}`" if database else source.kind


def _recipients(jobs: Sequence[Job]) -> str:
    keys = {
        str(one)
        for job in jobs
        for each in job.filters
        if each.needs_identity
        for one in each.record().get("recipients", ())
    }
    return (
        "\n".join(f"- `{one}`" for one in sorted(keys)) or "None: what is stored is in the clear."
    )


def _places(jobs: Sequence[Job]) -> str:
    lines = {
        f"- `{one.name}` ({one.kind}): {_address(one.needs())}"
        for job in jobs
        for one in job.destinations
    }
    return "\n".join(sorted(lines))


def _address(needs: Needs) -> str:
    """What somebody types elsewhere, on the night when this host and its configuration are gone."""
    found = needs.writes or tuple(one.strip() for one in (needs.bucket, needs.server) if one)
    return ", ".join(f"`{one}`" for one in found) or "see its configuration"
