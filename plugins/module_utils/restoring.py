# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore, take back, confirm, as db_restore is asked to: the command's steps, without a terminal."""

from __future__ import annotations

import secrets
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from . import door, jobs
from .engine.cli.incidents import incidents, used
from .engine.cli.rescue import ask_of, journal_mapping, plan_lines, plan_mapping, undo_ask
from .engine.cli.session import Session, now, remember
from .engine.cli.watch import ProgressFile
from .engine.errors import GateRefused
from .engine.gate import Ask, answer, decide
from .engine.job import Job
from .engine.operations.restore import planning, restore, settle, undecided, undoable
from .engine.operations.restore.journal import UNDONE, journals
from .engine.progress import silent
from .engine.registry import FILTERS

Facts = dict[str, Any]


def restored(session: Session, job: Job, given: Mapping[str, Any], dry_run: bool) -> Facts:
    """Restore; with dry_run the plan, and what the gate would say to it."""
    planned = planning.plan(
        job,
        jobs.wanted(given),
        now(),
        host=given["from_host"] or "",
        only=given["only"],
        into=given["into"],
        paths=given["path"],
        merge=given["merge"],
        allow_unsigned=given["allow_unsigned"],
        services=given["services"],
        ours=session.not_to_replace(),
    )
    ask = ask_of(
        job, planned, _asked(given), phrase=given["confirm"], terminal=False, verified=True
    )
    plan = plan_mapping(job, planned)
    facts: Facts = {
        "changed": True,
        "plan": plan,
        "summary": plan_lines(job, planned),
        "diff": door.diff(_counted(plan, "now"), _counted(plan, "backup")),
    }
    if dry_run:
        return dict(facts, gate=_would_say(ask))
    key = jobs.identity(given)
    told = {"id": planned.manifest.id, "reason": given["reason"] or "", "key": used(key)}
    with incidents(session, silent, "restore", job.name, **told):
        told["gate"] = answer(decide(ask))  # refuses what can be before an hour of fetching
        area = session.area(job, rescue=True)
        listener = ProgressFile(session.paths.progress(job.name), silent)
        with restore.Restore(job, planned, area, FILTERS, key, now, listener) as work:
            work.fetch()
            time.sleep(decide(ask).pause_s)
            journal = work.apply(secrets.token_hex(3), now())
    remember(session, silent, "restore", job.name, **told, token=journal.token)
    warn = [*work.warnings, *undecided.unheld(journal)]
    return dict(facts, restore=journal_mapping(journal), warn=warn)


def undone(session: Session, job: Job, given: Mapping[str, Any], dry_run: bool) -> Facts:
    """Take the last restore back. One that is taken back already is left so."""
    done = journals(session.paths.journals, job.name)
    asked = _asked(given)
    id_ = "" if asked.id == "latest" else asked.id
    if done and done[-1].step == UNDONE and id_ in ("", done[-1].backup_id):
        return {"changed": False, "restore": journal_mapping(done[-1])}
    last = undoable.meant(job, done, id_)
    ask = undo_ask(job, last, asked, given["confirm"], False)
    if dry_run:
        return {"changed": True, "gate": _would_say(ask), "restore": journal_mapping(last)}
    told = {"id": last.backup_id, "reason": given["reason"] or ""}
    with incidents(session, silent, "undo", job.name, **told):
        told["gate"] = answer(decide(ask))
        time.sleep(decide(ask).pause_s)
        journal = settle.undo(job, session.paths.journals, now(), given["services"])
    remember(session, silent, "undo", job.name, **told, token=journal.token)
    return {"changed": True, "restore": journal_mapping(journal)}


def confirmed(session: Session, job: Job, given: Mapping[str, Any], dry_run: bool) -> Facts:
    """Let go of everything that restores of this job keep beside."""
    done = journals(session.paths.journals, job.name)
    if done and not dry_run:
        with incidents(session, silent, "confirm", job.name):
            done = settle.confirm(job, session.paths.journals, now())
        remember(session, silent, "confirm", job.name, tokens=[one.token for one in done])
    return {"changed": bool(done), "confirmed": [journal_mapping(one) for one in done]}


def _asked(given: Mapping[str, Any]) -> Namespace:
    return Namespace(
        id=given["backup"],
        target_host=given["target_host"] or "",
        from_host=given["from_host"] or "",
    )


def _would_say(ask: Ask) -> str:
    try:
        decide(ask)
    except GateRefused as exc:
        return str(exc)
    return ""


def _counted(plan: Mapping[str, Any], when: str) -> list[str]:
    return [
        f"{one['target']}: "
        + (
            ", ".join(f"{count} {what}" for what, count in sorted(one[when].items()))
            or "not counted"
        )
        for one in plan["targets"]
        if when == "backup" or one["exists"]
    ]
