# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at every job, write the metrics, tell people what changed, and call the watcher outside.

A timer does this every six hours, and systemd after each run, in a process of its own: nothing that goes
wrong here fails or delays a backup.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import LifeboatError
from ..model import Command
from ..operations.standing import history
from ..operations.standing.status import CRITICAL, ORDER
from ..operations.watching import alarms
from ..process import run
from ..registry import NOTIFIERS
from .lookout import Lookout, Told, look, look_around
from .output import Output
from .session import Session, now
from .unit import ALL

_BATCH_S = 60.0  # what comes within a minute of a message is told in the next one
_LATELY_S = 13 * 3600.0  # as the alert LifeboatNotChecked: two checks of all jobs were missed
_KILLED = ("signal", "core-dump", "oom-kill", "timeout", "watchdog", "resources", "exit-code")
Note = Callable[[str], None]


def freshness(session: Session, asked: Any, out: Output) -> int:
    """The state of each job; 1 when something could not be looked at or told."""
    name = asked.job
    if asked.unit:
        name = asked.unit.partition(":")[0] if asked.unit != ALL else None
        if name and name not in session.configuration.jobs:
            return 0  # removed since
        if name:
            remember_killed(session, name, asked.unit)
    names = [session.job(name).name] if name else sorted(session.configuration.jobs)
    notes: list[str] = []
    seen = check(session, names, notes.append, patient=bool(asked.unit))
    for one in notes:
        out.note(one)
    told = {one["job"]: _state(one) for one in seen}
    lines = [line for one in seen for line in _lines(one)]
    out.result(told, "\n".join(lines))
    return 1 if notes else 0


def check(
    session: Session, names: Sequence[str], note: Note, patient: bool = False
) -> list[Mapping[str, Any]]:
    """Look at these jobs, and do all that follows. `patient`: may wait a minute, to tell more at once.

    What goes wrong is noted, and keeps nothing else from being done.
    """
    lookout = Lookout(session)
    found = []
    for name in names:
        try:
            found.append(look(session, session.job(name)))
        except (LifeboatError, OSError) as exc:
            note(f"{name} could not be looked at: {exc}")
        except Exception as exc:  # of what somebody else wrote: it silences no other job's alarms
            note(f"{name} could not be looked at: {exc!r}")
    with lookout.held():
        for one in found:
            lookout.keep(one)
        seen = lookout.seen()
        told = lookout.told()
        _take_note(session, told, found, set(names) == set(session.configuration.jobs))
        waits = _deliver(session, told, note, patient)
        lookout.keep_told(told)
        _write(lookout, note)
    if waits > 0:
        time.sleep(waits)
        with lookout.held():
            told = lookout.told()
            _deliver(session, told, note, patient=False, now_at_all=True)
            lookout.keep_told(told)
            _write(lookout, note)
    _ping(session, lookout, seen, note, len(found) == len(names))
    return seen


def _take_note(
    session: Session, told: Told, found: Sequence[Mapping[str, Any]], whole: bool
) -> None:
    """Add to `told` what has to be told of these observations; `whole`: of all of the host."""
    configuration, moment = session.configuration, now().timestamp()
    problems = [one for seen in found for one in alarms.problems(seen)]
    jobs = [seen["job"] for seen in found]
    if whole:
        problems += look_around(session, told)
        jobs.append(alarms.HOST)
    told.known, news = alarms.decide(
        told.known,
        problems,
        jobs,
        [*configuration.jobs, alarms.HOST],
        moment,
        configuration.notify.repeat.total_seconds(),
    )
    made = alarms.message(configuration.host, news, moment, sorted(configuration.notify.urls))
    if made is not None and made.to:
        told.waiting.append(made)


