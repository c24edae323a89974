# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the gate's questions at the terminal: the phrase from /dev/tty, so that a pipe cannot answer."""

from __future__ import annotations

import sys
import termios
import time
from dataclasses import replace

from ..errors import GateRefused, UsageError
from ..gate import Ask, decide, words
from .output import Output

_BEGINNINGS = (b"AGE-", b"-----BEGIN ")  # of a key, a plugin's, or one behind a passphrase
_WANTED = (
    "a private key is a line AGE-SECRET-KEY-…, or begins with -----BEGIN …; nothing was touched"
)


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
    """Lines typed or pasted at the terminal, not shown, up to the private key itself or Ctrl-D.

    Raises UsageError at the first line that is of no private key: nobody sees what was pasted.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)  # before anybody can answer
        sys.stderr.write(question)
        sys.stderr.flush()
        lines: list[bytes] = []
        for typed in sys.stdin.buffer:
            line = typed.lstrip(b" \t")
            if not lines and not line.strip():
                sys.stderr.write("\n" + question)
                sys.stderr.flush()
                continue
            lines.append(line)
            if line.startswith((b"AGE-SECRET-KEY-", b"-----END ")):
                break
            if not any(one.startswith(b"-----BEGIN ") for one in lines):
                _refuse_what_is_no_key(line)
    finally:
        termios.tcsetattr(
            terminal, termios.TCSAFLUSH, before
        )  # what is pasted beyond is thrown away
        sys.stderr.write("\n")
    return b"".join(lines)


def refuse_what_is_no_key(content: bytes) -> None:
    """Raises UsageError for what holds no private key of any kind, before hours of fetching."""
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if any(line.upper().startswith(_BEGINNINGS) for line in lines):
        return
    for line in lines:
        _refuse_what_is_no_key(line)
    raise UsageError("no private key was given, it is empty", hint=_WANTED)


def _refuse_what_is_no_key(line: bytes) -> None:
    """Before a key there may be remarks, and the passphrase of one of gpg's."""
    if not line.strip() or line.startswith((b"#", b"passphrase:")):
        return
    hint = _WANTED
    if line.startswith((b"age1", b"ssh-")):
        raise UsageError("that is the public key, which opens nothing", hint=hint)
    if line.startswith(b"$ANSIBLE_VAULT"):
        hint = "show it with `ansible-vault view`, and paste that; nothing was touched"
        raise UsageError("that key is still encrypted by ansible-vault", hint=hint)
    raise UsageError("that is no private key", hint=hint)


def _ask_terminal(question: str) -> str:
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(question.encode())
            return terminal.readline().decode("utf-8", "replace").strip()
    except OSError as exc:
        raise GateRefused(f"the terminal went away: {exc.strerror}") from exc
