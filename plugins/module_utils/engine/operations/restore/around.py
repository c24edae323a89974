# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore does around the data: stop what uses it, start that again, see that it works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import health
from ...errors import UsageError
from ...job import Job
from ...services import Services


def states(job: Job) -> tuple[tuple[str, str], ...]:
    """(service, "wanted" | "stopped" | "absent") for each that the job names."""
    services = _services(job)
    return tuple((name, services.state(name)) for name in job.around.stop)


def running(job: Job) -> tuple[str, ...]:
    """Those to stop now, and to start again."""
    return tuple(name for name, state in states(job) if state == "wanted")


def stop(job: Job, names: Sequence[str]) -> None:
    _services(job).stop(names)


def start(job: Job, names: Sequence[str]) -> list[str]:
    """In words, what did not start."""
    return _services(job).start(names)


def wait_until_healthy(job: Job) -> None:
    """Only where everything that the job names runs: what a person has stopped cannot answer."""
    if job.around.health and all(state == "wanted" for _name, state in states(job)):
        health.wait_until_healthy(
            job.around.health,
            job.around.health_timeout_s,
            lambda source, statement: _ask(job, source, statement),
        )


def _ask(job: Job, name: str, statement: str) -> Sequence[Any]:
    source = job.source(name)
    ask = getattr(source, "ask", None)  # of ports.Askable
    if ask is None:
        raise UsageError(f"source {name} ({source.kind}) cannot be asked in SQL")
    answer: Sequence[Any] = ask(statement)
    return answer


def _services(job: Job) -> Services:
    return Services(job.around.scope, job.user or "", job.around.stop_timeout_s)
