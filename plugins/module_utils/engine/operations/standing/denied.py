# SPDX-License-Identifier: GPL-3.0-or-later
"""Find who was refused: accesses to our files that the kernel denied, and restores that the gate did.

The role backup_monitoring has auditd write down what the kernel denies, with KEY. Its log is a line a record;
the records of one event share a serial number: SYSCALL says who, CWD and PATH say what (auditd's own
documentation: "Audit Event Fields").
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ...errors import GateRefused, LifeboatError
from ...files import open_regular
from .history import ended_at

KEY = "lifeboat-denied"  # in roles/backup_monitoring/templates/audit.rules.j2
LOG = Path("/var/log/audit/audit.log")
PERIOD = timedelta(hours=24)  # what is told: a metric that goes back to 0 by itself
_READ_BYTES = 16 << 20  # of the end of each file; auditd begins a new one every 8 MB
_RECORD = re.compile(r"\btype=(SYSCALL|CWD|PATH) msg=audit\((\d+)\.\d+:(\d+)\):(.*)")
_FIELD = re.compile(r"\b(uid|exe|key|cwd|name)=(?:\"([^\"]*)\"|(\S+))")


@dataclass(frozen=True)
class Denied:
    """One access. at: seconds since 1970."""

    at: float
    uid: str
    program: str
    path: str

    def __str__(self) -> str:
        return f"{self.program} of user {self.uid} on {self.path}"


def by_gate(entries: Iterable[Mapping[str, Any]], now: datetime) -> int:
    """How many restores the gate refused, of the history."""
    since = (now - PERIOD).timestamp()
    refused = [one for one in entries if one.get("exit_code") == GateRefused.exit_code]
    return sum(1 for one in refused if ended_at(one) >= since)


def by_system(
    folders: Sequence[str], now: datetime, log: Path | None = None
) -> list[Denied] | None:
    """Accesses to what lies in `folders`, oldest first; None where no audit daemon's log can be read."""
    log = log or LOG
    lines = _tail(log)
    if lines is None:
        return None
    older = _tail(log.with_name(log.name + ".1")) or []
    return denied([*older, *lines], folders, (now - PERIOD).timestamp())


def denied(lines: Iterable[str], folders: Sequence[str], since: float) -> list[Denied]:
    """What the lines of an audit log tell of accesses to `folders` that were denied."""
    asked: dict[str, dict[str, str]] = {}  # serial number -> what is known of the event so far
    found: dict[str, Denied] = {}
    for line in lines:
        record = _RECORD.search(line)
        if not record:
            continue
        kind, at, serial, rest = record.groups()
        fields = {name: quoted or _text(name, bare) for name, quoted, bare in _FIELD.findall(rest)}
        if kind == "SYSCALL" and fields.get("key") == KEY and float(at) >= since:
            asked[serial] = fields
        elif serial in asked and kind == "CWD":
            asked[serial]["cwd"] = fields.get("cwd", "/")
        elif serial in asked:
            known = asked[serial]
            path = os.path.normpath(os.path.join(known.get("cwd", "/"), fields.get("name", "")))
            if any(path == one or path.startswith(one + "/") for one in folders):
                who = known.get("uid", "?")
                found[serial] = Denied(float(at), who, known.get("exe", "?"), path)
    return list(found.values())


def _text(name: str, bare: str) -> str:
    """What holds blanks or worse is written as hexadecimal digits, without quotes."""
    if name in ("exe", "cwd", "name") and re.fullmatch(r"([0-9A-F]{2})+", bare):
        return os.fsdecode(bytes.fromhex(bare))
    return bare


def _tail(path: Path) -> list[str] | None:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as lines:
            lines.seek(max(0, lines.seek(0, 2) - _READ_BYTES))
            return lines.read().decode("utf-8", "replace").splitlines()
    except (OSError, LifeboatError):
        return None
