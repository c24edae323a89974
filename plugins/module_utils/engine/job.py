# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: named sources, filters, destinations, schedules and retention, ready to be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from .errors import UsageError
from .model import Secret
from .policy import Health, Keep, Schedule
from .ports import Destination, Filter, Source


@dataclass(frozen=True)
class Objectives:
    """What was promised; None = nothing was."""

    rto: timedelta | None = None  # how long a restore may take
    rpo: timedelta | None = None  # how much work may be lost


@dataclass(frozen=True)
class Repository:
    """Where an application's source code comes from: what a backup belongs to."""

    path: str  # the working tree on this host
    remote: str = ""  # has to have its commit; "" = nobody is asked


@dataclass(frozen=True)
class Around:
    """What a restore does besides: what uses the data stops, starts again, and has to work."""

    stop: tuple[str, ...] = ()  # units of systemd, docker:NAME, podman:NAME; in this order
    health: tuple[Health, ...] = ()
    scope: str = "system"  # whose units
    stop_timeout_s: float = 120.0
    health_timeout_s: float = 120.0


@dataclass(frozen=True)
class DrillSchedule:
    """When a job is drilled, and how: "random", "full" or "metadata"."""

    type: str
    at: str  # a systemd calendar expression
    what: str = "full"
    spread: timedelta | None = None


@dataclass(frozen=True)
class Drilling:
    """How a job is drilled here."""

    identity: Secret | None = None  # the private key, of a drill host
    at: str = ""  # the destination to restore from; "" = the first one that has it
    hosts: tuple[str, ...] = ()  # whose backups; () = this host's own
    among: int = 30  # a random one is one of the newest so many good ones
    check: tuple[str, ...] = ()  # the user's own program, asked once everything is restored
    check_timeout_s: float = 600.0
    stand_ins: tuple[Source, ...] = ()  # where the user names a place to restore into
    schedules: tuple[DrillSchedule, ...] = ()

    def stand_in(self, name: str) -> Source | None:
        return next((one for one in self.stand_ins if one.name == name), None)

    def schedule(self, type_: str) -> DrillSchedule | None:
        return next((one for one in self.schedules if one.type == type_), None)


@dataclass(frozen=True)
class Job:
    name: str
    host: str
    environment: str  # "dev", "staging" or "production": sets the restore gate
    sources: tuple[Source, ...]
    filters: tuple[Filter, ...]  # in encoding order
    destinations: tuple[Destination, ...]
    schedules: tuple[Schedule, ...] = ()
    keep: Keep = field(default_factory=Keep)
    keep_at: tuple[tuple[str, Keep], ...] = ()  # (destination, its own keep)
    prunes: tuple[str, ...] = ()  # destinations that this host prunes itself
    pruner: str = ""  # the host that prunes the others; "" = there is none
    user: str | None = None  # the job runs as; None = lifeboat's own
    spool_cap_bytes: int | None = None
    stall_timeout_s: float = 1800.0  # no byte for so long = the program hangs
    objectives: tuple[tuple[str, Objectives], ...] = ()  # (source, its own or the job's)
    around: Around = field(default_factory=Around)
    drilling: Drilling = field(default_factory=Drilling)
    signing_key: Secret | None = None  # signs the manifests that this host writes
    signers: tuple[str, ...] = ()  # public keys; one of them signed whatever is restored
    drill_signers: tuple[str, ...] = ()  # others that are believed what they say of a drill
    repository: Repository | None = None

    def source(self, name: str) -> Source:
        known = {source.name: source for source in self.sources}
        if name not in known:
            raise _unknown("source", name, known, self.name)
        return known[name]

    def destination(self, name: str) -> Destination:
        known = {destination.name: destination for destination in self.destinations}
        if name not in known:
            raise _unknown("destination", name, known, self.name)
        return known[name]

    def schedule(self, type_: str) -> Schedule | None:
        return next((one for one in self.schedules if one.type == type_), None)

    @property
    def only_drilled(self) -> bool:
        """Whether this host only drills what other hosts back up, and has nothing of the job itself."""
        return bool(self.drilling.hosts) and self.host not in self.drilling.hosts

    def objectives_for(self, source: str) -> Objectives:
        return dict(self.objectives).get(source, Objectives())

    def keep_for(self, destination: str) -> Keep:
        return dict(self.keep_at).get(destination, self.keep)


def _unknown(what: str, name: str, known: Iterable[str], job: str) -> UsageError:
    return UsageError(
        f"job {job} has no {what} {name!r}", hint="it has: " + ", ".join(sorted(known))
    )
