# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whoever watches what an operation is doing. A record and a call; doors decide how it looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Event:
    """One step. `done_bytes` counts up while a phase runs; total_bytes 0 = unknown."""

    phase: str  # "dump", "store", "read-back", "fetch", "restore", "compare", "swap", ...
    what: str  # "db.database", "disk"
    done_bytes: int = 0
    total_bytes: int = 0
    ended: bool = False
    problem: str = ""


class Told(str):
    """A sentence about something that was settled; not `well`: a person still has to act."""

    well: bool

    def __new__(cls, sentence: str, well: bool = True) -> Told:
        made = super().__new__(cls, sentence)
        made.well = well
        return made


Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """For callers who do not watch."""


class Phases:
    """Pass events on, and keep how long each phase took, from its first event to its last.

    `usual`: {archive name: plain bytes} of the run before; a dump knows no total of its own.
    """

    def __init__(self, then: Listener, usual: Mapping[str, int]) -> None:
        self._then, self._usual = then, usual
        self._begun: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        moment = time.monotonic()
        # an upload begins with the first byte of the dump, and tells of its end alone
        begun = self._begun.get("dump", moment) if event.phase == "store" else moment
        self._begun.setdefault(event.phase, begun)
        self._last[event.phase] = moment
        usual = self._usual.get(event.what, 0)
        if event.phase == "dump" and not event.ended and usual >= event.done_bytes > 0:
            event = replace(event, total_bytes=usual)
        self._then(event)

    @property
    def seconds(self) -> dict[str, float]:
        """{phase: seconds} so far."""
        return {
            phase: round(last - self._begun[phase], 3) for phase, last in self._last.copy().items()
        }
