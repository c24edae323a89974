# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the units of all jobs: two templates for everybody, and one drop-in for each instance. Pure.

lifeboat-run@.service, lifeboat-run@.timer      for all jobs
lifeboat-run@JOB:TYPE.service.d/10-lifeboat.conf   user, credentials, writable paths
lifeboat-run@JOB:TYPE.timer.d/10-lifeboat.conf     calendar
lifeboat-recover.service                        at boot
lifeboat-drill@.service, lifeboat-drill@.timer  where a job has drills; with drop-ins as those of runs
lifeboat-watch@.service, lifeboat-watch.timer   looks at jobs: after each run, and every six hours
lifeboat-prune.service, lifeboat-prune.timer    on a host that prunes for others
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import drill_units, run_units, watch_units
from .engine.cli.calendars import calendar
from .engine.cli.lookout import TEXTFILES
from .engine.config import Configuration
from .engine.job import DrillSchedule, Job
from .engine.model import Needs
from .engine.paths import Paths
from .engine.policy import Schedule
from .engine.ports import Destination, Source

USER = "lifeboat"  # the user and group that jobs of the system run as
MANUAL = "manual"  # the instance that an operator's run uses
DROP_IN = "10-lifeboat.conf"
RECOVER = "lifeboat-recover.service"
PRUNE, PRUNE_TIMER = "lifeboat-prune.service", "lifeboat-prune.timer"
SERVICE, TIMER = "lifeboat-run@.service", "lifeboat-run@.timer"
_HEAD = "# Written by lifeboat.backup.schedule_install; changes are lost.\n"
_SHARED = ("/tmp", "/var/tmp")


@dataclass(frozen=True)
class Units:
    """All that is installed for one configuration."""

    files: dict[str, str]  # by path relative to Paths.units
    calendars: dict[str, str]  # timer -> its calendar
    written: dict[str, str]  # configuration key -> the calendar as it stands there

    @property
    def timers(self) -> list[str]:
        return sorted(self.calendars)

    @property
    def always(self) -> list[str]:
        """Timers that are no job's."""
        return [watch_units.TIMER_NAME]

    @property
    def boot(self) -> list[str]:
        """Started with the machine, or with the user's systemd."""
        return [RECOVER]


def units(configuration: Configuration, paths: Paths, encrypted: Callable[[str], bool]) -> Units:
    """The units of every job. `encrypted`: whether the credential of this name is stored encrypted."""
    files = {SERVICE: _HEAD + _service(configuration, paths), TIMER: _HEAD + run_units.TIMER}
    files[watch_units.SERVICE_NAME] = _HEAD + _watch(configuration, paths)
    files[watch_units.TIMER_NAME] = _HEAD + watch_units.TIMER
    recover = run_units.RECOVER if paths.scope == "system" else run_units.USER_RECOVER
    files[RECOVER] = _HEAD + recover.format(
        journals=_word(paths.journals),
        stopped=_escape(str((configuration.spool or paths.spool) / "*" / "stopped-*.json")),
        command=_program(paths),
        before=_before(configuration),
    )
    calendars, written = {}, {}
    for name, job in sorted(configuration.jobs.items()):
        own = _job_drop_in(job, configuration.credentials[name], paths, encrypted)
        instances = [MANUAL] + [one.type for one in job.schedules if one.type != MANUAL]
        for type_ in instances if own and not job.only_drilled else ():
            files[f"lifeboat-run@{name}:{type_}.service.d/{DROP_IN}"] = _HEAD + own
        for schedule in () if job.only_drilled else job.schedules:
            timer = f"lifeboat-run@{name}:{schedule.type}.timer"
            files[f"{timer}.d/{DROP_IN}"] = _HEAD + _timer_drop_in(schedule)
            calendars[timer] = calendar(schedule.at)
            written[f"jobs.{name}.schedules.{schedule.type}.at"] = schedule.at
        for drill in job.drilling.schedules:
            unit = f"lifeboat-drill@{name}:{drill.type}"
            files[drill_units.SERVICE_NAME] = _HEAD + _drill(configuration, paths)
            files[drill_units.TIMER_NAME] = _HEAD + drill_units.TIMER
            files[f"{unit}.timer.d/{DROP_IN}"] = _HEAD + _timer_drop_in(drill)
            opened = _drill_drop_in(job) if paths.scope == "system" else ""
            if opened:
                files[f"{unit}.service.d/{DROP_IN}"] = _HEAD + opened
            calendars[f"{unit}.timer"] = calendar(drill.at)
            written[f"jobs.{name}.drills.{drill.type}.at"] = drill.at
    if configuration.prunes:
        files.update(_prune(configuration, paths, encrypted))
        calendars[PRUNE_TIMER] = calendar(configuration.prunes_at)
        written["prunes.at"] = configuration.prunes_at
    return Units(files, calendars, written)


