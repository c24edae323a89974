# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whoever watches what an operation is doing. A record and a call; doors decide how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One step. `done_bytes` counts up while a phase runs; total_bytes 0 = unknown."""

    phase: str  # "dump", "store", "read-back", "fetch", "restore", "compare", "swap", ...
    what: str  # "db.database", "disk"
    done_bytes: int = 0
    total_bytes: int = 0
    ended: bool = False
    problem: str = ""


Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """For callers who do not watch."""
