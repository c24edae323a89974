# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which reports of drills nobody reads any more. Pure: no clock, no storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ...naming import REPORT
from ...retention import FEW, SKEW
from ...stored import Copy, Mark

# What shows a drill reads the newest report, and a few before it where that cannot be believed.
NEWEST = 5
KEPT_FOR = timedelta(days=100)  # a drill each quarter is overdue after 94


def outdated(copies: Sequence[Copy], now: datetime) -> tuple[tuple[str, Mark], ...]:
    """(id, mark) of those of one job at one destination that may go now, the oldest first.

    At most half of them, or FEW, in one run, as of backups: a clock that ran ahead takes not all at once.
    Those dated in the future stay, and take no place among the newest.
    """
    told = [
        (copy.id, mark)
        for copy in copies
        for mark in copy.marks
        if mark.kind == REPORT and not mark.value and mark.at <= now + SKEW
    ]
    told.sort(key=lambda one: (one[1].at, one[0]))
    old = [one for one in told[: max(0, len(told) - NEWEST)] if now - one[1].at > KEPT_FOR]
    return tuple(old[: max(FEW, len(told) // 2)])
