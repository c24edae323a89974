# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which archives belong to no backup any more. Pure: no clock, no storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .errors import FormatError
from .naming import ARCHIVES, parse_id
from .retention import SKEW
from .stored import Copy, Stored

PRUNED_FOR = timedelta(hours=24)  # whoever reads the archives of a pruned backup gets this long
ORPHAN_AFTER = timedelta(hours=48)  # since the last sign of life: see operations/backup/writing.py
PRUNED, ORPHAN = "pruned", "never committed"
_NEVER = datetime.min.replace(tzinfo=timezone.utc)
# Marks that are written after the commit: the manifest was here once, and is lost.
_COMMITTED_ONCE = ("intact", "drilled", "bad")


@dataclass(frozen=True)
class Sweep:
    """All archives of one id that belong to no backup any more."""

    id: str
    why: str  # PRUNED or ORPHAN


def sweepable(
    archives: Iterable[Stored], copies: Sequence[Copy], now: datetime
) -> tuple[Sweep, ...]:
    """The ids whose archives may go: of pruned backups, and of what no run ever committed.

    archives: all objects below archives/<host>/<job>/ of one job; read once, and not kept.
    copies: the same job's catalog. Foreign names stay.
    """
    known = {copy.id: copy for copy in copies if not copy.committed}
    committed = {copy.id for copy in copies if copy.committed}
    # With an empty catalog every archive looks like an orphan; then it is the catalog that is lost.
    trusted = bool(committed)
    newest: dict[str, datetime] = {}
    for stored in archives:
        if not committed.isdisjoint(stored.key.split("/", 4)[3:4]):
            continue  # nearly all are: not worth a closer look
        id_ = id_of(stored.key)
        if id_ and id_ not in committed:
            newest[id_] = max(newest.get(id_, stored.changed_at), stored.changed_at)
    found = ((id_, _why(known.get(id_), at, now, trusted)) for id_, at in sorted(newest.items()))
    return tuple(Sweep(id_, why) for id_, why in found if why)


def id_of(key: str) -> str:
    """The id in archives/<host>/<job>/<id>/<name>; "" for any other key."""
    parts = key.split("/")
    if len(parts) != 5 or parts[0] != ARCHIVES:
        return ""
    try:
        parse_id(parts[3])
    except FormatError:
        return ""
    return parts[3]


def _why(copy: Copy | None, changed_at: datetime, now: datetime, trusted: bool) -> str:
    """Why the archives of an id without a manifest may go; "" = they stay."""
    written_at = _written_at(copy, now)
    pruned = copy.latest("pruned") if copy is not None else None
    # Anybody's mark may say any time: none was pruned before it was begun, or while it was written.
    if copy is not None and pruned is not None and pruned.at >= max(copy.taken_at, written_at):
        return PRUNED if now - pruned.at >= PRUNED_FOR else ""
    if not trusted or (copy is not None and copy.latest(*_COMMITTED_ONCE)):
        return ""
    return ORPHAN if now - max(changed_at, written_at) > ORPHAN_AFTER else ""


def unfinished_before(copies: Iterable[Copy], now: datetime) -> datetime:
    """Unfinished uploads that began earlier may go: nobody is at work on them any more."""
    limit = now - ORPHAN_AFTER
    at_work = [copy.taken_at for copy in copies if _written_at(copy, now) >= limit]
    return min([limit, *at_work])  # of a slow one every upload began after its id


def _written_at(copy: Copy | None, now: datetime) -> datetime:
    """When somebody last said that it was still on its way here; nobody can have said so in the future."""
    if copy is None or copy.committed:
        return _NEVER
    said = (mark.at for mark in copy.marks if mark.kind == "writing" and mark.at <= now + SKEW)
    return max(said, default=_NEVER)
