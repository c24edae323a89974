# SPDX-License-Identifier: GPL-3.0-or-later
"""A year and a half of examples/nightscan, pruned every day as it says: what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml
from lifeboat import config, retention
from lifeboat.job import Job
from lifeboat.model import Secret
from lifeboat.naming import backup_id
from lifeboat.operations.standing import status
from lifeboat.policy import Keep
from lifeboat.stored import Copy, Mark
from lifeboat.units import parse_instant

from tests.unit.docs.markdown import ROOT

GROUP = ROOT / "examples/nightscan/group_vars/nightscan/lifeboat.yml"
BEGIN, END = parse_instant("2025-06-01"), parse_instant("2026-11-21")
DAY = timedelta(days=1)
DEPLOYED = [BEGIN + DAY * number for number in range(10, 538, 25)]


@pytest.fixture(params=["nightscan", "system"])
def job(request: pytest.FixtureRequest) -> Job:
    """As the role writes it; the keys are none, for nothing is encrypted here."""
    read: dict[str, Any] = yaml.safe_load(GROUP.read_text())
    mapping = {"version": 1, "host": "night1", "encryption": {"none": True}}
    mapping |= {key: read[f"lifeboat_{key}"] for key in ("destinations", "jobs")}
    return config.parse(mapping, lambda name: Secret.of(name)).job(request.param)


def due(job: Job, day: datetime) -> Iterator[Copy]:
    """What the calendars of the example make on one day, and a deployment now and then."""
    for schedule in job.schedules:
        fits = {"daily": True, "weekly": day.isoweekday() == 7, "monthly": day.day == 1}
        if fits[schedule.type]:
            hour = {"daily": 2, "weekly": 3, "monthly": 4}[schedule.type]
            yield made(day + timedelta(hours=hour), schedule.type)
    if day in DEPLOYED:
        yield made(day + timedelta(hours=10), "predeploy", "v1")


def made(at: datetime, type_: str, tag: str = "") -> Copy:
    marks = [Mark("intact", at), *([Mark("tag", at, tag)] if tag else [])]
    return Copy(backup_id(at, type_, "7f3a"), at, type_, True, tuple(marks))


def left(job: Job) -> dict[str, list[datetime]]:
    """{type: the days of what is left} after each day was pruned at noon."""
    by_type = {one.type: one.keep for one in job.schedules if isinstance(one.keep, Keep)}
    stale, there, day = status.limits(job)[1], [], BEGIN
    while day <= END:
        there += due(job, day)
        if there:
            plan = retention.plan(there, job.keep, by_type, day + DAY / 2, stale)
            gone = {one.id for one, _why in plan.expired}
            there = [one for one in there if one.id not in gone]
        day += DAY
    found: dict[str, list[datetime]] = {}
    for one in sorted(there, key=lambda copy: copy.id):
        found.setdefault(one.type, []).append(one.taken_at.replace(hour=0))
    return found


def test_each_type_is_kept_for_as_long_as_was_asked(job: Job) -> None:
    found = left(job)
    sundays = [parse_instant(one) for one in ("2026-10-25", "2026-11-01", "2026-11-08")]
    assert found["weekly"] == [*sundays, parse_instant("2026-11-15")]
    assert found["monthly"] == [
        parse_instant(f"{2025 + (11 + n) // 12}-{(11 + n) % 12 + 1:02}-01") for n in range(12)
    ]
    days = [END - DAY * back for back in reversed(range(7))]
    assert found.get("daily", days) == days
    assert ("daily" in found) == (job.name == "nightscan")
    recent = [day for day in DEPLOYED if day > END - 30 * DAY]
    assert set(recent) <= set(found["predeploy"])
    assert len(found["predeploy"]) == max(3, len(recent))  # the last three of them stay in any case
