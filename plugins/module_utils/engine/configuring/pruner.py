# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what this host prunes as the pruner of others: their jobs without sources, with its own credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ..gate import ENVIRONMENTS
from ..job import Job
from ..model import Option, Secret
from ..naming import check_host, check_name
from ..options import check_options, told_at
from .adapters import destination
from .jobs import JOB, signers
from .keeping import keep, keep_at, schedules
from .reading import Reading

PRUNES = (Option("at", required=True), Option("hosts", "mapping", required=True))
PRUNED_HOST = (
    Option("environment", default="production", choices=ENVIRONMENTS),
    Option("destinations", "mapping", required=True),
    Option("jobs", "mapping", required=True),
    Option("signers", "texts", default=()),
)
PRUNED_JOB = tuple(
    one
    for one in JOB
    if one.name in ("destinations", "schedule", "schedules", "keep", "environment")
)


def prunes(
    body: Any, secret: Callable[[str], Secret]
) -> tuple[Mapping[str, Mapping[str, Job]], str, tuple[str, ...]]:
    """(host -> its jobs, the calendar of that, names of the credentials that it needs); None is of no host."""
    if body is None:
        return {}, "", ()
    given = check_options("prunes", body, PRUNES)
    hosts: dict[str, Mapping[str, Job]] = {}
    used: set[str] = set()
    for host, its in given["hosts"].items():
        at = f"prunes.hosts.{host}"
        told_at(at, check_host, host)
        top = dict(check_options(at, its, PRUNED_HOST), host=host)
        reading = Reading(top, secret, at + ".")
        hosts[host] = {name: _job(reading, name, one) for name, one in top["jobs"].items()}
        used.update(reading.credentials)
    return hosts, given["at"], tuple(sorted(used))


def _job(reading: Reading, name: str, body: Any) -> Job:
    """A job of another host, as its pruner sees it: what is kept, and where."""
    where = f"{reading.at}jobs.{name}"
    told_at(where, lambda text: check_name("job", text), name)
    given = check_options(where, body, PRUNED_JOB)
    environment = given["environment"] or reading.top["environment"]
    return Job(
        name=name,
        host=reading.top["host"],
        environment=environment,
        sources=(),
        filters=(),
        destinations=tuple(destination(reading, where, one) for one in given["destinations"]),
        schedules=schedules(where, given, None, environment),
        keep=keep(f"{where}.keep", given["keep"], environment),
        keep_at=keep_at(reading, given["destinations"], environment),
        prunes=given["destinations"],
        signers=signers(reading),
    )
