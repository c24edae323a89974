# SPDX-License-Identifier: GPL-3.0-or-later
"""A line for each step of a job, again each minute while it goes on, and none for anything else."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from ansible_collections.lifeboat.backup.plugins.plugin_utils.following import Steps
from lifeboat.progress import Event


def content(phase: str, done: int = 0, total: int = 0) -> str:
    return "2026-11-21 02:00:00\n" + json.dumps(asdict(Event(phase, "db.database", done, total)))


def test_each_step_is_told_and_a_long_one_every_minute() -> None:
    steps = Steps("")
    seen = [
        (content("dump"), 0.0),
        (content("dump", 1 << 20, 4 << 20), 3.0),
        (content("dump", 2 << 20, 4 << 20), 61.0),
        (content("read-back"), 64.0),
        (content("read-back"), 120.0),
    ]
    assert [steps.told(*one) for one in seen] == [
        "dump db.database",
        "",
        "dump db.database: 2.0 MiB of 4.0 MiB (50%), for 1m 1s",
        "read-back db.database",
        "",
    ]


@pytest.mark.parametrize(
    "garbage",
    ["", "{", "[]", '{"phase": 1}', "[" * 4000, content("dump"), '{"phase": "\\u001b[2J"}'],
)
def test_what_was_there_before_and_what_is_no_step_is_not_told(garbage: str) -> None:
    assert Steps(content("dump")).told(garbage, 5.0) == ""


def test_the_same_step_of_a_later_operation_is_told() -> None:
    again = content("restore").replace("02:00:00", "03:00:00")
    assert Steps(content("restore")).told(again, 5.0) == "restore db.database"


def test_nothing_that_is_shown_steers_the_terminal() -> None:
    told = Steps("").told(content("\x1b[2J"), 5.0)
    assert told == "?[2J db.database"
