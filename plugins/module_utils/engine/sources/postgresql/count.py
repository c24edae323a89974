# SPDX-License-Identifier: GPL-3.0-or-later
"""Count what a PostgreSQL database holds: rows of each table, sequences, large objects.

A count can be told to stop: what is left is then recorded as `uncounted`, with the server's estimate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...inventory import InventoryWriter
from ...model import Inventory
from .session import QueryError, Session, identifier

_LOCK_WAIT = "3s"  # a table that is being altered is left to its estimate
_SLICE = 4096  # pages of a large table that are counted in one go: a few hundredths of a second
_SLICES_SINCE = 140000  # before, the server reads the whole table for each slice

# What pg_dump writes: not the system's objects, and of an extension's tables only those that it
# declares as configuration (pg_extension.extconfig). Smallest first.
OBJECTS = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       c.relpersistence = 'u' AS unlogged, greatest(c.reltuples, 0)::bigint AS estimate,
       CASE c.relam WHEN 2 THEN c.relpages ELSE 0 END AS pages
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'S', 'f') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::regclass
      AND NOT coalesce(c.oid = ANY (e.extconfig), false))
ORDER BY c.relpages, c.oid"""

# Sequences are not part of any snapshot.
_SEQUENCES = """
SELECT c.oid::bigint AS oid, pg_catalog.pg_sequence_last_value(c.oid) AS last_value
FROM pg_catalog.pg_class c WHERE c.relkind = 'S' AND c.relpersistence = 'p'
  AND (pg_catalog.has_sequence_privilege(c.oid, 'USAGE')
       OR pg_catalog.has_sequence_privilege(c.oid, 'SELECT'))"""

_KINDS = {
    "r": "table",
    "p": "partitioned_table",  # its rows are its partitions'
    "m": "materialized_view",  # restored by computing it anew: its rows may rightly differ
    "v": "view",
    "S": "sequence",
    "f": "foreign_table",  # its rows are elsewhere
}


@dataclass
class Counting:
    """The objects of one database, and the rows counted so far."""

    objects: list[Any]
    sequences: dict[int, Any]
    has_large_objects: bool
    rows: dict[int, int] = field(default_factory=dict)
    large_objects: int | None = None


def begin(session: Session) -> Counting:
    """List what there is, in the session's snapshot if it has one. Quick."""
    stores = session.ask("SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)")
    return Counting(session.rows(OBJECTS), _sequences(session), stores == ["t"])


def count_rows(
    session: Session,
    counting: Counting,
    go_on: Callable[[], bool] = lambda: True,
    rest: Callable[[float], object] = lambda _seconds: None,
) -> None:
    """Count table after table while `go_on()`. A table that cannot be counted keeps its estimate.

    Large tables are counted in slices, with a `rest` as long as each slice took.
    """
    sliced = int(session.ask("SHOW server_version_num")[0]) >= _SLICES_SINCE
    session.ask(f"SET lock_timeout = '{_LOCK_WAIT}'")
    session.ask("SET max_parallel_workers_per_gather = 0")  # the dump needs the other processors
    recovering = session.ask("SELECT pg_catalog.pg_is_in_recovery()") == ["t"]
    if counting.has_large_objects:
        counting.large_objects = _count(session, "pg_catalog.pg_largeobject_metadata")
    for one in counting.objects:
        if one["kind"] != "r" or (recovering and one["unlogged"]):
            continue
        if not go_on():
            return
        table = identifier(one["schema"]) + "." + identifier(one["name"])
        pages = one["pages"] if sliced else 0
        rows = _count_slices(session, table, pages, go_on, rest)
        if rows is not None:
            counting.rows[one["oid"]] = rows


def write(session: Session, counting: Counting, path: Path) -> Inventory:
    """The inventory, at `path`. A sequence has its value only if it stood still since `begin`."""
    now = _sequences(session)
    writer = InventoryWriter(path)
    try:
        for one in counting.objects:
            writer.add(
                _KINDS[one["kind"]],
                # Quoted, so that "a.b"."c" and "a"."b.c" are two names.
                _plain(one["schema"]) + "." + _plain(one["name"]),
                **_measures(one, counting, now),
            )
        if counting.large_objects is not None:
            writer.add("large_object_store", "all", large_objects=counting.large_objects)
        elif counting.has_large_objects:
            writer.add("large_object_store", "all", uncounted=True)
    except BaseException:
        writer.close()
        raise
    return writer.close()


class Beside:
    """Count in a thread, in `session`, until `inventory` asks for what there is."""

    def __init__(self, session: Session, counting: Counting) -> None:
        self._session = session
        self._counting = counting
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._failure: SourceError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def inventory(self, path: Path, until: float, cancel: Callable[[], None]) -> Inventory:
        """Wait for the counts until the monotonic instant `until`; then `cancel` ends the current one."""
        self._hurry.set()
        self._thread.join(max(0.0, until - time.monotonic()))
        self._stop.set()
        for _attempt in range(10):  # a cancel may come between two statements, and be lost
            if not self._thread.is_alive():
                break
            cancel()
            self._thread.join(2.0)
        else:
            raise SourceError("the count of rows cannot be ended")
        if self._failure is not None:
            raise self._failure
        return write(self._session, self._counting, path)

    def close(self) -> None:
        """Give up; the session must have been stopped before."""
        self._stop.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        try:
            # Resting while the dump runs leaves it the processors; once it has ended nobody waits.
            count_rows(
                self._session, self._counting, lambda: not self._stop.is_set(), self._hurry.wait
            )
        except SourceError as exc:
            self._failure = exc


def _count_slices(
    session: Session,
    table: str,
    pages: int,
    go_on: Callable[[], bool],
    rest: Callable[[float], object],
) -> int | None:
    """Rows by ranges of pages; the last range has no end, since `pages` is what VACUUM last saw."""
    if pages <= _SLICE:
        return _count(session, table)
    total = 0
    for first in range(0, pages, _SLICE):
        if not go_on():
            return None
        begun = time.monotonic()
        within = f" WHERE ctid >= '({first},0)'"
        if first + _SLICE < pages:
            within += f" AND ctid < '({first + _SLICE},0)'"
        rows = _count(session, table, within)
        if rows is None:
            return None
        total += rows
        rest(time.monotonic() - begun)
    return total


def _count(session: Session, table: str, within: str = "") -> int | None:
    """None when it cannot be counted now: locked, cancelled, gone. The dump tells what matters."""
    try:
        # ONLY: the rows of children are counted with the children
        return int(session.ask(f"SELECT pg_catalog.count(*) FROM ONLY {table}{within}")[0])
    except QueryError:
        return None


def _sequences(session: Session) -> dict[int, Any]:
    try:
        return {one["oid"]: one["last_value"] for one in session.rows(_SEQUENCES)}
    except QueryError:  # one was dropped since the snapshot, which sequences do not belong to
        return {}


def _measures(one: Any, counting: Counting, now: dict[int, Any]) -> dict[str, Any]:
    oid = one["oid"]
    if one["kind"] == "S":
        still = oid in now and counting.sequences.get(oid, ...) == now[oid]
        return {"last_value": now[oid]} if still else {}
    if one["kind"] != "r":
        return {}
    if oid in counting.rows:
        return {"rows": counting.rows[oid]}
    return {"rows": one["estimate"], "uncounted": True}


def _plain(name: str) -> str:
    """`public`, or quoted where a name alone would be ambiguous."""
    return name if name.replace("_", "a").isalnum() else identifier(name)
