# SPDX-License-Identifier: GPL-3.0-or-later
"""One function a command: (session, arguments, output) -> exit code. Results are values; doors print."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..errors import LifeboatError, UsageError
from ..filters.gpg_home import sweep
from ..keys import key_findings
from ..operations import backup, catalog, verify
from ..operations.journal import jobs_with_journals
from ..progress import Event
from ..registry import FILTERS
from ..stopped import notes
from ..throwaway import left
from ..units import human_duration
from . import rescue, seldom, unit, watch
from .listing import list_
from .marks import mark
from .output import Output, table
from .prune import Duty, carry_out, prune_
from .push import push
from .session import Session, now, report_mapping, run_backup
from .standing import status_
from .wanted import meant


def run(session: Session, asked: Any, out: Output) -> int:
    """Back up: in the job's unit where there is one, else here."""
    listener = watch.listener(quiet=asked.quiet)
    if asked.unit:
        return _run_in_unit(session, asked, out)
    if not asked.job:
        raise UsageError("name the job to run", hint="`lifeboat list` shows the jobs")
    job = session.job(asked.job)
    wanted = {
        "type": asked.type,
        "tags": asked.tag,
        "pin": asked.pin,
        "sources": [job.source(name).name for name in asked.only],
    }
    _warn_of_keys(job, out)
    if not asked.here and unit.usable(session.paths):
        told = dict(unit.run_through_unit(session.paths, job.name, wanted, listener))
    else:
        report = run_backup(
            session,
            job,
            type_=asked.type,
            sources=asked.only,
            tags=asked.tag,
            pin=asked.pin,
            listener=watch.ProgressFile(session.paths.progress(job.name), listener),
        )
        told = report_mapping(job, report)
    return _show_report(told, out)


def _warn_of_keys(job: Any, out: Output) -> None:
    for one in key_findings(job, now()):
        out.note(f"warning: {one.line}")


def _run_in_unit(session: Session, asked: Any, out: Output) -> int:
    """What systemd starts: JOB:TYPE; an operator's wishes lie in the request file."""
    name, _colon, type_ = asked.unit.partition(":")
    job = session.job(name)
    request = unit.take_request(session.paths, name) if type_ == "manual" else {}
    schedule = job.schedule(type_)
    scheduled = schedule.sources if schedule else ()
    _warn_of_keys(job, out)
    told_to = watch.UnitStatus(watch.listener(terminal=False))
    listener = watch.ProgressFile(session.paths.progress(name), told_to)
    report = run_backup(
        session,
        job,
        type_=str(request.get("type", type_)),
        sources=request.get("sources", scheduled),
        tags=request.get("tags", ()),
        pin=bool(request.get("pin")),
        # a timer waits for its turn rather than miss it
        wait=type_ != "manual" or bool(request.get("wait")),
        listener=listener,
    )
    told = report_mapping(job, report)
    unit.leave_report(session.paths, name, told)
    if report.exit_code == 0 and job.prunes:
        carry_out(session, Duty(job.host, job, True), out, listener)
    return _show_report(told, out)


def _show_report(told: dict[str, Any], out: Output) -> int:
    for source in told["sources"]:
        if source["error"]:
            out.note(str(source["error"]))
    for one in told["destinations"]:
        told_of = [one["state"], *one.get("remarks", ()), *([one["error"]] if one["error"] else [])]
        out.note(f"{one['name']}: " + ", ".join(told_of))
    for odd in told["suspect"]:
        out.note(f"suspect: {odd}; it does not count until accepted or drilled")
    if not told["committed"]:
        out.note("nothing was saved by this run")
    out.result(told, told["id"] if told["committed"] else "")
    return int(told["exit_code"])


def verify_(session: Session, asked: Any, out: Output) -> int:
    """Prove copies; whatever could not be proved is not valid."""
    identity = rescue.identity(asked.identity)
    if asked.level == "content" and identity is None:
        raise UsageError(
            "--level content needs the private key", hint="give it with --identity FILE or -"
        )
    listener = watch.listener(quiet=asked.quiet)
    findings = []
    for job, id_ in meant(session, asked.what):
        wanted = catalog.Wanted(id=id_, at=asked.at)
        area = session.area(job, rescue=True)
        content = (area, FILTERS, identity) if asked.level == "content" else None
        with session.hold(job, "verify", listener=listener):
            found = verify.verify(
                job,
                wanted,
                now,
                host=asked.from_host,
                every=asked.all,
                content=content,
                listener=listener,
            )
        findings += found
    rows = [
        [one.id, one.destination, one.state, _age(one.age_s), ", ".join(one.sources), one.problem]
        for one in findings
    ]
    told = [
        {
            "id": one.id,
            "destination": one.destination,
            "state": one.state,
            "problem": one.problem,
            "hint": one.hint,
            "age_s": one.age_s,
            "sources": dict(one.sources),
            "complete": one.complete,
        }
        for one in findings
    ]
    out.result(told, table(["ID", "DESTINATION", "STATE", "AGE", "SOURCES", "PROBLEM"], rows))
    return 0 if verify.worst(findings) else 1


def _age(seconds: int | None) -> str:
    return "" if seconds is None else human_duration(timedelta(seconds=seconds))


def recover(session: Session, asked: Any, out: Output) -> int:
    """Bring every restore that was cut off to an end, and say which state holds. One that cannot be
    ended does not keep the others waiting."""
    names = [asked.job] if asked.job else _owing(session)
    told: list[str] = [f"removed {home}" for home in sweep()]
    failed = 0

    def hear(one: Event) -> None:
        nonlocal failed
        told.append(one.what)
        failed = failed or (1 if one.problem else 0)

    for name in names:
        try:
            job = session.job(name)
            with session.hold(job, "recover", wait=True, listener=hear):
                backup.empty(session.area(job, rescue=True).spool)  # of what a killed one left
        except LifeboatError as exc:
            failed = exc.exit_code
            out.error(exc)
    out.result(told, "\n".join(told) or "nothing to recover")
    return failed


def _owing(session: Session) -> list[str]:
    """The jobs that a killed operation left something of: a journal, or containers at rest."""
    jobs = session.configuration.jobs.items()
    waiting = {name for name, job in jobs if notes(session.area(job).spool)}
    for place in (session.arenas(), session.arenas(rescue=False)):
        waiting.update(one.name.partition(".")[0] for one in left(place))
    waiting.intersection_update(session.configuration.jobs)
    return sorted(waiting.union(jobs_with_journals(session.paths.journals)))


COMMANDS: dict[str, Callable[[Session, Any, Output], int]] = {
    "run": run,
    "list": list_,
    "verify": verify_,
    "restore": rescue.restore_,
    "undo": rescue.undo,
    "confirm": rescue.confirm,
    "drill": seldom.drill,
    "prune": prune_,
    **dict.fromkeys(("accept", "pin", "unpin", "tag"), mark),
    "push": push,
    "rekey": seldom.rekey,
    "bundle": seldom.bundle,
    "fetch": seldom.fetch,
    "status": status_,
    "freshness": seldom.freshness,
    "metrics": seldom.metrics,
    "notify": seldom.notify,
    "watch": seldom.watch,
    "recover": recover,
    "doctor": seldom.doctor,
    "history": seldom.history,
    "audit": seldom.audit,
    "report": seldom.report,
    "runbook": seldom.runbook,
    "coverage": seldom.coverage,
    "destination": seldom.destination,
}
