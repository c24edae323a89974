# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep in the history also what did not happen: a restore or an undo that was refused, or failed, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import LifeboatError, UsageError
from ..operations.copies.unlocking import WrongIdentity
from ..progress import Listener
from .session import Session, remember


def used(key: bytes | None) -> str:
    """What the audit log tells of a private key."""
    return "used" if key else ""


@contextmanager
def incidents(
    session: Session, listener: Listener, event: str, job: str, **facts: Any
) -> Iterator[None]:
    """What is raised within goes on, after a line with `facts`, the exit code and the reason.

    A request that is wrong in itself (UsageError: no such backup) is no incident; somebody with a key
    that does not open the backup is one.
    """
    try:
        yield
    except (LifeboatError, OSError, KeyboardInterrupt) as exc:
        if isinstance(exc, UsageError) and not isinstance(exc, WrongIdentity):
            raise
        code = 130 if isinstance(exc, KeyboardInterrupt) else getattr(exc, "exit_code", 1)
        reason = str(exc) or "interrupted"
        remember(session, listener, event, job, **facts, exit_code=code, errors=[reason])
        raise
