# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore, undo and confirm at the command line, each through the gate."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import GateRefused, UsageError
from ..gate import Ask, answer, decide
from ..job import Job
from ..manifest import commit
from ..operations.copies.catalog import Wanted
from ..operations.restore import planning, restore, settle, undecided, undoable
from ..operations.restore.journal import UNDONE, Journal, journals
from ..operations.restore.losses import losses
from ..registry import FILTERS
from ..units import counted, human_duration, human_size, iso, parse_instant
from . import watch
from .gatekeeper import ask_secret, has_terminal, pass_gate, refuse_what_is_no_key
from .incidents import incidents, used
from .output import Output
from .session import Session, now, remember, warnings_of
from .wanted import from_bundle, host_of

_MOST_NAMES = 40  # more is no help before a question
_STATES = {  # of a service that the job names
    "wanted": "stops right before the swap, and starts again after it",
    "stopped": "does not run, and stays so; so nobody asks whether all works",
    "absent": "is not on this host; so nobody asks whether all works",
}


def identity(source: str | None) -> bytes | None:
    """The private key from a file or, with "-", from standard input; never written anywhere."""
    if source is None:
        return None
    try:
        if source == "-" and sys.stdin.isatty():
            content = ask_secret("paste the private key, then Enter: ")
        elif source == "-":
            content = sys.stdin.buffer.read()
        else:
            content = Path(source).read_bytes()
    except OSError as exc:
        raise UsageError(
            f"the private key {source} cannot be read: {exc.strerror}",
            hint="give the path of its file here, or paste the key: --identity -",
        ) from exc
    refuse_what_is_no_key(content)
    return content


def restore_(session: Session, asked: Any, out: Output) -> int:
    """Choose, show, verify, ask, restore beside, compare, swap."""
    job, host, id_ = session.job(asked.job), asked.from_host, asked.id
    if asked.from_file:
        job, only_one = from_bundle(session, asked.from_file, asked.job)
        id_ = only_one if id_ == "latest" else id_  # `asked` keeps what was typed, for the gate
        host = host or host_of(job)
    seen = watch.listener(quiet=asked.quiet)
    listener = watch.ProgressFile(session.paths.progress(asked.job), seen)
    as_of = parse_instant(asked.as_of) if asked.as_of else None
    wanted = Wanted(id_, asked.tag, asked.type, asked.index, as_of, asked.at)
    key = identity(asked.identity)
    with session.hold(job, "restore", listener=listener):
        settle.expire(job, session.paths.journals, now(), listener)
        planned = planning.plan(
            job,
            wanted,
            now(),
            host=host,
            only=asked.only,
            into=asked.into,
            paths=asked.path,
            merge=asked.merge,
            services=asked.services,
            allow_unsigned=asked.allow_unsigned,
            ours=session.not_to_replace(),
        )
        if asked.dry_run:
            out.result(plan_mapping(job, planned), "\n".join(plan_lines(job, planned)))
            return GateRefused.exit_code if planned.refusals else 0
        for line in plan_lines(job, planned):
            out.note(line)
        interactive = asked.confirm is None and has_terminal()
        ask = ask_of(job, planned, asked, phrase=asked.confirm, terminal=interactive, verified=True)
        facts = {"id": planned.manifest.id, "reason": asked.reason, "key": used(key)}
        with incidents(session, listener, "restore", job.name, **facts):
            facts["gate"] = answer(decide(ask))  # refuses what can be before an hour of fetching
            with restore.Restore(
                job, planned, session.area(job, rescue=True), FILTERS, key, now, listener
            ) as work:
                work.fetch()
                pass_gate(ask, out)
                journal = work.apply(secrets.token_hex(3), now())
        remember(session, listener, "restore", job.name, **facts, token=journal.token)
    lines = [f"restored {planned.manifest.id}"]
    for record, target in planned.targets:
        all_of_it = "" if asked.path else f", {_totals(record.totals) or 'not counted'}"
        lines.append(f"  {record.name}: {target.label}{all_of_it}")
    out.result(journal_mapping(journal), "\n".join(lines))
    for sentence in [*(f"warning: {one}" for one in work.warnings), *undecided.unheld(journal)]:
        out.note(watch.shown(sentence))
    out.note(
        f"`lifeboat undo {job.name}` takes it back; `lifeboat confirm {job.name}` lets go of the old"
    )
    return 0


