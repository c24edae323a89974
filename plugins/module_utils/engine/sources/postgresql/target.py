# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at what a PostgreSQL restore would replace, and find what forbids it. Read only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...files import free_bytes
from ...model import Target
from ...units import human_size
from .. import some_tables
from . import count, facts, swap
from .options import check_name
from .server import Server
from .session import Access, QueryError, Session, literal

_LOOK_S = 10.0  # for counting; what is left is estimated
_ROOM = 1.1  # restored tables are packed, indexes may be larger than they were
_SYSTEM = ("template0", "template1")


def target(
    server: Server, wanted: Mapping[str, Any], database: str, into: str | None, only: Sequence[str]
) -> Target:
    """What a restore of the backup with the facts `wanted` would replace; `only`: tables. See ports.Source."""
    name = into or database
    check_name(server.source, name)
    if name in _SYSTEM:
        raise SourceError(f"source {server.source}: {name} is PostgreSQL's own, and not a target")
    with server.access(admin=True) as access:
        with access.session(server.beside(name)) as admin:
            me = facts.server(admin)
            exists = swap.oid(admin, name) != 0
            told = refusals(admin, me, wanted, name)
            if server.on_host:
                told += room(admin, me, wanted)
        size_bytes, totals, there = look(access, name) if exists else (0, {}, ())
    told += some_tables.refusals(only, into, exists)
    label = f"database {name} on {server.place}"
    if only:
        label += ", the rows of " + ", ".join(only) + " alone"
    note = {"only": only} if only else {}
    return Target(label, name, exists, size_bytes, totals, tuple(told), note, tables=tuple(there))


def unfit(server: Server, database: str) -> str:
    """Why no backup at all could be restored here, which a good dump does not show; "" = one could."""
    try:
        with server.admin(database) as admin:
            me = facts.server(admin)
    except SourceError as exc:
        return f"a restore would be refused: {exc}"
    lacks = "" if me["superuser"] or me["standby"] else _creates(me)
    return f"a restore would be refused: {lacks}" if lacks else ""


def refusals(admin: Session, me: Any, wanted: Mapping[str, Any], name: str) -> list[str]:
    """Why the backup with the facts `wanted` cannot become database `name` here, in sentences."""
    told = []
    if me["standby"]:
        told.append("the server is a standby: restore on its primary")
    if me["number"] // 10000 < wanted["server_number"] // 10000:
        told.append(
            f"the server is PostgreSQL {me['version']}, older than the"
            f" {wanted['server_version']} that the backup is from"
        )
    known = facts.names(admin, "SELECT name FROM pg_catalog.pg_available_extensions")
    lost = [extension for extension in wanted["extensions"] if extension not in known]
    if lost:
        told.append(f"the server lacks the extensions {', '.join(lost)}: install their packages")
    if "money" in wanted:
        try:
            facts.reads_money(admin, wanted["money"])
        except QueryError:
            told.append(
                f"the backup has amounts of money as the locale {wanted['money']['locale']} writes them, and"
                " the server would not read them as they were: install that locale there"
            )
    told += [
        f"the logical replication slot {slot} is bound to database {name}: drop it, or use --into"
        for slot in facts.slots(admin, name)
    ]
    told += [one + ", or use --into" for one in swap.subscribed(admin, name)]
    prepared = facts.names(
        admin,
        f"SELECT gid AS name FROM pg_catalog.pg_prepared_xacts WHERE database = {literal(name)}",
    )
    if prepared:
        told.append(f"the prepared transaction {prepared[0]} is open: commit it or roll it back")
    return told + ([] if me["superuser"] else _rights(admin, me, wanted, name))


def room(admin: Session, me: Any, wanted: Mapping[str, Any]) -> list[str]:
    """The refusal for a disk too small, where this process can see the server's directory."""
    if not me["superuser"]:  # the directory's name is not for everybody
        return []
    try:
        free = free_bytes(Path(admin.ask("SELECT current_setting('data_directory')")[0]))
    except OSError:
        return []
    needed = int(_ROOM * wanted["size_bytes"])
    if free >= needed:
        return []
    return [
        f"the server's disk has {human_size(free)} free, {human_size(needed)} are needed beside what "
        "is there; make room, or bring some tables (--path) into another name (--into)"
    ]


def look(access: Access, name: str) -> tuple[int, dict[str, int], tuple[str, ...]]:
    """(bytes, {"tables": .., "rows": .., "uncounted": ..}, its tables); rows within 10 seconds.

    A database that cannot be opened has no totals: that may be why it is restored.
    """
    try:
        with access.session(name) as session:
            size = int(session.ask("SELECT pg_catalog.pg_database_size(current_database())")[0])
            session.ask(f"SET statement_timeout = '{int(_LOOK_S)}s'")
            counting = count.begin(session)
            until = time.monotonic() + _LOOK_S
            count.count_rows(session, counting, lambda: time.monotonic() < until)
    except SourceError:
        return 0, {}, ()
    tables = [one for one in counting.objects if one["kind"] == "r"]
    rows = sum(counting.rows.get(one["oid"], one["estimate"]) for one in tables)
    totals = {"tables": len(tables), "rows": rows}
    left = len(tables) - len(counting.rows)
    names = tuple(sorted(f"{one['schema']}.{one['name']}" for one in tables))
    return size, dict(totals, uncounted=left) if left else totals, names


def _creates(me: Any) -> str:
    if me["creates_databases"]:
        return ""
    return (
        f"the role {me['role']} may not create databases: name a `restore_user` that may, or"
        " give it CREATEDB"
    )


def _rights(admin: Session, me: Any, wanted: Mapping[str, Any], name: str) -> list[str]:
    """What a role that is not a superuser lacks: it may only restore what it may own."""
    told = list(filter(None, [_creates(me)]))
    others = facts.names(
        admin,
        "SELECT pg_catalog.pg_get_userbyid(datdba) AS name FROM pg_catalog.pg_database WHERE"
        f" datname = {literal(name)} AND NOT pg_catalog.pg_has_role(datdba, 'USAGE')",
    )
    if others:
        told.append(
            f"{me['role']} does not own database {name} ({others[0]} does), so it may not rename"
            " it: use --into"
        )
    existing = facts.names(admin, "SELECT rolname AS name FROM pg_catalog.pg_roles")
    missing = [one for one in wanted["roles"] if one not in existing]
    if missing and not me["creates_roles"]:
        told.append(
            f"the roles {', '.join(missing)} are missing, and {me['role']} may not create any"
        )
    foreign = facts.names(
        admin,
        "SELECT rolname AS name FROM pg_catalog.pg_roles WHERE NOT"
        " pg_catalog.pg_has_role(oid, 'MEMBER') AND rolname IN"
        f" ({', '.join(literal(one) for one in wanted['owners'])}) ORDER BY 1",
    )
    if foreign:
        told.append(
            f"{me['role']} is not a member of {', '.join(foreign)}, who own what is restored"
        )
    return told
