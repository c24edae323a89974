# SPDX-License-Identifier: GPL-3.0-or-later
"""Say of each destination whether what is stored there is safe from this host: a claim that is tried out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import LifeboatError
from ...job import Job
from ...naming import CATALOG, check_host
from ...ports import Destination


@dataclass(frozen=True)
class Exposure:
    """What this host can do to the backups at one destination. protected None: it could not be tried."""

    destination: str
    protected: bool | None
    claimed: bool  # the configuration says append_only
    why: str  # what this host can do, or why nobody knows; "" = it can neither delete nor change

    @property
    def broken(self) -> bool:
        """What the configuration claims is not so, or could not be asked."""
        return self.protected is None or (self.claimed and not self.protected)

    @property
    def told(self) -> str:
        if self.protected is None:
            return "could not be asked"
        return "protected from this host" if self.protected else "not protected from this host"


def exposures(jobs: Iterable[Job], only: str = "") -> list[Exposure]:
    """One for each destination that the jobs use (or for `only` one), by name; each is asked once."""
    found: dict[str, Exposure] = {}
    for job in jobs:
        for destination in job.destinations:
            if destination.name not in found and only in ("", destination.name):
                claimed = destination.name not in job.prunes
                found[destination.name] = exposure(destination, job.host, claimed)
    return [found[name] for name in sorted(found)]


def exposure(destination: Destination, host: str, claimed: bool = False) -> Exposure:
    """Try what this host can do to what it has stored, on an object that is there for nothing else."""
    attempt = getattr(destination, "exposed", None)
    if attempt is None:
        why = "it can delete what is stored: the place is this host's own"
        return Exposure(destination.name, False, claimed, why)
    try:
        why = attempt(f"{CATALOG}/{check_host(host)}/")
    except LifeboatError as exc:
        return Exposure(destination.name, None, claimed, str(exc))
    return Exposure(destination.name, not why, claimed, why)
