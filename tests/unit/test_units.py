# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, durations and instants are read as people write them, and nothing else is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifeboat import units
from lifeboat.errors import UsageError

INSTANTS = st.integers(0, 253402300799).map(  # until the end of the year 9999
    lambda seconds: datetime.fromtimestamp(seconds, timezone.utc)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1024, 1024),
        (0, 0),
        ("1024", 1024),
        ("500M", 500 << 20),
        ("10 GiB", 10 << 30),
        ("10gb", 10 << 30),
        ("1.5k", 1536),
        (" 2T ", 2 << 40),
        ("9007199254740993", 9007199254740993),  # a float would be one off
        ("1B", 1),
    ],
)
def test_sizes_are_read(text: object, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "-1", -1, "1 X", "1 k k", None, True, "1e3", [], "∞"])
def test_what_is_not_a_size_is_refused(text: object) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        units.size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1h 30m", timedelta(hours=1, minutes=30)),
        ("7d", timedelta(days=7)),
        ("2W", timedelta(weeks=2)),
        (90, timedelta(seconds=90)),
        (0, timedelta(0)),
    ],
)
def test_durations_are_read(text: object, expected: timedelta) -> None:
    assert units.duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "1y", "m30", "30m!", "-5m", -5, None, True, 1.5, "9" * 30 + "w", 10**20]
)
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        units.duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "20261121T020000Z",
        "2026-11-21T02:00:00Z",
        "2026-11-21 02:00:00",
        " 2026-11-21 02:00 ",
        "2026-11-21T03:00:00+01:00",
        "2026-11-21T02:00:00",
    ],
)
def test_instants_are_read_and_are_utc_without_a_zone(text: str) -> None:
    made = units.parse_instant(text)
    assert made == datetime(2026, 11, 21, 2, tzinfo=timezone.utc)
    assert made.tzinfo is timezone.utc


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01", "2026-02-30", "20261121T250000Z", "9999-12-31T23:00:00-05:00"],
)
def test_what_is_not_an_instant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        units.parse_instant(text)


@given(INSTANTS)
def test_stamps_and_iso_times_come_back_as_they_were(instant: datetime) -> None:
    assert units.parse_stamp(units.stamp(instant)) == instant
    assert units.parse_instant(units.iso(instant)) == instant
    assert units.parse_instant(units.stamp(instant)) == instant


@pytest.mark.parametrize(
    "text",
    ["20260230T000000Z", "2026112T0200000Z", "20261121T020000Z\n", "２０２６1121T020000Z", ""],
)
def test_an_impossible_stamp_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the kind is what callers rely on
        units.parse_stamp(text)


def test_sizes_and_durations_are_told_briefly() -> None:
    assert units.human_size(0) == "0 B"
    assert units.human_size(1536) == "1.5 KiB"
    assert units.human_size(5 << 40) == "5.0 TiB"
    assert units.human_size(5 << 50) == "5120.0 TiB"
    assert units.human_duration(timedelta(0)) == "0s"
    assert units.human_duration(timedelta(days=3, hours=4, minutes=5)) == "3d 4h"
    assert units.human_duration(timedelta(minutes=12, seconds=5)) == "12m 5s"


@pytest.mark.parametrize(
    ("count", "what", "expected"),
    [
        (1, "files", "1 file"),
        (2, "files", "2 files"),
        (1, "directories", "1 directory"),
        (0, "rows", "0 rows"),
        (1, "uncounted", "1 uncounted"),
        (1536, "size_bytes", "1.5 KiB"),
    ],
)
def test_what_was_counted_is_told_as_people_say_it(count: int, what: str, expected: str) -> None:
    assert units.counted(count, what) == expected
