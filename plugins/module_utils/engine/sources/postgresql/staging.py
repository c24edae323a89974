# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore one PostgreSQL database beside its target: roles, an empty database, its content, its settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ...model import SourceRecord, Swap, Workspace
from ...ports import Plain
from . import facts, restore
from . import swap as naming
from .server import Server

log = logging.getLogger(__name__)


def stage(
    server: Server,
    of: Swap,
    record: SourceRecord,
    plains: Mapping[str, Plain],
    work: Workspace,
    parallel: int,
) -> None:
    """See ports.Source."""
    wanted = record.facts
    globals_ = plains["globals"].read(restore.statements) if "globals" in plains else []
    with server.access(admin=True, folder=work.secret) as access:
        with access.session(server.beside(of.target)) as admin:
            me = facts.server(admin)
            number = me["number"]
            naming.drop(admin, of.side)
            left = restore.create_roles(admin, of.source, wanted["roles"], globals_)
            if (
                left
            ):  # and as superuser we would make members of roles that are somebody else's by now
                told = "source=%s roles that were here are not altered, this is yours to type: %s"
                log.warning(told, of.source, " ".join(left))
            restore.create_database(admin, of.side, wanted, number)
            restore.configure_database(admin, of.side, wanted)
            money = facts.reads_money(admin, wanted["money"]) if "money" in wanted else ""
            lost = set(wanted["tablespaces"]) - set(restore.tablespaces(admin))
        if lost:
            log.warning("source=%s tablespaces=%s missing, not used", of.source, sorted(lost))
        with access.session(of.side) as session:
            role = session.role
        if wanted.get("subscriptions"):
            names = sorted(wanted["subscriptions"])
            log.warning("source=%s subscriptions=%s not restored, make them anew", of.source, names)
        program = server.programs(number).path("pg_restore")
        restore.load(
            access,
            program,
            of.side,
            plains["database"],
            work.bulk,
            parallel,
            keep_places=not lost,
            only=of.note.get("only", ()),
            given=restore.settings(me, wanted, money),
            role=role,
        )
        with access.session(of.side) as session:
            session.ask("ANALYZE")
            # what an application writes is read, and shown, as where it was
            shown = session.ask("SELECT current_setting('lc_monetary')") == [money]
        with access.session(server.beside(of.target)) as admin:
            restore.finish_database(admin, of.side, wanted)
            if money and wanted["money"]["own"] and not shown:
                setting = {"role": None, "setting": "lc_monetary=" + money}
                restore.configure_database(admin, of.side, {"settings": [setting]})
                log.warning("source=%s lc_monetary=%s set for the database", of.source, money)