def undo(session: Session, asked: Any, out: Output) -> int:
    """Put back what the last restore replaced."""
    job = session.job(asked.job)
    listener = watch.listener(quiet=asked.quiet)
    with session.hold(job, "undo", listener=listener):
        done = journals(session.paths.journals, job.name)
        last = undoable.meant(job, done, asked.id, asked.earlier)
        out.note(f"undo of {undoable.named(last)}, on {job.host} ({job.environment})")
        for swap in last.swaps:
            before = f"before {iso(last.begun_at)}"
            what = (
                f"what it was {before} comes back"
                if swap.existed
                else f"not there {before}: it goes"
            )
            out.note(f"{swap.target}: {what}")
        interactive = asked.confirm is None and has_terminal()
        facts = {"id": last.backup_id, "reason": asked.reason}
        with incidents(session, listener, "undo", job.name, **facts):
            ask = undo_ask(job, last, asked, asked.confirm, interactive)
            facts["gate"] = answer(decide(ask))
            pass_gate(ask, out)
            journal = settle.undo(job, session.paths.journals, now(), asked.services, listener)
        remember(session, listener, "undo", job.name, **facts, token=journal.token)
        done = journals(session.paths.journals, job.name)
    told = f"undone: {undoable.named(journal)}; {undoable.in_place(journal, done)}"
    out.result(journal_mapping(journal), ", but ".join([told, *journal.lost]))
    return 0


def confirm(session: Session, asked: Any, out: Output) -> int:
    """Let go of everything that restores of this job keep beside."""
    job = session.job(asked.job)
    listener = watch.listener(quiet=asked.quiet)
    with session.hold(job, "confirm", listener=listener):
        with incidents(session, listener, "confirm", job.name):
            done = settle.confirm(job, session.paths.journals, now(), listener)
        remember(session, listener, "confirm", job.name, tokens=[one.token for one in done])
    out.result([journal_mapping(one) for one in done], _let_go(done))
    return 0


def _let_go(done: Sequence[Journal]) -> str:
    if not done:
        return "there was no restore to confirm"
    return "\n".join(
        f"let go of what {undoable.named(one)} {'brought' if one.step == UNDONE else 'replaced'}"
        for one in done
    )


def ask_of(
    job: Job,
    planned: planning.Plan,
    asked: Any,
    *,
    phrase: str | None,
    terminal: bool,
    verified: bool,
) -> Ask:
    """The gate's question for a restore. `asked` has id, target_host and from_host."""
    manifest = planned.manifest
    return Ask(
        environment=job.environment,
        host=job.host,
        backup_id=manifest.id,
        backup_host=manifest.host,
        backup_environment=manifest.environment,
        verified=verified,
        refusals=planned.refusals,
        id_was_named=asked.id == manifest.id,
        target_host=asked.target_host,
        from_host=asked.from_host,
        phrase=phrase,
        unsigned=planned.unsigned,
        terminal=terminal,
    )


def undo_ask(job: Job, last: Journal, asked: Any, phrase: str | None, terminal: bool) -> Ask:
    """The gate's question for an undo: nothing comes from elsewhere, the rest is the same."""
    return Ask(
        environment=job.environment,
        host=job.host,
        backup_id=last.backup_id,
        backup_host=job.host,
        backup_environment=job.environment,
        verified=True,
        refusals=(),
        id_was_named=asked.id == last.backup_id,
        target_host=asked.target_host,
        phrase=phrase,
        terminal=terminal,
    )