def _before(configuration: Configuration) -> str:
    """Whoever uses the data of a job starts when its restore is settled."""
    stop = {name for job in configuration.jobs.values() for name in job.around.stop}
    names = sorted(_escape(name) for name in stop if ":" not in name)
    return f"Before={' '.join(names)}\n" if names else ""


def _prune(
    configuration: Configuration, paths: Paths, encrypted: Callable[[str], bool]
) -> dict[str, str]:
    """What prunes for other hosts: the same sandbox, other credentials, and what its destinations need."""
    prunes = "prune --all-hosts --apply"
    service = _service(configuration, paths).replace("run --unit %i", prunes)
    service = service.replace("Backup %i", "Prune the backups of other hosts")
    service = "".join(line for line in service.splitlines(True) if "%i" not in line)  # the watch
    timer = run_units.TIMER.replace("Backup %i on its calendar", "Prune the backups of other hosts")
    when = f"[Timer]\nOnCalendar={_escape(calendar(configuration.prunes_at))}"
    jobs = [job for its in configuration.prunes.values() for job in its.values()]
    places = tuple(one for job in jobs for one in job.destinations)
    all_of_them = Job("prune", configuration.host, "production", (), (), places)
    files = {
        PRUNE: _HEAD + service,
        PRUNE_TIMER: _HEAD + timer.replace("[Timer]", when),
    }
    own = _job_drop_in(all_of_them, configuration.prunes_with, paths, encrypted)
    if own:
        files[f"{PRUNE}.d/{DROP_IN}"] = _HEAD + own
    return files


def _service(configuration: Configuration, paths: Paths) -> str:
    if paths.scope == "user":
        return run_units.USER_SERVICE.format(command=_program(paths))
    spool = configuration.spool or paths.spool
    writable = (paths.state / "locks", paths.state / "runs", spool, paths.log)
    return run_units.SYSTEM_SERVICE.format(
        command=_program(paths),
        user=USER,
        writable=" ".join(_word(one, optional=True) for one in writable),
    )


def _watch(configuration: Configuration, paths: Paths) -> str:
    writable = [_word(one) for one in (paths.state / "watch", paths.log)]
    writable.append(_word(configuration.textfile or TEXTFILES, optional=True))
    sandbox = watch_units.SANDBOX.format(writable=" ".join(writable))
    unconfined = "+" if paths.scope == "system" else ""
    service = watch_units.SERVICE.format(command=_program(paths), unconfined=unconfined)
    return service + (sandbox if paths.scope == "system" else "")


def _drill(configuration: Configuration, paths: Paths) -> str:
    unconfined = "+" if paths.scope == "system" else ""
    service = drill_units.SERVICE.format(command=_program(paths), unconfined=unconfined)
    if paths.scope == "user":
        return service
    writable = [paths.state / "locks", paths.journals, paths.spool, paths.log]
    if configuration.spool:  # the throw-away places lie beside it
        writable.append(configuration.spool.parent)
    words = " ".join(_word(one, optional=True) for one in writable)
    return service + drill_units.SANDBOX.format(writable=words)


def _drill_drop_in(job: Job) -> str:
    """What the drill of this job may write: marks at local destinations, and places of the user's."""
    needs = [*map(_needs, job.destinations), *map(_needs, job.drilling.stand_ins)]
    replaced = {os.path.dirname(path) for one in needs for path in one.replaces}
    writes = sorted(replaced.union(path for one in needs for path in one.writes))
    if not writes:
        return ""
    lines = ["[Service]", "ReadWritePaths=" + " ".join(_word(one, optional=True) for one in writes)]
    if any(_inside(path, shared) for path in writes for shared in _SHARED):
        lines.append("PrivateTmp=no")
    return "\n".join([*lines, ""])


