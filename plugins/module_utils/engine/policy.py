# SPDX-License-Identifier: GPL-3.0-or-later
"""What was said of a job: when it runs, what is kept and where, what has to work after a restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Keep:
    """What retention keeps; None = the rule is not used. Counts are of good backups."""

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None
    tagged: timedelta | None = None  # how long a tag protects; None = for ever
    minimum: int = 1  # never fewer good ones than this
    default_of: str = ""  # the environment whose rules these are, where none were given

    @property
    def unlimited(self) -> bool:
        """No rule at all: everything is kept."""
        counts = (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        return self.within is None and all(count is None for count in counts)


@dataclass(frozen=True)
class Schedule:
    """When a job runs, and what that run takes."""

    type: str
    at: str  # a systemd calendar expression
    sources: tuple[str, ...] = ()  # empty = all
    keep: Keep | None = None  # counted within this type
    spread: timedelta | None = None


@dataclass(frozen=True)
class CopyPolicy:
    """What was said of one destination, whatever its kind."""

    bandwidth: int = 0  # bytes a second that are sent there; 0 = no limit
    full_up_to: int | None = None  # a larger backup is sampled at first; None = all are read
    domain: str = ""  # "" = derived: what fails together
    medium: str = ""  # "" = derived: what kind of thing it lies on


@dataclass(frozen=True)
class Health:
    """One question, as the configuration has it: exactly one of http, command, sql."""

    name: str
    http: str = ""  # a URL; an answer of 200 to 399 is good
    command: tuple[str, ...] = ()  # a status of 0 is good
    sql: str = ""  # a row is good, unless its first value is empty, 0 or false
    source: str = ""  # that is asked in SQL
    user: str = ""  # that runs the command

    @property
    def label(self) -> str:
        return f"{self.name} ({self.http or ' '.join(self.command) or self.sql})"
