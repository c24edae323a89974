# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what happened on this host: one JSON line an operation, newest last. Never needed for a restore."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import trend
from ..errors import LifeboatError
from ..files import append_line, make_private, open_regular
from ..units import iso
from .backup import Report, plain_sizes

_READ_BYTES = 4 << 20  # of the end of the file: years of daily runs


def remember(history: Path, event: str, job: str, at: datetime, **facts: Any) -> None:
    """Add one line. A history that cannot be written never fails an operation: it is only told."""
    make_private(history.parent, 0o750)
    line = json.dumps(dict(facts, event=event, job=job, at=iso(at)), sort_keys=True)
    append_line(history, line)


def remember_backup(history: Path, job: str, at: datetime, report: Report, seconds: float) -> None:
    """What the next run wants to know of this one: sizes, for the trend and for the room it takes."""
    manifest = report.manifest
    remember(
        history,
        "backup",
        job,
        at,
        id=report.id,
        exit_code=report.exit_code,
        seconds=round(seconds, 1),
        sizes=plain_sizes(manifest) if manifest else {},
        stored={one.name: one.size_bytes for one in manifest.archives} if manifest else {},
        outcomes={one.destination: one.state for one in report.outcomes},
        errors=[record.error for record in report.sources if record.error],
        odd=list(report.odd),
    )


def past(history: Path, job: str, event: str = "backup") -> list[Mapping[str, Any]]:
    """The recorded events of one job, oldest first. A half-written line is passed over."""
    try:
        with os.fdopen(open_regular(history, os.O_RDONLY), "rb") as lines:
            lines.seek(0, 2)
            lines.seek(max(0, lines.tell() - _READ_BYTES))
            tail = lines.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise LifeboatError(f"the history {history} cannot be read: {exc.strerror}") from exc
    found: list[Mapping[str, Any]] = []
    for line in tail:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("job") == job and entry.get("event") == event:
            found.append(entry)
    return found


def trend_of(
    entries: list[Mapping[str, Any]], accepted: list[Mapping[str, Any]]
) -> list[Mapping[str, int]]:
    """{source: plain bytes} of the runs that went well and were not odd.

    A size that the operator `accepted` begins a new trend: what was before it says nothing now.
    """
    ids = {entry.get("id") for entry in accepted}
    sizes: list[Mapping[str, int]] = []
    for entry in entries:
        if entry.get("exit_code") != 0 or not entry.get("sizes"):
            continue
        if entry.get("id") in ids and entry.get("odd"):
            sizes = [entry["sizes"]] * trend.FEWEST
        elif not entry.get("odd"):
            sizes.append(entry["sizes"])
    return sizes
