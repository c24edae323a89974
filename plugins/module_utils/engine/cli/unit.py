# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a job through its systemd unit and follow it: the same sandbox and user as on its timer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import LifeboatError, LockedError, MissingDependency, ProcessError
from ..files import make_private, read_small, remove, write
from ..model import Command
from ..paths import Paths
from ..process import run
from ..progress import Listener
from .watch import event_of, shown

ALL = "all"  # the instance of the unit that looks at every job
_POLL_S = 0.3
_RUNNING = ("activating", "active", "reloading")


def usable(paths: Paths) -> bool:
    """Whether the job's unit is there, a systemd runs it, and we may start it."""
    if os.environ.get("INVOCATION_ID") and os.environ.get("LIFEBOAT_UNIT"):
        return False  # we are the unit
    if not (paths.units / "lifeboat-run@.service").exists():
        return False
    if paths.scope == "system" and (os.geteuid() != 0 or not Path("/run/systemd/system").is_dir()):
        return False
    try:
        state = _systemctl(paths, "is-system-running", accepts=(0, 1))
    except (ProcessError, MissingDependency):
        return False
    return state.strip() in (b"running", b"degraded", b"starting")


def run_through_unit(
    paths: Paths, job: str, request: Mapping[str, Any], listener: Listener
) -> Mapping[str, Any]:
    """Start `lifeboat-run@JOB:manual`, follow it to its end, and return its report.

    request: {"type", "tags", "pin", "sources", "wait"}. Raises LockedError if the job runs already and
    is not to be waited for; every run ends, by its unit's timeout if not before.
    """
    unit = f"lifeboat-run@{job}:manual.service"
    while _property(paths, unit, "ActiveState") in _RUNNING:
        if not request.get("wait"):
            raise LockedError(
                f"{unit} is already running", hint=f"see it with: systemctl status {unit}"
            )
        time.sleep(_POLL_S)
    make_private(paths.runtime, 0o750)
    last_run, wanted = paths.last_run(job), paths.request(job)
    before, stale = _stamp(last_run), _progress(paths, job)
    write(wanted, json.dumps(dict(request)).encode(), 0o640, owner_of=last_run.parent)
    try:
        _systemctl(paths, "start", "--no-block", unit)
        _follow(paths, unit, job, listener, stale)
    finally:
        remove(wanted)
    if _stamp(last_run) == before:
        status = _property(paths, unit, "ExecMainStatus")
        if status == str(LockedError.exit_code):
            raise LockedError(
                f"another operation holds job {job}", hint="wait until it has ended, and try again"
            )
        raise LifeboatError(
            f"{unit} ended with status {status} and left no report",
            hint=f"see why with: journalctl -u '{unit}' -n 50",
        )
    told = _mapping(last_run, "report")
    if isinstance(told.get("failure"), dict):
        raise _failed(told["failure"])
    return told


def take_request(paths: Paths, job: str) -> Mapping[str, Any]:
    """In the unit: what the operator asked for; removed, so that it holds for one run only."""
    path = paths.request(job)
    try:
        return _mapping(path, "request")
    except FileNotFoundError:
        return {}


def leave_report(paths: Paths, job: str, report: Mapping[str, Any]) -> None:
    """In the unit: what came of the run, for whoever follows and for `status`."""
    make_private(paths.last_run(job).parent, 0o750)
    write(paths.last_run(job), json.dumps(dict(report), sort_keys=True).encode(), 0o640)


def leave_failure(paths: Paths, job: str, exc: LifeboatError) -> None:
    """In the unit: why there is no report, for whoever follows. Best effort: the journal has it too."""
    told = {
        "error": exc.message,
        "detail": exc.detail,
        "hint": exc.hint,
        "exit_code": exc.exit_code,
    }
    with suppress(OSError, LifeboatError):
        leave_report(paths, job, {"failure": told})


def _failed(told: Mapping[str, Any]) -> LifeboatError:
    """The error of the unit, as far as somebody else's file can say it."""
    texts = {name: str(told.get(name) or "") for name in ("error", "detail", "hint")}
    kinds = (LockedError, MissingDependency, LifeboatError)
    code = told.get("exit_code")
    kind: type[LifeboatError] = next((one for one in kinds if one.exit_code == code), LifeboatError)
    return kind(texts["error"] or "the run failed", detail=texts["detail"], hint=texts["hint"])


def _progress(paths: Paths, job: str) -> bytes:
    try:
        return read_small(paths.progress(job))
    except (OSError, LifeboatError):
        return b""


def _follow(paths: Paths, unit: str, job: str, listener: Listener, seen: bytes = b"") -> None:
    """`seen`: what the operation before this one has left there."""
    while True:
        state = _property(paths, unit, "ActiveState")
        told = _progress(paths, job)
        if told and told != seen:
            seen = told
            try:
                event = event_of(json.loads(told))
            except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
                event = None  # not what our unit writes: nothing to show
            if event is not None:
                listener(event)
        if state not in _RUNNING:
            return
        time.sleep(_POLL_S)


def _mapping(path: Path, what: str) -> Mapping[str, Any]:
    """Raises FileNotFoundError, and LifeboatError for anything but a small file with a mapping."""
    try:
        found = _shown(json.loads(read_small(path)))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as exc:
        raise LifeboatError(f"the {what} {path} cannot be read: {exc}") from exc
    if not isinstance(found, dict):
        raise LifeboatError(f"the {what} {path} is not a mapping")
    return found


def _shown(value: Any) -> Any:
    """A JSON value whose texts cannot steer the terminal they are shown on."""
    if isinstance(value, str):
        return shown(value, keep="\n\t")
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {shown(key): _shown(one) for key, one in value.items()}
    return value


def _property(paths: Paths, unit: str, name: str) -> str:
    return _systemctl(paths, "show", "--value", "-p", name, unit).decode().strip()


def _systemctl(paths: Paths, *words: str, accepts: tuple[int, ...] = (0,)) -> bytes:
    scope = ("--user",) if paths.scope == "user" else ()
    return run(Command(("systemctl", *scope, *words), accepts=accepts))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.lstat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
