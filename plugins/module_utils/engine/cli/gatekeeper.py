# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the gate's questions at the terminal: the phrase from /dev/tty, so that a pipe cannot answer."""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import GateRefused
from ..gate import PHRASE, Ask, decide
from .output import Output


def pass_gate(ask: Ask, out: Output) -> None:
    """Return when the restore may happen; raises GateRefused."""
    decision = decide(ask)
    if decision.ask_phrase:
        typed = _ask_terminal(f"type {PHRASE} to go on, anything else to stop: ")
        decision = decide(replace(ask, phrase=typed))
    if decision.pause_s:
        out.note(f"going on in {decision.pause_s} s; Ctrl-C stops, nothing is touched yet")
        time.sleep(decision.pause_s)


def has_terminal() -> bool:
    """Whether a person can be asked."""
    try:
        with open("/dev/tty", "r+b", buffering=0):
            return True
    except OSError:
        return False


def _ask_terminal(question: str) -> str:
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(question.encode())
            return terminal.readline().decode("utf-8", "replace").strip()
    except OSError as exc:
        raise GateRefused(f"the terminal went away: {exc.strerror}") from exc
