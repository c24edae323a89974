# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of what comes after a restore."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from lifeboat.errors import RestoreError
from lifeboat.job import Job
from lifeboat.model import Swap
from lifeboat.operations.restore.journal import SWAPPED, advance, begin, journals
from lifeboat.operations.restore.settle import undo


class Source:
    """Swapped, or not."""

    kind = "test"

    def __init__(self, name: str, swapped: bool) -> None:
        self.name, self.is_swapped = name, swapped

    def swapped(self, swap: Swap) -> bool:
        return self.is_swapped

    def back(self, swap: Swap) -> None:
        self.is_swapped = False


@pytest.mark.parametrize("lost", [(1,), (0, 1)])
def test_an_undo_of_what_is_not_in_place_is_refused_before_anything_is_touched(
    tmp_path: Path, lost: tuple[int, ...]
) -> None:
    sources = [Source(f"s{number}", number not in lost) for number in range(2)]
    job = Job("shop", "h1", "dev", tuple(sources), (), ())
    swaps = [Swap(one.name, one.name, "side", "kept", True, {}) for one in sources]
    journal = begin(tmp_path, "shop", "0a1b2c", "id", datetime.now(timezone.utc), [])
    advance(tmp_path, journal, SWAPPED, swaps)
    before = [one.is_swapped for one in sources]

    with pytest.raises(RestoreError, match="not as the restore has left it, so nothing was undone"):
        undo(job, tmp_path, datetime.now(timezone.utc))

    assert [one.is_swapped for one in sources] == before
    assert [one.step for one in journals(tmp_path, "shop")] == [SWAPPED]