def plan_lines(job: Job, planned: planning.Plan) -> list[str]:
    """What the operator reads before the gate."""
    manifest = planned.manifest
    lines = [
        f"restore of job {job.name} on host {job.host} ({job.environment})",
        f"  from backup {manifest.id}, {human_duration(now() - manifest.taken_at)} old, "
        f"{human_size(planned.size_bytes)} at {planned.destination}",
    ]
    if manifest.host != job.host:
        lines.append(f"  made on host {manifest.host} ({manifest.environment})")
    if commit(manifest):
        lines.append(f"  the application was at commit {commit(manifest)} then")
    if planned.unsigned:
        lines.append(f"  NOT SIGNED: {planned.unsigned}")
    if planned.remark:
        lines.append(f"  note: {planned.remark}")
    for record, target in planned.targets:
        lines.append(f"  {record.name}: {target.label}")
        there = _totals(target.totals) or human_size(target.size_bytes)
        lines.append("    there now: " + (there if target.exists else "nothing"))
        if target.tables:
            lines.append("    tables there now: " + _some(target.tables))
        if record.totals:
            whole = "whole " if planned.narrowed else ""
            lines.append(f"    in the {whole}backup: " + _totals(record.totals))
        lines += [f"    warning then: {one}" for one in warnings_of(manifest, record.name)]
        lines += [f"    would be lost: {one}" for one in losses(record, target)]
        lines += [f"    refused: {reason}" for reason in target.refusals]
    if any(target.exists for _record, target in planned.targets):
        age = human_duration(now() - manifest.taken_at)
        lines.append(f"  what was changed there in these {age} is replaced, and kept for `undo`")
    lines += [f"  {name}: NOT in this backup, and left as it is" for name in planned.absent]
    lines += [f"  {name}: left out, for nothing reads it back" for name in planned.exports]
    lines += [f"  {name}: {_STATES[state]}" for name, state in planned.states]
    if planned.services and all(state == "wanted" for _name, state in planned.states):
        lines += [f"  then has to work: {one.label}" for one in job.around.health]
    return lines


def plan_mapping(job: Job, planned: planning.Plan) -> dict[str, Any]:
    """The same for --json and for modules in check mode."""
    return {
        "job": job.name,
        "host": job.host,
        "environment": job.environment,
        "id": planned.manifest.id,
        "destination": planned.destination,
        "size_bytes": planned.size_bytes,
        "remark": planned.remark,
        "commit": commit(planned.manifest),
        "unsigned": planned.unsigned,
        "absent": list(planned.absent),
        "exports": list(planned.exports),
        "services": dict(planned.states),
        "targets": [
            {
                "source": record.name,
                "target": target.label,
                "exists": target.exists,
                "size_bytes": target.size_bytes,
                "now": dict(target.totals),
                "tables": list(target.tables),
                "backup": dict(record.totals),
                "lost": losses(record, target),
                "warnings": warnings_of(planned.manifest, record.name),
                "refusals": list(target.refusals),
            }
            for record, target in planned.targets
        ],
    }


def journal_mapping(journal: Journal) -> dict[str, Any]:
    return {
        "id": journal.backup_id,
        "job": journal.job,
        "token": journal.token,
        "begun_at": iso(journal.begun_at),
        "step": journal.step,
        "lost": list(journal.lost),
        "unheld": list(journal.deaf),
        "swaps": [
            {"source": one.source, "target": one.target, "side": one.side, "kept": one.kept}
            for one in journal.swaps
        ],
    }


def _some(names: Sequence[str]) -> str:
    """A line that can be read; a name is whatever somebody made."""
    left = len(names) - _MOST_NAMES
    some = ", ".join(watch.shown(one) for one in names[:_MOST_NAMES])
    return f"{some} and {left} more" if left > 0 else some


def _totals(totals: Any) -> str:
    return ", ".join(counted(count, what) for what, count in sorted(totals.items()))
