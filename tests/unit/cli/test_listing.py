# SPDX-License-Identifier: GPL-3.0-or-later
"""A list says in one word why a backup does not count, and what one holds that is not whole."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from lifeboat.cli.listing import mapping, why_not_good
from lifeboat.job import Job
from lifeboat.operations.copies.catalog import Holding
from lifeboat.stored import Copy, Mark

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
INTACT = Mark("intact", NOW)


def holding(*copies: tuple[Mark, ...], at: datetime = NOW) -> Holding:
    made = [Copy("20261121T120000Z-daily-7f3a", at, "daily", True, marks) for marks in copies]
    return Holding(made[0].id, at, "daily", tuple((f"d{n}", one) for n, one in enumerate(made)))


@pytest.mark.parametrize(
    ("word", "copies"),
    [
        ("", [(INTACT,)]),
        ("", [(Mark("bad", NOW),), (INTACT,)]),  # one good copy is enough
        ("stored", [()]),
        ("partial", [(INTACT, Mark("partial", NOW))]),
        ("suspect", [(INTACT, Mark("suspect", NOW))]),
        ("corrupt", [(INTACT, Mark("bad", NOW + timedelta(seconds=1)))]),
        ("stored", [(Mark("bad", NOW),), ()]),  # it may prove good yet
    ],
)
def test_one_word_says_why_a_backup_does_not_count(
    word: str, copies: list[tuple[Mark, ...]]
) -> None:
    assert why_not_good(holding(*copies), NOW) == word
    assert holding(*copies).good == (word == "")


def test_what_is_dated_in_the_future_does_not_count() -> None:
    assert why_not_good(holding((INTACT,), at=NOW + timedelta(hours=1)), NOW) == "future"
    assert why_not_good(holding((INTACT,), at=NOW + timedelta(minutes=1)), NOW) == ""


@pytest.mark.parametrize("kind", ["subset", "partial"])
def test_a_backup_that_is_not_whole_names_its_sources(kind: str) -> None:
    one = holding((INTACT, Mark(kind, NOW)))
    told = mapping(Job("shop", "h1", "dev", (), (), ()), one, {one.id: ("db",)}, NOW)
    assert (told["subset"], told["sources"]) == (True, ["db"])
