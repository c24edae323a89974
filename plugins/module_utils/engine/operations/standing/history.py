# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what happened on this host: one JSON line an operation, newest last. Never needed for a restore."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ... import trend
from ...errors import LifeboatError
from ...files import append_line, make_private, open_regular
from ...manifest import commit
from ...units import human_size, iso, parse_instant
from ..backup.backup import Report, counts, plain_sizes
from . import audit

LOG = "lifeboat.log"  # beside it, for people
_ENDS = {0: "done", 6: "REFUSED"}  # by exit code
_NUMBERS = ("sizes", "stored", "plain", "counts")  # {what: bytes, or how many}
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "at", "commit", "tag"), str),
    **dict.fromkeys((*_NUMBERS, "phases", "pruned", "failures"), Mapping),
    **dict.fromkeys(("errors", "odd", "told"), list),
    "exit_code": int,
    "seconds": (int, float),
}
_READ_BYTES = 4 << 20  # of the end of the file: years of daily runs
_OF_EACH = {"outcomes", "pruned", "written"}  # of each backup, which may be 100,000
_MOST_FACT = 256 << 10  # bytes of one value: the ids of 100,000 would push out all that was before


def remember(history: Path, event: str, job: str, at: datetime, **facts: Any) -> None:
    """Add one line. A history that cannot be written never fails an operation: it is only told."""
    make_private(history.parent, 0o750)
    entry = dict(facts, event=event, job=job, at=iso(at))
    for name in _OF_EACH & facts.keys():
        entry[name] = audit.bounded(facts[name], _MOST_FACT)
    append_line(history, json.dumps(entry, sort_keys=True))
    append_line(history.with_name(LOG), _sentence(entry))
    audit.append(history.with_name(audit.NAME), event, job, at, facts)


def remember_backup(
    history: Path,
    job: str,
    at: datetime,
    report: Report,
    seconds: float,
    phases: Mapping[str, float] | None = None,
) -> None:
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
        counts=counts(report.sources),
        stored={one.name: one.size_bytes for one in manifest.archives} if manifest else {},
        plain={one.name: one.plain_bytes for one in manifest.archives} if manifest else {},
        phases=dict(phases or {}),
        outcomes={one.destination: one.state for one in report.outcomes},
        errors=[record.error for record in report.sources if record.error],
        odd=list(report.odd),
        commit=commit(manifest) if manifest else "",
    )


def remember_failure(
    history: Path, job: str, at: datetime, told: str, exit_code: int, seconds: float = 0.0
) -> None:
    """A run that ended before it had anything to report."""
    facts = {"id": "", "exit_code": exit_code, "errors": [told], "seconds": round(seconds, 1)}
    remember(history, "backup", job, at, **facts)


def past(history: Path, job: str, event: str = "backup") -> list[Mapping[str, Any]]:
    """The recorded events of one job, oldest first. What is half written, or not of our form, is passed
    over: whoever runs a job may write the file, and root reads it."""
    found: list[Mapping[str, Any]] = []
    # logrotate may just have begun a new one
    for line in (*_tail(history.with_name(history.name + ".1")), *_tail(history)):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        of_it = isinstance(entry, dict) and entry.get("job") == job and entry.get("event") == event
        if of_it and _is_sound(entry):
            found.append(entry)
    return found


def _is_sound(entry: Mapping[str, Any]) -> bool:
    kinds = dict(_KINDS, outcomes=Mapping) if entry.get("event") == "backup" else _KINDS
    if not all(isinstance(entry[name], kind) for name, kind in kinds.items() if name in entry):
        return False
    numbers = [one for name in _NUMBERS for one in entry.get(name, {}).values()]
    return all(isinstance(one, (int, float)) for one in numbers)


def _tail(history: Path) -> list[bytes]:
    """The last lines of a file; none if it is not there."""
    try:
        with os.fdopen(open_regular(history, os.O_RDONLY), "rb") as lines:
            lines.seek(0, 2)
            lines.seek(max(0, lines.tell() - _READ_BYTES))
            return lines.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise LifeboatError(f"the history {history} cannot be read: {exc.strerror}") from exc


def _sentence(entry: Mapping[str, Any]) -> str:
    """The entry as the log file has it, for people: one line, and nothing that steers a terminal."""
    ended = _ENDS.get(entry.get("exit_code", 0), "FAILED")
    words = [entry["at"], entry["job"], entry["event"], str(entry.get("id") or "-"), ended]
    if "seconds" in entry:
        words.append(f"{entry['seconds']} s")
    if entry.get("stored"):
        words.append(human_size(sum(entry["stored"].values())))
    outcomes = entry.get("outcomes")
    if isinstance(outcomes, Mapping):
        words += [f"{name}:{state}" for name, state in sorted(outcomes.items())]
    for what in ("errors", "odd", "told"):
        words += [str(one) for one in entry.get(what, ())]
    return "".join(one if one.isprintable() else " " for one in " ".join(words))


def trend_of(
    entries: list[Mapping[str, Any]], accepted: list[Mapping[str, Any]], what: str = "sizes"
) -> list[Mapping[str, int]]:
    """{source: plain bytes}, or with "counts" what it held, of the runs that went well and were not odd.

    A size that the operator `accepted` begins a new trend: what was before it says nothing now.
    """
    ids = {entry.get("id") for entry in accepted}
    sizes: list[Mapping[str, int]] = []
    for entry in entries:
        if entry.get("exit_code") != 0 or not entry.get(what):
            continue
        if entry.get("id") in ids and entry.get("odd"):
            sizes = [entry[what]] * trend.FEWEST
        elif not entry.get("odd"):
            sizes.append(entry[what])
    return sizes


def begun_at(entry: Mapping[str, Any]) -> float:
    """When what it tells of began, seconds since 1970, to a second; 0 where that cannot be read."""
    try:
        return ended_at(entry) - float(entry.get("seconds") or 0)
    except (TypeError, ValueError):
        return 0.0


def ended_at(entry: Mapping[str, Any]) -> float:
    """When it was remembered, seconds since 1970; 0 where that cannot be read."""
    try:
        return parse_instant(str(entry.get("at"))).timestamp()
    except LifeboatError:
        return 0.0