def _job_drop_in(
    job: Job, credentials: Iterable[str], paths: Paths, encrypted: Callable[[str], bool]
) -> str:
    """What this job needs beyond the template; "" if nothing. A user's own units have no sandbox."""
    needs = [*map(_needs, job.sources), *map(_needs, job.destinations)]
    lines: list[str] = []
    if any(one.stops for one in needs):
        lines += [
            "# Also when the run was killed: what it stopped runs again.",
            f"ExecStopPost={_program(paths)} recover {job.name} --quiet",
        ]
    if any(one.stops and one.engine == "podman" for one in needs):
        lines += [
            "# A container that podman starts again may be left in this unit, and has to outlive it.",
            "KillMode=process",
        ]
    if paths.scope == "user":
        lines += _USER_PODMAN if any(one.engine for one in needs) else []
        return "\n".join(["[Service]", *lines, ""]) if lines else ""
    if any(one.engine == "podman" for one in needs):
        lines += _PODMAN
    if job.user and job.user != USER:
        lines += _as_user(job.user)
    for name in credentials:
        suffix, key = (
            (".cred", "LoadCredentialEncrypted") if encrypted(name) else ("", "LoadCredential")
        )
        lines.append(f"{key}={name}:{_escape(str(paths.credentials / name))}{suffix}")
    writes = sorted({path for one in needs for path in one.writes})
    if writes:
        lines.append("# Missing is no failure of the whole run: the destination says so itself.")
        lines.append("ReadWritePaths=" + " ".join(_word(one, optional=True) for one in writes))
    reads = {path for one in needs for path in one.reads}
    if any(_inside(path, shared) for path in reads.union(writes) for shared in _SHARED):
        lines += ["# What this job reads or writes lies in the shared directory.", "PrivateTmp=no"]
    podman = any(one.engine == "podman" for one in needs)
    if any(one.reads_everything for one in needs) and job.user != "root" and not podman:
        lines.append(
            "# Files of other users are read; nothing else is allowed beyond the user's rights."
        )
        lines.append("AmbientCapabilities=CAP_DAC_READ_SEARCH")
        lines.append("CapabilityBoundingSet=CAP_DAC_READ_SEARCH")
    return "\n".join(["[Service]", *lines, ""]) if lines else ""


# podman has no daemon: what it does in namespaces, mounts and its storage it does in this unit.
_PODMAN = [
    "# podman enters namespaces and writes its own state from here; a sandbox would keep it from that.",
    "ProtectSystem=no",
    "ProtectHome=no",
    "PrivateTmp=no",
    "PrivateDevices=no",
    "ProtectControlGroups=no",
    "ProtectKernelTunables=no",
    "ProtectKernelModules=no",
    "ProtectKernelLogs=no",
    "ProtectHostname=no",
    "ProtectClock=no",
    "RestrictNamespaces=no",
    "RestrictSUIDSGID=no",
    "LockPersonality=no",
    "NoNewPrivileges=no",
    "CapabilityBoundingSet=~",
    "SystemCallFilter=",
    "SystemCallArchitectures=",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
]


# docker may be podman by another name, which among a user's own is usual.
_USER_PODMAN = [
    "# podman enters its namespaces by a setuid program, and what it starts again from here keeps these.",
    "NoNewPrivileges=no",
    "RestrictRealtime=no",
    "LockPersonality=no",
]


def _as_user(user: str) -> list[str]:
    lines = [
        f"User={user}",
        "# The directory of all jobs must not become this user's.",
        "RuntimeDirectory=",
        "ReadWritePaths=-/run/lifeboat",
    ]
    if user == "root":
        return lines + [
            "Group=root",
            "# root without its capabilities reads less than its users.",
            "CapabilityBoundingSet=~",
        ]
    return lines + [
        "# Its own groups, and lifeboat's for the state that all jobs share.",
        "Group=",
        f"SupplementaryGroups={USER}",
    ]


def _timer_drop_in(schedule: Schedule | DrillSchedule) -> str:
    lines = ["[Timer]", f"OnCalendar={_escape(calendar(schedule.at))}"]
    if schedule.spread:
        lines.append("# The same delay each time on this host, another one on the next.")
        lines.append(f"RandomizedDelaySec={int(schedule.spread.total_seconds())}")
        lines.append("FixedRandomDelay=true")
    return "\n".join([*lines, ""])


def _needs(one: Source | Destination) -> Needs:
    return one.needs()


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _program(paths: Paths) -> str:
    return _word(paths.command).replace("$", "$$")


def _word(path: object, optional: bool = False) -> str:
    """A path as one word of a unit file, see systemd.syntax(7)."""
    text = ("-" if optional else "") + _escape(str(path))
    return f'"{text}"' if re.search(r"[\s\"'\\]", text) else text


def _escape(text: str) -> str:
    """% begins a specifier; a backslash or quote means something; a line end would begin another line."""
    escaped = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\n", "\\n").replace("\r", "\\r")
