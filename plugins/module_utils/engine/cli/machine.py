# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the machine that the jobs run on: rights, room, timers, the clock."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import LifeboatError
from ..files import free_bytes
from ..job import Job
from ..model import Command
from ..operations.standing import history
from ..paths import Paths
from ..process import run
from ..units import human_size
from .findings import CRITICAL, GOOD, WARNING, Finding
from .session import Session

_SPARE = 1.2  # of what the last backup took
_RECOVER = "lifeboat-recover.service"
_SILENT = ("", "offline", "unknown")  # what systemctl says, with a status of 1, where there is none
_OTHERWISE = "start `lifeboat run JOB` by other means"
_BY_HAND = {
    "system": _OTHERWISE,
    "user": f"`loginctl enable-linger` as this user, and run site.yml; or {_OTHERWISE}",
}


def rights(paths: Paths) -> Iterator[Finding]:
    """Nobody but their owner reads secrets or changes what root acts on."""
    wanted = [(paths.config_file, 0o022), (paths.credentials, 0o077), (paths.journals, 0o022)]
    if paths.credentials.is_dir() and os.access(paths.credentials, os.R_OK):
        wanted += [(one, 0o077) for one in sorted(paths.credentials.iterdir())]
    loose = []
    for path, forbidden in wanted:
        try:
            found = os.lstat(path)
        except OSError:
            continue
        owner = 0 if paths.scope == "system" else os.geteuid()
        if stat.S_IMODE(found.st_mode) & forbidden or found.st_uid != owner:
            loose.append(f"{path} ({stat.filemode(found.st_mode)}, owner {found.st_uid})")
    if loose:
        told = "open to others: " + ", ".join(loose)
        yield Finding("rights", str(paths.config), CRITICAL, told, "run site.yml: it sets them")
    else:
        yield Finding("rights", str(paths.config), GOOD, "closed to others")


def space(session: Session, jobs: Iterable[Job]) -> Iterator[Finding]:
    """Whether the next backup fits, by the size of the last one: in the spool and on local disks."""
    needed: dict[Path, int] = {}
    for job in jobs:
        past = history.past(session.paths.history, job.name)
        last = sum(
            next((one["stored"] for one in reversed(past) if one.get("stored")), {}).values()
        )
        places = [session.area(job).spool.parent]
        for destination in job.destinations:
            places += [Path(one) for one in destination.needs().writes if os.path.isabs(one)]
        for place in places:
            needed[place] = needed.get(place, 0) + int(last * _SPARE)
    for place, size in sorted(needed.items()):
        if not place.is_dir():
            continue
        free = free_bytes(place)
        told = f"{human_size(free)} free, the next backups take about {human_size(size)}"
        state = CRITICAL if free < size else WARNING if free < 3 * size else GOOD
        yield Finding("space", str(place), state, told, "make room there" if state != GOOD else "")


def timers(paths: Paths, jobs: Iterable[Job]) -> Iterator[Finding]:
    """Each schedule's timer waits for its time, and what ends cut-off restores runs at boot."""
    scope = ("--user",) if paths.scope == "user" else ()
    try:
        asked = ("systemctl", *scope, "is-system-running")
        said = run(Command(asked, accepts=(0, 1))).decode().strip()
        silent = f"it is {said}" if said in _SILENT else ""
    except LifeboatError as exc:
        silent = str(exc)
    if silent:
        told = f"no systemd answers, so nothing runs by itself: {silent}"
        yield Finding("timers", "systemd", WARNING, told, _BY_HAND[paths.scope])
        return
    for job in jobs:
        runs = [] if job.only_drilled else job.schedules
        units = [f"lifeboat-run@{job.name}:{one.type}.timer" for one in runs]
        units += [f"lifeboat-drill@{job.name}:{one.type}.timer" for one in job.drilling.schedules]
        for unit in units:
            yield _unit(scope, unit, "ActiveState", "active", "run site.yml: it enables the timers")
        if not runs and not job.only_drilled:
            told = "no schedule: it runs only when somebody says so"
            yield Finding("timers", job.name, WARNING, told, "give the job a schedule")
    if paths.scope == "system":
        yield _unit(scope, _RECOVER, "UnitFileState", "enabled", "run site.yml")
    else:
        yield _linger()


def _unit(scope: tuple[str, ...], unit: str, key: str, wanted: str, hint: str) -> Finding:
    try:
        asked = ("systemctl", *scope, "show", f"--property={key}", "--value", unit)
        found = run(Command(asked)).decode().strip()
    except LifeboatError as exc:
        return Finding("timers", unit, CRITICAL, str(exc), hint)
    if found == wanted:
        return Finding("timers", unit, GOOD, wanted)
    return Finding("timers", unit, CRITICAL, f"{found or 'not there'}, not {wanted}", hint)


def _linger() -> Finding:
    try:
        told = run(Command(("loginctl", "show-user", str(os.geteuid()), "--property=Linger")))
    except LifeboatError as exc:
        return Finding("timers", "linger", WARNING, str(exc), "loginctl enable-linger")
    if told.decode().strip() == "Linger=yes":
        return Finding("timers", "linger", GOOD, "the timers run without a login")
    why = "the timers stop when this user logs out"
    return Finding("timers", "linger", CRITICAL, why, "loginctl enable-linger")


def clock() -> Iterator[Finding]:
    """Ids carry the time: a clock that nobody sets makes backups that never, or for ever, count."""
    try:
        told = run(Command(("timedatectl", "show", "--property=NTPSynchronized", "--value")))
    except LifeboatError:
        why = "nobody here knows whether the clock is set: there is no timedatectl"
        yield Finding("clock", "this host", WARNING, why)
        return
    if told.decode().strip() == "yes":
        yield Finding("clock", "this host", GOOD, "set by the network")
    else:
        why = "it is not set by the network, as far as systemd knows"
        yield Finding(
            "clock", "this host", WARNING, why, "install and start a time service, such as chrony"
        )
