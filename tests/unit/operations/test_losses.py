# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of what is said to be lost by a restore."""

from __future__ import annotations

from typing import Any

import pytest
from lifeboat.model import SourceRecord, Target
from lifeboat.operations.restore.losses import losses


def told(now: dict[str, int], then: dict[str, int], **more: Any) -> list[str]:
    target = Target("database shop", "shop", more.pop("exists", True), totals=now, **more)
    return losses(SourceRecord("db", "postgresql", "good", totals=then), target)


@pytest.mark.parametrize(
    ("now", "then", "expected"),
    [
        ({"rows": 41, "tables": 3}, {"rows": 40, "tables": 3}, ["1 row more than in the backup"]),
        (
            {"rows": 9, "tables": 2, "uncounted": 2},
            {"rows": 4, "tables": 1},
            ["about 5 rows more than in the backup", "about 1 table more than in the backup"],
        ),
        ({"rows": 3}, {"rows": 40}, []),
        ({"rows": 3}, {}, []),  # the backup was not counted: nothing can be said
        ({"size_bytes": 9}, {"size_bytes": 1}, []),
    ],
)
def test_what_is_more_than_in_the_backup_is_told(
    now: dict[str, int], then: dict[str, int], expected: list[str]
) -> None:
    assert told(now, then) == expected


def test_files_written_since_are_told_though_there_are_no_more_of_them() -> None:
    assert told({"files": 3}, {"files": 3}, newer={"files": 2}) == ["2 files written since"]


def test_where_nothing_is_nothing_is_lost() -> None:
    assert told({"rows": 5}, {"rows": 1}, exists=False) == []
