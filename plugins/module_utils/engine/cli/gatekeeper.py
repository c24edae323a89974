# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the gate's questions at the terminal: the phrase from /dev/tty, so that a pipe cannot answer."""

from __future__ import annotations

import sys
import termios
import time
from dataclasses import replace

from ..errors import GateRefused
from ..gate import Ask, decide, words
from .output import Output


def pass_gate(ask: Ask, out: Output) -> None:
    """Return when the restore may happen; raises GateRefused."""
    decision = decide(ask)
    if decision.ask_phrase:
        typed = _ask_terminal(f"type {words(ask)} to go on, anything else to stop: ")
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


def ask_secret(question: str) -> bytes:
    """Lines typed or pasted at the terminal, not shown, up to the private key itself or Ctrl-D."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)  # before anybody can answer
        sys.stderr.write(question)
        sys.stderr.flush()
        lines = []
        for line in sys.stdin.buffer:
            lines.append(line)
            if line.startswith(b"AGE-SECRET-KEY-") or b"END " in line:
                break
    finally:
        termios.tcsetattr(
            terminal, termios.TCSAFLUSH, before
        )  # what is pasted beyond is thrown away
        sys.stderr.write("\n")
    return b"".join(lines)


def _ask_terminal(question: str) -> str:
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(question.encode())
            return terminal.readline().decode("utf-8", "replace").strip()
    except OSError as exc:
        raise GateRefused(f"the terminal went away: {exc.strerror}") from exc
