# SPDX-License-Identifier: GPL-3.0-or-later
"""A scheduled drill that failed, or that was not made in time, is told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from lifeboat.config import parse
from lifeboat.model import Secret
from lifeboat.operations.drills.standing import standings
from lifeboat.stored import Copy
from lifeboat.units import iso

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
JOB = {
    "sources": {"db": {"type": "sqlite", "path": "/srv/app.db"}},
    "destinations": ["disk"],
    "drill": {"identity": {"credential": "drill_key"}},
    "drills": {"weekly": {"at": "Sun 05:00"}},
}


def job(**drill: Any) -> Any:
    return configuration(**drill).jobs["shop"]


def configuration(**drill: Any) -> Any:
    body = {**JOB, "drill": {**JOB["drill"], **drill}}  # type: ignore[dict-item]
    mapping = {
        "version": 1,
        "host": "db1",
        "encryption": {"none": True},
        "destinations": {"disk": {"type": "local", "path": "/d", "credential": None}},
        "jobs": {"shop": body},
    }
    del mapping["destinations"]["disk"]["credential"]  # type: ignore[index]
    return parse(mapping, lambda name: Secret(lambda: name, name))


def entry(ago: timedelta, passed: bool = True, **facts: Any) -> dict[str, Any]:
    at = iso(NOW - ago)
    return {"type": "weekly", "host": "db1", "passed": passed, "error": "no", "at": at, **facts}


def copy(age: timedelta) -> Copy:
    return Copy("id", NOW - age, "daily", True)


@pytest.mark.parametrize(
    ("drills", "age", "state", "said"),
    [
        ([], timedelta(days=1), "good", "none yet"),
        ([], timedelta(days=20), "warning", "overdue"),
        ([entry(timedelta(days=7))], timedelta(days=20), "good", "7d ago"),
        ([entry(timedelta(days=10))], timedelta(days=20), "warning", "overdue"),
        ([entry(timedelta(days=1), type="daily")], timedelta(days=20), "warning", "overdue"),
        ([entry(timedelta(days=1), host="db2")], timedelta(days=20), "warning", "overdue"),
        (
            [entry(timedelta(days=7)), entry(timedelta(hours=1), False)],
            timedelta(days=20),
            "critical",
            "no",
        ),
    ],
)
def test_what_became_of_a_schedule_is_told(
    drills: Any, age: timedelta, state: str, said: str
) -> None:
    (told,) = standings(job(), [copy(age)], drills, NOW)

    assert (told.state, told.source) == (state, "weekly drill")
    assert said in told.reason


def test_on_a_drill_host_each_host_is_judged() -> None:
    drills = [entry(timedelta(days=1)), entry(timedelta(days=1), False, host="db2")]

    (told,) = standings(job(hosts=["db1", "db2"]), [], drills, NOW)

    assert told.state == "critical"
    assert "db1: the last passed" in told.reason
    assert "db2: the last failed" in told.reason


def test_the_private_key_is_for_drills_alone() -> None:
    made = configuration()

    assert made.credentials["shop"] == ()
    assert made.drill_credentials["shop"] == ("drill_key",)
