# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the unit files and timers of one scope into line with what shall be, with few processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import unit_texts
from .credential_store import stored
from .drill_units import SERVICE_NAME as DRILL
from .drill_units import TIMER_NAME as DRILL_TIMER
from .engine.cli.calendars import check_calendars
from .engine.config import Configuration, load
from .engine.credentials import Credentials
from .engine.errors import ConfigError, MissingDependency, ProcessError
from .engine.files import make_private, remove, write
from .engine.model import Command
from .engine.paths import Paths
from .engine.process import run
from .unit_texts import DROP_IN, PRUNE, PRUNE_TIMER, RECOVER, SERVICE, TIMER, Units
from .watch_units import SERVICE_NAME as WATCH
from .watch_units import TIMER_NAME as WATCH_TIMER

_AT_ONCE = 20  # units verified by one process, whose complaints are cut at 4 kB
_OURS = ("lifeboat-run@*", "lifeboat-drill@*")
_USABLE = ("running", "degraded", "starting", "initializing", "maintenance", "stopping")


@dataclass(frozen=True)
class Plan:
    """What would be done; nothing else is."""

    folder: Path
    write: Mapping[str, str]  # relative path -> text
    remove: tuple[str, ...]
    enable: tuple[str, ...]
    start: tuple[str, ...]
    disable: tuple[str, ...]
    reason: str  # why timers cannot be enabled now; "" = they can
    verified: bool  # systemd read the units and took them
    warnings: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.write or self.remove or self.enable or self.start or self.disable)


def units(paths: Paths, config: str | None, dry_run: bool) -> Units:
    """The units of the installed configuration. With dry_run, what a real run installs before may be missing."""
    path = Path(config) if config else paths.config_file
    if dry_run and not path.exists():
        return unit_texts.units(Configuration("localhost", {}, {}), paths, bool)
    configuration = load(path, Credentials(paths.credentials).secret)

    def encrypted(name: str) -> bool:
        how = stored(paths, name)
        if not how and not dry_run:
            raise ConfigError(
                f"the credential {name!r} that a job uses is not on this host",
                hint="install it with credential_install first",
            )
        return how != "plain"

    return unit_texts.units(configuration, paths, encrypted)


def plan(paths: Paths, units: Units, enabled: bool) -> Plan:
    """Compare the units that are there with `units`; changes nothing. Bad calendars raise ConfigError."""
    check_calendars(units.written)
    there = _installed(paths.units)
    writes = {name: text for name, text in units.files.items() if there.get(name) != text}
    gone = tuple(sorted(set(there) - set(units.files)))
    reason = _no_manager(paths)
    linked = _linked(paths.units)
    all_timers = [*units.timers, *units.always]
    wanted = (all_timers if enabled else []) if not reason else []
    enable = [] if reason else [one for one in [*wanted, *units.boot] if one not in linked]
    stopped = set(wanted) - set(_active(paths, wanted))
    kept = {*wanted, *units.boot}
    if reason and enabled:
        kept.update(all_timers)  # what another systemd enabled stays so
    disable = [one for one in linked if one not in kept]
    timers = sorted({*linked, *wanted} - {RECOVER})
    verified, warnings = _verify(units, paths)
    return Plan(
        folder=paths.units,
        write=writes,
        remove=gone,
        enable=tuple(enable),
        start=tuple(sorted(stopped)),
        disable=tuple(sorted(disable)),
        reason=reason,
        verified=verified,
        warnings=warnings,
        before=(*_lines(there, {*writes, *gone}), *_states(timers, linked)),
        after=(*_lines(units.files, {*writes}), *_states(timers, {*linked, *enable} - {*disable})),
    )


def apply(paths: Paths, planned: Plan) -> None:
    """Carry out a plan. Timers of jobs that are gone are stopped while systemd still knows them."""
    if planned.disable:
        if planned.reason:
            for name in planned.disable:
                remove(planned.folder / "timers.target.wants" / name)
        else:
            _systemctl(paths, "disable", "--now", *planned.disable)
    make_private(planned.folder.resolve(), 0o755)  # a user may keep his configuration elsewhere
    for name, text in planned.write.items():
        make_private((planned.folder / name).parent.resolve(), 0o755)
        write(planned.folder / name, text.encode(), 0o644)
    for name in planned.remove:
        remove(planned.folder / name)
        parent = (planned.folder / name).parent
        if parent != planned.folder and not any(parent.iterdir()):
            parent.rmdir()  # an operator's own drop-ins stay
    if planned.reason:
        return
    if planned.write or planned.remove:
        _systemctl(paths, "daemon-reload")
    if planned.enable:
        _systemctl(paths, "enable", *planned.enable)
    if planned.start:
        _systemctl(paths, "start", *planned.start)


