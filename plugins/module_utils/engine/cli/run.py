# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `run`: back up, in the job's unit where there is one, and say what was saved."""

from __future__ import annotations

from typing import Any

from ..errors import LifeboatError, UsageError
from ..keys import key_findings
from . import unit, watch
from .output import Output
from .session import Session, now, report_mapping, run_backup


def run(session: Session, asked: Any, out: Output) -> int:
    """Back up: in the job's unit where there is one, else here."""
    listener = watch.listener(quiet=asked.quiet)
    if asked.unit:
        return _run_in_unit(session, asked, out)
    if not asked.job:
        raise UsageError("name the job to run", hint="`lifeboat status` shows the jobs")
    job = session.job_to_run(asked.job)
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
    job = session.job_to_run(name)
    request = unit.take_request(session.paths, name) if type_ == "manual" else {}
    schedule = job.schedule(type_)
    scheduled = schedule.sources if schedule else ()
    _warn_of_keys(job, out)
    told_to = watch.UnitStatus(watch.listener(terminal=False))
    listener = watch.ProgressFile(session.paths.progress(name), told_to)
    try:
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
    except LifeboatError as exc:
        unit.leave_failure(session.paths, name, exc)
        raise
    told = report_mapping(job, report)
    unit.leave_report(session.paths, name, told)
    if report.exit_code == 0 and job.prunes:
        from .prune import Duty, carry_out

        carry_out(session, Duty(job.host, job, True), out, listener)
    return _show_report(told, out)


def _show_report(told: dict[str, Any], out: Output) -> int:
    for source in told["sources"]:
        if source["error"]:
            out.note(str(source["error"]))
        for told_of in source.get("warnings", ()):
            out.note(f"warning: {source['name']}: {told_of}")
    for one in told["destinations"]:
        states = [one["state"], *one.get("remarks", ()), *([one["error"]] if one["error"] else [])]
        out.note(f"{one['name']}: " + ", ".join(states))
        if one.get("hint"):
            out.note(f"  hint: {one['hint']}")
    for odd in told["suspect"]:
        out.note(f"suspect: {odd}; it does not count until a drill or `lifeboat accept` says so")
    failed = [str(one["name"]) for one in told["sources"] if one["status"] == "failed"]
    if told["committed"] and failed:
        out.note(f"partial: without {', '.join(failed)}: it does not count as good")
    if not told["committed"]:
        out.note("nothing was saved by this run")
    out.result(told, told["id"] if told["committed"] else "")
    return int(told["exit_code"])
