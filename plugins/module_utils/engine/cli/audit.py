# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat history` shows what happened here; `lifeboat audit` proves that nobody changed that since."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..operations.standing import audit
from .output import Output, table
from .session import Session
from .watch import shown

_WORDS = (
    "id",
    "exit_code",
    "outcomes",
    "gate",
    "key",
    "reason",
    "told",
    "error",
    "errors",
    "pruned",
    "tag",
)


def history_(session: Session, asked: Any, out: Output) -> int:
    """The newest events, the last one at the end."""
    found: deque[Mapping[str, Any]] = deque(maxlen=max(1, asked.last))
    for entry in audit.entries(_path(session), asked.job or ""):
        if not asked.event or entry.get("event") == asked.event:
            found.append(entry)
    rows = [
        [
            shown(entry.get("at", "")),
            shown(entry.get("job", "")),
            shown(entry.get("event", "")),
            _who(entry.get("who")),
            _what(entry.get("facts")),
        ]
        for entry in found
    ]
    out.result(list(found), table(["AT", "JOB", "EVENT", "WHO", "WHAT"], rows))
    return 0


def audit_(session: Session, asked: Any, out: Output) -> int:
    """0 when the log is as it was written, 1 when it is not."""
    chain = audit.check(_path(session))
    for problem in chain.problems:
        out.note(problem)
    told = f"{chain.lines} entries"
    if chain.lines:
        told += f" from {chain.first_at} to {chain.last_at}, the last one has {chain.head}"
    out.result(dict(asdict(chain), path=str(_path(session))), told)
    return 1 if chain.problems else 0


def _path(session: Session) -> Path:
    return session.paths.log / audit.NAME


def _who(who: Any) -> str:
    if not isinstance(who, Mapping):
        return ""
    name = shown(who.get("user", ""))
    return f"{name} for {shown(who['sudo'])}" if who.get("sudo") else name


def _what(facts: Any) -> str:
    if not isinstance(facts, Mapping):
        return ""
    told = [f"{key}={facts[key]}" for key in _WORDS if facts.get(key) not in (None, "", [], {})]
    return shown(" ".join(told))
