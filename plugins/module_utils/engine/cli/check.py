# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a configuration file without using it: its keys, calendars, and what would fail every night."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import retention
from ..config import Configuration, load
from ..copies import copies_findings
from ..credentials import Credentials
from ..errors import ConfigError
from ..keys import key_findings
from ..operations.copies import twins
from ..operations.standing.whereabouts import whereabouts
from ..paths import Paths
from .calendars import check_calendars
from .output import Output
from .session import now


def config_check(paths: Paths, asked: Any, out: Output) -> int:
    """Check a configuration file; the first thing that is wrong is the error."""
    path = Path(asked.file) if asked.file else paths.config_file
    checked = load(path, Credentials(None).secret)
    seen: list[Any] = []
    for job in checked.jobs.values():
        for one in job.filters:
            if one.record() not in seen:  # many jobs, most with the same recipients
                seen.append(one.record())
                one.check()
    refuse_shared_places(checked)
    refuse_twins(checked)
    refuse_empty_policies(checked)
    jobs = checked.jobs.values()
    for line in backups_of_backups(checked):
        out.note(f"warning: {line}")
    for line in dict.fromkeys(one.line for job in jobs for one in key_findings(job, now())):
        out.note(f"warning: {line}")
    calendars = {
        f"jobs.{job.name}.schedules.{schedule.type}.at": schedule.at
        for job in checked.jobs.values()
        for schedule in job.schedules
    }
    calendars.update(
        (f"jobs.{job.name}.drills.{schedule.type}.at", schedule.at)
        for job in checked.jobs.values()
        for schedule in job.drilling.schedules
    )
    read = check_calendars(calendars)
    if not read:
        out.note("the calendars were not checked: there is no systemd-analyze on this host")
    missing = [
        told
        for job in checked.jobs.values()
        if not job.only_drilled
        for told in copies_findings(job.name, *whereabouts(job))
    ]
    for finding in missing:
        out.note("3-2-1: " + finding)
    told = {
        "path": str(path),
        "jobs": sorted(checked.jobs),
        "calendars_checked": read,
        "copies": missing,
    }
    out.result(told, f"{path}: fine, {len(checked.jobs)} jobs")
    return 0


def backups_of_backups(checked: Configuration) -> Iterator[str]:
    """Sources of files that would take a destination with them: each backup would hold those before it,
    and a restore of that path as a whole is refused."""
    places = {
        place: one.name
        for job in checked.jobs.values()
        for one in job.destinations
        for place in filter(os.path.isabs, one.needs().writes)
    }
    for job in checked.jobs.values():
        for source in job.sources:
            for place, name in sorted(places.items()):
                if hasattr(source, "takes") and source.takes(place):
                    yield (
                        f"jobs.{job.name}.sources.{source.name} backs up the destination {name} ({place}) "
                        f"too, with all backups in it: add {place} to its `exclude`"
                    )


def refuse_empty_policies(checked: Configuration) -> None:
    """Rules that no prune would carry out: nothing would ever go, and a disk fill up. Raises ConfigError."""
    for job in checked.jobs.values():
        retention.check(f"jobs.{job.name}.keep", job.keep)
        for name, keep in job.keep_at:
            retention.check(f"destinations.{name}.keep", keep)
        for one in job.schedules:
            if one.keep is not None:
                retention.check(f"jobs.{job.name}.schedules.{one.type}.keep", one.keep)


def refuse_twins(checked: Configuration) -> None:
    """Two destinations of a job that are one place are one copy. Raises ConfigError.

    Not asked when a configuration is loaded, as above.
    """
    for job in checked.jobs.values():
        same = twins.complaint(job.destinations)
        if same:
            raise ConfigError(
                f"jobs.{job.name}.destinations: {same}",
                hint="two names of one place are one copy, and `keep` of one deletes at both",
            )


def refuse_shared_places(checked: Configuration) -> None:
    """A directory of copies belongs to one user: another one's job may write nothing into it.

    Not asked when a configuration is loaded: whoever restores must not be kept from it. Raises ConfigError.
    """
    first: dict[str, tuple[str, str]] = {}  # directory -> (job, user)
    for job in checked.jobs.values():
        if job.user in (None, "root"):  # a user's own lifeboat; and root may write everywhere
            continue
        for destination in job.destinations:
            for place in filter(os.path.isabs, destination.needs().writes):
                other, user = first.setdefault(os.path.normpath(place), (job.name, str(job.user)))
                if user != job.user:
                    raise ConfigError(
                        f"jobs.{job.name}.destinations: {destination.name} ({place}) is also of job "
                        f"{other}, which runs as {user}; this one runs as {job.user}, and neither may "
                        "write where the other did",
                        hint=f"give {job.name} a local destination of its own, with `owner: {job.user}`",
                    )
