# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn evidence into the numbers of a monthly report: success, sizes, growth, drills. Pure.

The page is made of these and of the evidence alone, so whatever it says can be looked up there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .evidence import instant, number

_FEWEST, _SHORTEST = 4, timedelta(days=6)  # with less there is no trend
Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True)
class JobReport:
    """One job in one month. Sizes are bytes as stored; times are seconds."""

    host: str
    job: str
    good: int
    failed: int
    sizes: Points  # of good runs, also of the three months before
    durations: Points  # of good runs of this month
    growth_per_day: float | None  # bytes by which a backup grows; None = not enough runs
    drills: int
    drills_passed: int
    copies: Mapping[str, int]  # by state, over all destinations

    @property
    def rate(self) -> float | None:
        """Between 0 and 1; None where nothing ran."""
        runs = self.good + self.failed
        return self.good / runs if runs else None


def of_job(host: str, told: Mapping[str, Any]) -> JobReport:
    """The numbers of one job's evidence."""
    runs = told.get("runs") or []
    good = [one for one in runs if one.get("good")]
    before = [one for one in told.get("before") or [] if one.get("good")]
    sizes = points([*before, *good], "stored_bytes")
    drills = told.get("drills") or []
    states: dict[str, int] = {}
    for backup in told.get("backups") or []:
        for copy in backup["copies"]:
            states[str(copy["state"])] = states.get(str(copy["state"]), 0) + 1
    return JobReport(
        host=host,
        job=str(told.get("job")),
        good=len(good),
        failed=len(runs) - len(good),
        sizes=[one for one in sizes if one[1] > 0],
        durations=points(good, "seconds"),
        growth_per_day=growth(sizes),
        drills=len(drills),
        drills_passed=sum(1 for one in drills if one.get("passed")),
        copies=states,
    )


def points(entries: Sequence[Mapping[str, Any]], what: str) -> Points:
    """(when, how much) of each entry, the oldest first; those without an instant are left out."""
    told = [(instant(one.get("at")), number(one.get(what))) for one in entries]
    return sorted((at, value) for at, value in told if at is not None)


def growth(sizes: Points) -> float | None:
    """Bytes a day, by the straight line that fits best; None with too few runs, or over too few days."""
    if len(sizes) < _FEWEST or sizes[-1][0] - sizes[0][0] < _SHORTEST:
        return None
    days = [(at - sizes[0][0]).total_seconds() / 86400 for at, _size in sizes]
    middle, usual = sum(days) / len(days), sum(size for _at, size in sizes) / len(sizes)
    spread = sum((day - middle) ** 2 for day in days)
    return sum((day - middle) * (size - usual) for day, (_at, size) in zip(days, sizes)) / spread


def full_in(disk: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> timedelta | None:
    """When a disk of this host is full if backups go on growing; None where they do not, or nobody knows.

    As many backups as lie there now are taken to go on lying there.
    """
    per_day = 0.0
    places = disk.get("places") or []
    for told in jobs:
        grows = of_job("", told).growth_per_day or 0.0
        for one in told.get("destinations") or []:
            if one.get("directory") and one["directory"] in places:
                per_day += grows * number(one.get("copies"))
    free = number(disk.get("free_bytes"))
    if per_day <= 0 or free / per_day > 36500:
        return None
    return timedelta(days=free / per_day)