def _installed(folder: Path) -> dict[str, str]:
    """Our unit files as they are. Other people's drop-ins beside ours are not ours."""
    names = (SERVICE, TIMER, DRILL, DRILL_TIMER, RECOVER, WATCH, WATCH_TIMER, PRUNE, PRUNE_TIMER)
    found = [folder / name for name in (*names, f"{PRUNE}.d/{DROP_IN}")]
    found += sorted(one for ours in _OURS for one in folder.glob(f"{ours}.d/{DROP_IN}"))
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in found
        if path.is_file()
    }


def _linked(folder: Path) -> list[str]:
    """Our units that are enabled."""
    found = [one for ours in _OURS for one in folder.glob(f"timers.target.wants/{ours}.timer")]
    found += folder.glob(f"timers.target.wants/{WATCH_TIMER}")
    found += folder.glob(f"timers.target.wants/{PRUNE_TIMER}")
    found += folder.glob(f"*.target.wants/{RECOVER}")
    return [path.name for path in found if path.is_symlink()]


def _no_manager(paths: Paths) -> str:
    """Why systemd cannot be asked to enable timers; "" if it can."""
    if paths.scope == "system" and not Path("/run/systemd/system").is_dir():
        return "systemd is not running on this host"
    try:
        state = _systemctl(paths, "is-system-running", accepts=(0, 1)).decode().strip()
    except (ProcessError, MissingDependency) as exc:
        return f"systemd cannot be asked: {exc}"
    whose = "system's" if paths.scope == "system" else "user's"
    if state not in _USABLE:
        return f"the {whose} systemd is {state or 'not there'}"
    if paths.scope == "user" and str(paths.units) not in _read_by_systemd(paths):
        return f"the user's systemd does not read {paths.units}; XDG_CONFIG_HOME is not the same for it"
    return ""


def _read_by_systemd(paths: Paths) -> list[str]:
    return _systemctl(paths, "show", "--value", "-p", "UnitPath").decode().split()


def _active(paths: Paths, timers: Sequence[str]) -> list[str]:
    if not timers:
        return []
    # 3: some are not active; 4: some are not there
    told = _systemctl(paths, "is-active", *timers, accepts=(0, 1, 3, 4)).decode().split("\n")
    return [timer for timer, state in zip(timers, told) if state == "active"]


def _verify(units: Units, paths: Paths) -> tuple[bool, tuple[str, ...]]:
    """Let systemd read the files before they are installed: (whether it could, its warnings).

    Raises ConfigError if it refuses one.
    """
    with tempfile.TemporaryDirectory(prefix="lifeboat-units-") as folder:
        names = set()
        for name, text in units.files.items():
            # it takes what follows a colon for another name of the unit
            path = Path(folder, name.replace(":", "-"))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            instance = path.parent.name[: -len(".d")] if path.name == DROP_IN else path.name
            if instance not in (
                TIMER,
                DRILL_TIMER,
            ):  # without an instance's calendar it is not whole
                names.add(os.path.join(folder, instance))
        scope = ("--user",) if paths.scope == "user" else ()
        env = {"LC_ALL": "C"}
        if "XDG_RUNTIME_DIR" not in os.environ:
            env["XDG_RUNTIME_DIR"] = folder  # it wants one to look like a user's systemd
        words, told = sorted(names), ""
        while words:
            argv = ("systemd-analyze", *scope, "--man=no", "verify", *words[:_AT_ONCE])
            words = words[_AT_ONCE:]
            try:
                # no status is accepted: what it complains of comes with the error, also when that is 0
                run(Command(argv, env, accepts=()), timeout_s=120)
            except MissingDependency:
                return False, ()
            except ProcessError as exc:
                told += exc.detail + "\n"
    if "Failed to initialize manager" in told:
        return False, (
            "systemd-analyze could not verify the units: " + told.strip().splitlines()[-1],
        )
    warnings = set()
    for line in told.splitlines():
        ours = folder in line or line.startswith("lifeboat-")
        if not ours or "is not executable" in line:  # the command before it is installed
            continue
        line = line.replace(folder + "/", "")
        if "Unknown key" not in line and "Unknown lvalue" not in line:
            raise ConfigError(f"systemd refuses a unit: {line}")
        warnings.add(line)  # an older systemd, which goes without that protection
    return True, tuple(sorted(warnings))


def _states(timers: Iterable[str], enabled: Iterable[str]) -> list[str]:
    return [f"{one}: {'enabled' if one in enabled else 'disabled'}" for one in timers]


def _lines(files: Mapping[str, str], names: Iterable[str]) -> list[str]:
    return [
        line
        for name in sorted(names)
        if name in files
        for line in ("=== " + name, *files[name].splitlines())
    ]


def _systemctl(paths: Paths, *words: str, accepts: tuple[int, ...] = (0,)) -> bytes:
    if paths.scope == "system":
        return run(Command(("systemctl", *words), accepts=accepts))
    env = {}
    home = f"/run/user/{os.getuid()}"
    if "XDG_RUNTIME_DIR" not in os.environ and os.path.isdir(home):
        env["XDG_RUNTIME_DIR"] = home  # a login by Ansible's become has no session of its own
    return run(Command(("systemctl", "--user", *words), env, accepts=accepts))
