# SPDX-License-Identifier: GPL-3.0-or-later
"""Find tables that were written anew after the snapshot of a dump, and before the dump locked them.

What ALTER TABLE or TRUNCATE and INSERT write then is newer than the snapshot, and what was there is gone:
pg_dump, and whoever counts in the same snapshot, finds an empty table and says nothing.
"""

from __future__ import annotations

from ...errors import SourceError
from .facts import FIRST_ORDINARY
from .session import Access, QueryError, Session, literal

_PATIENCE = "3s"  # for a table that is being altered again

# The row of pg_class is as old as the snapshot, the function tells what is now. CLUSTER and VACUUM FULL
# change the file too, and keep what old snapshots see.
_REWRITTEN = f"""
SELECT c.oid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_class c
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= {FIRST_ORDINARY}
  AND pg_catalog.pg_relation_filenode(c.oid) <> c.relfilenode ORDER BY 1"""


def refuse(access: Access, database: str, snapshot: str) -> None:
    """Raise SourceError for tables that have rows now, and none in `snapshot`, whose transaction is still open.

    One that was rewritten as soon as the dump let go of it is told too: that cannot be told apart.
    """
    with access.session(database) as session:
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.ask(f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
        suspects = [one["name"] for one in session.rows(_REWRITTEN)]
        if not suspects:
            return
        session.set("ON_ERROR_ROLLBACK", "on")
        session.ask(f"SET lock_timeout = '{_PATIENCE}'")
        empty = [one for one in suspects if _has_rows(session, one) is not True]
    with access.session(database) as session:
        session.ask(f"SET lock_timeout = '{_PATIENCE}'")
        lost = [one for one in empty if _has_rows(session, one) is not False]
    if lost:
        raise SourceError(
            f"source {access.source}: {', '.join(lost)} had its rows written anew (ALTER TABLE, TRUNCATE)"
            " while the dump began, which finds none of them",
            hint="back up again, when what alters the tables has ended",
        )


def _has_rows(session: Session, table: str) -> bool | None:
    """None = it cannot be seen now."""
    try:
        return session.ask(f"SELECT EXISTS (SELECT FROM ONLY {table})") == ["t"]
    except QueryError:
        return None