def _deliver(
    session: Session, told: Told, note: Note, patient: bool, now_at_all: bool = False
) -> float:
    """Deliver what waits; or the seconds to wait before, for what comes in a storm is told at once."""
    urls, moment = session.configuration.notify.urls, time.time()
    if not told.waiting:
        return 0.0
    if not now_at_all and 0 <= moment - told.sent_at < _BATCH_S:
        if not patient or 0 < told.flush_at - moment <= _BATCH_S:
            return 0.0  # the next check tells it, or whoever waits already
        told.flush_at = told.sent_at + _BATCH_S
        return told.flush_at - moment
    left = []
    for message in alarms.merged(told.waiting):
        missed = []
        for name in message.to:
            if name not in urls:
                continue  # removed since
            try:
                NOTIFIERS["apprise_url"](name, urls[name]).send(
                    message.title, message.body, message.severity
                )
            except Exception as exc:  # a library's own error must cost this message only
                note(_failed(name, exc))
                told.failures[name] = told.failures.get(name, 0) + 1
                missed.append(name)
        if missed:
            left.append(replace(message, to=tuple(missed)))
    told.waiting, told.sent_at, told.flush_at = left, moment, 0.0
    return 0.0


def _failed(name: str, exc: Exception) -> str:
    if isinstance(exc, LifeboatError):
        return " ".join(line.strip() for line in exc.lines())
    return f"the notification to {name} was not delivered: {type(exc).__name__}"


def _write(lookout: Lookout, note: Note) -> None:
    try:
        lookout.write_metrics()
    except OSError as exc:
        note(f"the metrics could not be written: {exc.filename}: {exc.strerror}")


def _ping(
    session: Session, lookout: Lookout, seen: Sequence[Mapping[str, Any]], note: Note, whole: bool
) -> None:
    """Say outside whether this host is well; that it is, only when each job was looked at lately."""
    moment = now().timestamp()
    fresh = {one["job"] for one in seen if abs(moment - one.get("at", 0)) < _LATELY_S}
    good = all(_state(one) != CRITICAL for one in seen)
    whole = whole and fresh == set(session.configuration.jobs)
    if session.configuration.notify.ping is None or (good and not whole):
        return
    try:
        NOTIFIERS["ping"](session.configuration.notify.ping).send(good)
    except (LifeboatError, OSError) as exc:
        note(str(exc))
        with lookout.held():
            told = lookout.told()
            told.failures["ping"] = told.failures.get("ping", 0) + 1
            lookout.keep_told(told)


def _state(seen: Mapping[str, Any]) -> str:
    """The worst of what is wrong with a job, as people are told it."""
    found = [one.severity for one in alarms.problems(seen)]
    return max(found, key=ORDER.index, default=ORDER[0])


def _lines(seen: Mapping[str, Any]) -> list[str]:
    """A job's state, and what is wrong with it."""
    found = [f"  {one.severity}: {one.text}" for one in alarms.problems(seen)]
    return [f"{seen['job']}: {_state(seen)}", *found]


def remember_killed(session: Session, job: str, unit: str) -> None:
    """A run that was killed could not say so itself: its unit does, until it is started again."""
    shown = _shown(session, f"lifeboat-run@{unit}.service")
    result, status = shown.get("Result", "success"), shown.get("ExecMainStatus", "")
    if result not in _KILLED or (result == "exit-code" and status == "5"):
        return  # well, or told itself that another operation held the job
    runs = history.past(session.paths.history, job)
    try:
        since_boot = int(shown["ExecMainStartTimestampMonotonic"]) / 1e6
    except (KeyError, ValueError):
        return
    begun = int(time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + since_boot)
    if runs and history.ended_at(runs[-1]) >= begun and history.begun_at(runs[-1]) >= begun - 1:
        return  # it did; another one may have ended in the second in which it began
    told = f"the run ended with {result}" + (f" {status}" if status else "")
    history.remember_failure(session.paths.history, job, now(), told, 1)


def _shown(session: Session, unit: str) -> dict[str, str]:
    """What systemd says of a unit; nothing where it cannot be asked."""
    wanted = ("Result", "ExecMainStatus", "ExecMainStartTimestampMonotonic")
    words = [word for name in wanted for word in ("-p", name)]
    scope = ("--user",) if session.paths.scope == "user" else ()
    try:
        lines = run(Command(("systemctl", *scope, "show", *words, unit))).decode().splitlines()
    except LifeboatError:
        return {}
    return {name: value for name, _is, value in (line.partition("=") for line in lines)}
