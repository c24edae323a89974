# SPDX-License-Identifier: GPL-3.0-or-later
"""Change which database bears a name: renames in one transaction, so that a crash leaves old or new.

Whether it happened is read from the server: a database keeps its oid under any name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from ...errors import SourceError
from . import facts
from .restore import transaction
from .session import QueryError, Session, identifier, literal

_ATTEMPTS = 10
_IN_USE = "55006"
_DENIED = "42501"

Connect = Callable[[], AbstractContextManager[Session]]


def oid(admin: Session, name: str) -> int:
    """The oid of a database; 0 = there is none of that name."""
    found = admin.ask(f"SELECT oid FROM pg_catalog.pg_database WHERE datname = {literal(name)}")
    return int(found[0]) if found else 0


def subscribed(admin: Session, name: str) -> list[str]:
    """For each subscription of the database `name`: why it must not be renamed or removed, and what to type.

    It would go on pulling changes under another name; and to drop it drops its slot at the publisher too.
    """
    return [
        f"database {name} has the subscription {one}: type there `ALTER SUBSCRIPTION {identifier(one)} DISABLE;"
        f" ALTER SUBSCRIPTION {identifier(one)} SET (slot_name = NONE); DROP SUBSCRIPTION {identifier(one)};`"
        " (its slot stays at the publisher, and keeps WAL there)"
        for one in facts.subscriptions(admin, name)
    ]


def rename(connect: Connect, source: str, moves: Sequence[tuple[str, str]]) -> None:
    """Rename databases, [(from, to), ...], all or none, ending the sessions that are in the way.

    A rename locks the database's name, so that no new session gets in, and waits 5 seconds for those
    that are there to go; a second connection ends them meanwhile. Nothing has to be switched off
    before (ALLOW_CONNECTIONS), so nothing stays off after a crash.
    """
    names = ", ".join(literal(name) for name, _new in moves)
    # autovacuum, which is no user's, gives way by itself
    end_sessions = (
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        f" WHERE datname IN ({names}) AND pid <> pg_catalog.pg_backend_pid() AND usesysid IS NOT NULL"
    )
    problem: QueryError | None = None
    for _attempt in range(_ATTEMPTS):
        with connect() as admin, connect() as clearer:
            admin.ask("BEGIN")
            try:
                for name, new in moves:
                    admin.ask(
                        f"ALTER DATABASE {identifier(name)} RENAME TO {identifier(new)}",
                        meanwhile=lambda: _end(clearer, end_sessions, source, moves[0][0]),
                    )
                admin.ask("COMMIT")
                return
            except QueryError as exc:
                if exc.state != _IN_USE:
                    raise
                problem = exc
        time.sleep(0.5)
    raise SourceError(
        f"source {source}: database {moves[0][0]!r} cannot be renamed: {problem}",
        hint="end what uses it (see pg_stat_activity and pg_prepared_xacts), then try again",
    )


def drop(admin: Session, name: str) -> None:
    """Remove a database and its sessions; gone already is fine."""
    found = admin.ask(
        f"SELECT datistemplate FROM pg_catalog.pg_database WHERE datname = {literal(name)}"
    )
    if found == ["t"]:
        transaction(admin, [f"ALTER DATABASE {identifier(name)} IS_TEMPLATE false"])
    forced = admin.ask("SELECT current_setting('server_version_num')::int >= 130000") == ["t"]
    if not forced:
        admin.ask(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
            f" WHERE datname = {literal(name)}"
        )
    admin.ask(f"DROP DATABASE IF EXISTS {identifier(name)}" + (" WITH (FORCE)" if forced else ""))


def fitting(name: str, token: str, end: str, most: int = 63) -> str:
    """`name`_lb_`token`_`end`, at most 63 bytes; a name that is cut has a hash of the whole behind it."""
    whole, added = name.encode("utf-8"), f"_lb_{token}_{end}"
    if len(whole) > most - len(added):  # two that begin alike must not become one
        added = f"_{hashlib.sha256(whole).hexdigest()[:8]}{added}"
    return whole[: most - len(added)].decode("utf-8", "ignore") + added


def _end(clearer: Session, statement: str, source: str, name: str) -> None:
    """Whether the sessions could be ended shows in the rename; that we may not is told at once."""
    try:
        clearer.ask(statement)
    except QueryError as exc:
        if exc.state != _DENIED:
            raise
        raise SourceError(
            f"source {source}: database {name!r} is in use by sessions that are not ours to end: {exc}",
            hint="end them, or let the role do it: GRANT pg_signal_backend TO it",
        ) from exc
