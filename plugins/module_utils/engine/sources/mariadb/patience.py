# SPDX-License-Identifier: GPL-3.0-or-later
"""Run statements that want a database for themselves: wait for those who use it, then end them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...errors import SourceError
from .facts import same
from .server import Access, QueryError

_ATTEMPTS = 10
_LOCK_WAIT_S = 3
_IN_USE = (1205, 1213)  # a lock was not given in time


def patiently(access: Access, statements: Sequence[str], databases: Sequence[str]) -> None:
    """Run statements that wait for those who use a database; who does not let go is ended."""
    limit = f"SET lock_wait_timeout = {_LOCK_WAIT_S}, innodb_lock_wait_timeout = {_LOCK_WAIT_S}"
    problem: QueryError | None = None
    for _attempt in range(_ATTEMPTS):
        try:
            access.ask([limit, "SET foreign_key_checks = 0", *statements])
            return
        except QueryError as exc:
            if exc.code not in _IN_USE:
                raise
            problem = exc
        _end_sessions(access, databases)
        time.sleep(0.2)
    raise SourceError(
        f"{problem}",
        hint="end what uses the database (see SHOW FULL PROCESSLIST), then try again",
    )


def _end_sessions(access: Access, databases: Sequence[str]) -> None:
    theirs = " OR ".join(same("DB", name) for name in databases)
    for row in access.ask(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE ({theirs}) AND ID <> CONNECTION_ID()"
    ):
        try:
            access.ask(f"KILL {int(row[0])}")
        except QueryError:
            pass  # it has gone, or is not ours to end: the next attempt shows
