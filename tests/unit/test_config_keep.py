# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept where the configuration says little: the environment decides, and says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from lifeboat import config
from lifeboat.cli.prune import policy
from lifeboat.errors import ConfigError
from lifeboat.job import Job
from lifeboat.model import Secret
from lifeboat.policy import Keep

DAY = timedelta(days=1)


def job(environment: str = "production", disk: Any = None, /, **body: Any) -> Job:
    mapping = {
        "version": 1,
        "host": "db1",
        "environment": environment,
        "encryption": {"none": True},
        "destinations": {"disk": {"type": "local", "path": "/var/backups", **(disk or {})}},
        "jobs": {
            "shop": {
                "sources": {"etc": {"type": "files", "paths": ["/etc"]}},
                "destinations": ["disk"],
                **body,
            }
        },
    }
    return config.parse(mapping, lambda name: Secret.of(name)).job("shop")


@pytest.mark.parametrize(
    ("environment", "days", "minimum"), [("dev", 7, 1), ("staging", 7, 1), ("production", 30, 3)]
)
@pytest.mark.parametrize("body", [{}, {"keep": {}}, {"keep": None}])
def test_without_a_rule_the_environment_decides(
    environment: str, days: int, minimum: int, body: dict[str, Any]
) -> None:
    kept = job(environment, **body).keep
    assert kept == Keep(within=days * DAY, minimum=minimum, default_of=environment)


def test_the_environment_of_the_job_counts() -> None:
    assert job("production", environment="dev").keep.within == 7 * DAY


def test_tagged_and_minimum_are_no_rules() -> None:
    kept = job(keep={"tagged": "90d", "minimum": 5}).keep
    assert kept == Keep(within=30 * DAY, tagged=90 * DAY, minimum=5, default_of="production")


def test_one_rule_is_a_policy_of_its_own() -> None:
    assert job(keep={"daily": 7}).keep == Keep(daily=7)


def test_everything_is_kept_where_that_is_said() -> None:
    assert job(keep={"all": True, "tagged": "30d"}).keep.unlimited
    with pytest.raises(ConfigError, match=r"jobs\.shop\.keep: `all` keeps everything, daily"):
        job(keep={"all": True, "daily": 7})


def test_schedules_and_destinations_follow_the_same_rule() -> None:
    made = job(
        "dev", {"keep": {"minimum": 2}}, schedules={"weekly": {"at": "Sun 03:00", "keep": {}}}
    )
    assert made.schedules[0].keep == Keep(within=7 * DAY, default_of="dev")
    assert made.keep_for("disk") == Keep(within=7 * DAY, minimum=2, default_of="dev")


def test_the_plan_begins_with_the_policy_and_says_when_it_is_a_default() -> None:
    assert policy(job(), "disk") == [
        "within 30d, minimum 3 (what production keeps, for no rule is given)"
    ]
    made = job(
        schedules={"weekly": {"at": "Sun 03:00", "keep": {"last": 4}}},
        keep={"daily": 7, "tagged": "30d"},
    )
    assert policy(made, "disk") == ["daily 7, tagged 30d, minimum 1", "weekly: last 4, minimum 1"]
    assert policy(job(keep={"all": True}), "disk") == ["all, minimum 1"]
