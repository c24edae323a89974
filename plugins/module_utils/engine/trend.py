# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge whether a backup fits those before it. Pure. Rule: hard-won invariants, docs/design.md#good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from .units import human_size

WINDOW = 7
FEWEST = 3  # with less history there is no trend to be off
_SHRUNK, _GROWN = 0.5, 3.0  # -50 % / +200 %
_NOISE_BYTES = 1 << 20  # small data may double in a day without anything being wrong


_FEWEST_THINGS = 10  # fewer may well be gone for a reason


def emptied(history: Sequence[Mapping[str, int]], now: Mapping[str, int]) -> list[str]:
    """For each source that holds nothing now, and held something in its last good runs: one sentence. What an
    application lost is small often; its size alone would not tell.

    `history` holds {source: rows, keys, files or objects} of good runs, oldest first.
    """
    told = []
    for source, count in sorted(now.items()):
        past = [run[source] for run in history if source in run][-WINDOW:]
        if not count and len(past) >= FEWEST and median(past) >= _FEWEST_THINGS:
            told.append("%s is empty, and held %d things usually" % (source, median(past)))
    return told


def oddities(
    history: Sequence[Mapping[str, int]], now: Mapping[str, int], absent: Sequence[str] = ()
) -> list[str]:
    """For each source whose plain size is far off the median of its last good runs: one sentence; and for
    each optional one that is `absent` and was there: a server that is down looks like one that is not.

    `history` holds {source: plain bytes} of good runs, oldest first.
    """
    told = [
        "%s is not there, and was in earlier backups" % source
        for source in sorted(absent)
        if any(source in run for run in history[-WINDOW:])
    ]
    for source, size in sorted(now.items()):
        past = [run[source] for run in history if source in run][-WINDOW:]
        if len(past) < FEWEST:
            continue
        usual = median(past)
        off = size < usual * _SHRUNK or size > usual * _GROWN
        if off and abs(size - usual) > _NOISE_BYTES:
            told.append(
                "%s has %s, usual are %s" % (source, human_size(size), human_size(int(usual)))
            )
    return told
