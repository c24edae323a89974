# SPDX-License-Identifier: GPL-3.0-or-later
"""Calendars of jobs, as systemd reads them: in UTC unless they name a zone, and checked by systemd itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, MissingDependency, ProcessError
from ..model import Command
from ..process import run

_ZONES = Path("/usr/share/zoneinfo")


def calendar(at: str) -> str:
    """The calendar with its zone: UTC unless it names one, since local 02:30 is missing one night a year."""
    last = at.split()[-1] if at.split() else ""
    zone = re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", last)
    if last == "UTC" or (zone and ("/" in last or (_ZONES / last).is_file())):
        return at
    return at + " UTC"


def check_calendars(calendars: Mapping[str, str]) -> bool:
    """Let systemd read {configuration key: calendar}; False where its systemd-analyze is not installed.

    Raises ConfigError that names the key.
    """
    wanted = sorted({calendar(at) for at in calendars.values()})
    try:
        if not wanted or not _complaint(*wanted):
            return True
        for key, at in sorted(calendars.items()):
            complaint = _complaint(calendar(at))
            if complaint:
                raise ConfigError(
                    f"{key}: {at!r} is not a calendar",
                    detail=complaint,
                    hint='write it like "02:00", "Sun 03:00" or "*-*-01 04:00", see systemd.time(7)',
                )
    except MissingDependency:
        return False
    return True


def _complaint(*calendars: str) -> str:
    """What systemd-analyze says against them; "" if nothing."""
    try:
        # what begins with a dash is no option
        run(Command(("systemd-analyze", "calendar", "--", *calendars)))
    except ProcessError as exc:
        return exc.detail or str(exc)
    return ""
