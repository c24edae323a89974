# SPDX-License-Identifier: GPL-3.0-or-later
"""Type what a page of ours says, as its reader does: its blocks of commands, at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence

_COMMANDS = re.compile(r"^```(?:ba)?sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, title: str = "") -> list[str]:
    """The blocks of commands of a page, in order; with `title`, those below that heading alone."""
    if title:
        text = re.split(r"^#+ ", text.split(title, 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return _COMMANDS.findall(text)


def typed(
    argv: Sequence[str],
    answers: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    timeout_s: float = 90.0,
) -> tuple[int, str]:
    """Run a program at a terminal: its exit code, and all that was on the screen.

    answers: what is typed, once, when its question is on the screen. A program that is not done in
    time is killed, and its exit code is below 0.
    """
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execvpe(argv[0], list(argv), {**os.environ, **(env or {})})
        finally:
            os._exit(127)
    said, left, until = "", dict(answers), time.monotonic() + timeout_s
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 1.0)[0]:
                continue
            try:
                read = os.read(terminal, 65536)
            except OSError:  # its end
                break
            said += read.decode("utf-8", "replace")
            for question in [one for one in left if one in said]:
                os.write(terminal, left.pop(question).encode() + b"\n")
        else:
            os.kill(child, signal.SIGKILL)
        # before the terminal is closed: who has closed its side of it may not have ended yet
        _pid, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), said
