# SPDX-License-Identifier: GPL-3.0-or-later
"""Find backups of jobs that are not configured any more: renamed or taken out, they are in no list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..errors import LifeboatError
from ..naming import CATALOG
from .findings import WARNING, Finding
from .session import Session

_HINT = (
    "to restore or prune them configure a job of that name, with the same sources and without a schedule; "
    "what nobody wants any more is yours to remove"
)


def forgotten(session: Session) -> Iterator[Finding]:
    """A warning for each such job at each destination of this host; one that cannot be asked tells elsewhere."""
    jobs = session.configuration.jobs
    ours = [job for job in jobs.values() if not job.only_drilled]
    for destination in {one.name: one for job in ours for one in job.destinations}.values():
        found: Counter[str] = Counter()
        try:
            for stored in destination.list(f"{CATALOG}/{session.configuration.host}/"):
                parts = stored.key.split("/")
                if len(parts) == 4 and parts[3].endswith(".json") and parts[2] not in jobs:
                    found[parts[2]] += 1
        except LifeboatError:
            continue
        for name, count in sorted(found.items()):
            told = f"{count} backups of job {name}, which is not configured here"
            yield Finding("forgotten", destination.name, WARNING, told, _HINT)
