# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask whether an application works again: over HTTP, in SQL, or by a program of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from .errors import LifeboatError, RestoreError
from .model import Command
from .policy import Health
from .process import run
from .web import NoAnswer, status_of

_PAUSE_S = 1.0  # between two attempts
_ANSWER_S = 10.0
# (name of a source, statement) -> the first row, as texts; raises LifeboatError
Ask = Callable[[str, str], Sequence[Any]]


def wait_until_healthy(checks: Sequence[Health], timeout_s: float, ask: Ask) -> None:
    """Return once every check is good; raises RestoreError when one is still bad after `timeout_s`."""
    until = time.monotonic() + timeout_s
    for check in checks:
        while True:
            bad = problem(check, ask, max(1.0, min(_ANSWER_S, until - time.monotonic())))
            if not bad:
                break
            if time.monotonic() + _PAUSE_S > until:
                raise RestoreError(
                    f"the health check {check.label} fails: {bad}",
                    hint="look at what the application says; `--no-services` restores without asking it",
                )
            time.sleep(_PAUSE_S)


def problem(check: Health, ask: Ask, answer_s: float = _ANSWER_S) -> str:
    """Empty when it is good, else why not."""
    try:
        if check.http:
            return _http(check.http, answer_s)
        if check.command:
            run(Command(check.command, user=check.user), timeout_s=answer_s)
            return ""
        row = list(ask(check.source, check.sql))
    except LifeboatError as exc:
        return " ".join([str(exc), *exc.detail.splitlines()[-1:]])
    if not row:
        return "no row"
    falsy = str(row[0]).strip().lower() in ("", "0", "f", "false", "none", "null")
    return f"the answer is {row[0]!r}" if falsy else ""


def _http(url: str, answer_s: float) -> str:
    try:
        status = status_of(urlsplit(url), answer_s)
    except NoAnswer as exc:
        return str(exc)
    return "" if 200 <= status < 400 else f"status {status}"
