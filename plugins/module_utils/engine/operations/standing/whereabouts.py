# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a job's data and its copies lie, derived or as the configuration says: for copies_findings."""

from __future__ import annotations

from ...copies import HERE
from ...disks import disk_of
from ...job import Job
from ...stored import Place


def whereabouts(job: Job) -> tuple[Place, dict[str, Place]]:
    """(of the live data, {destination: place}). Asks this host only."""
    paths = [path for source in job.sources for path in source.needs().replaces]
    live = Place(HERE, disk_of(paths[0] if paths else "/"))
    placed = {}
    for destination in job.destinations:
        derived = destination.place()
        policy = getattr(destination, "policy", None)
        placed[destination.name] = Place(
            (policy.domain if policy else "") or derived.domain,
            (policy.medium if policy else "") or derived.medium,
        )
    return live, placed
