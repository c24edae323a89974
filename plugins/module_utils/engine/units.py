# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write sizes, durations and instants the way people do.

Sizes: "10 GiB", "500M" (powers of 1024), plain integers are bytes. Durations: "30m", "7d", "2w".
Instants: UTC, "20261121T020000Z" in names, ISO 8601 elsewhere.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from .errors import UsageError

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\s*$", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+)\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_PARTS = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)


def size(text: object) -> int:
    """Bytes of "10 GiB", "500M" or 1024; raises UsageError."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = _SIZE.match(str(text))
    if not found:
        raise UsageError(f"{text!r} is not a size", hint="write it like 500M or 10GiB")
    power = " kmgtp".index(found.group(2).lower() or " ")
    return int(Decimal(found.group(1)) * 1024**power)  # exact, and has no largest number


def duration(text: object) -> timedelta:
    """The length of "30m", "1h30m", "7d" or a number of seconds; raises UsageError."""
    compact = str(text).replace(" ", "")
    if isinstance(text, int) and not isinstance(text, bool):
        compact += "s"
    parts = _DURATION_PART.findall(compact)
    try:
        if not parts or "".join(number + unit for number, unit in parts) != compact:
            raise ValueError
        seconds = sum(int(number) * _SECONDS[unit.lower()] for number, unit in parts)
        return timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a duration", hint="write it like 30m, 24h, 7d or 2w"
        ) from None


def stamp(instant: datetime) -> str:
    """20261121T020000Z, the form used in names."""
    return instant.astimezone(timezone.utc).strftime(_STAMP)


def parse_stamp(text: str) -> datetime:
    """The inverse of `stamp`; raises ValueError."""
    found = _STAMP_PARTS.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a stamp")
    return datetime(*map(int, found.groups()), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def iso(instant: datetime) -> str:
    """2026-11-21T02:00:00Z, the form used in manifests and JSON output."""
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> datetime:
    """A UTC instant from "2026-11-21", "2026-11-21 02:00", ISO 8601 or a stamp; raises UsageError.

    Without a zone the time is UTC, as everywhere in this product.
    """
    for form in (
        _STAMP,
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d",
    ):
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    try:
        instant = datetime.fromisoformat(text.strip())
        return instant.replace(tzinfo=instant.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time", hint='write it in UTC, like "2026-11-21 02:00"'
        ) from None


def human_size(count: int) -> str:
    """1536 -> "1.5 KiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return "%d B" % count if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def counted(count: int, what: str) -> str:
    """1, "files" -> "1 file"; 2 -> "2 files"; bytes as a size."""
    if what == "size_bytes":
        return human_size(count)
    if count == 1 and what.endswith("s"):
        what = what[:-3] + "y" if what.endswith("ies") else what[:-1]
    return f"{count} {what}"


def human_duration(length: timedelta) -> str:
    """The two largest units: "3d 4h", "12m 5s"."""
    left = int(length.total_seconds())
    told: list[str] = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, seconds)
        if amount or (unit == "s" and not told):
            told.append("%d%s" % (amount, unit))
    return " ".join(told[:2])
