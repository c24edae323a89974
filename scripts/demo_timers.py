"""The demo's timers, for real: in this user's own systemd for as long as the demo runs, and not after it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_RUNNING = ("running", "degraded", "starting", "initializing")
OURS = "lifeboat-run@*"


class Failed(Exception):
    """systemd did not do what was asked of it."""


@dataclass(frozen=True)
class UserSystemd:
    """The systemd of this user, where it may be used for `command`, the lifeboat that its units run."""

    units: Path  # where it reads this user's units
    runtime: str  # its XDG_RUNTIME_DIR
    command: Path

    @property
    def environment(self) -> dict[str, str]:
        """What lifeboat needs to find it."""
        return {
            "XDG_CONFIG_HOME": str(self.units.parent.parent),
            "XDG_RUNTIME_DIR": self.runtime,
        }

    def listed(self) -> list[str]:
        """The lines of `systemctl --user list-timers`, headings first."""
        told = self._systemctl("list-timers", "--full", "--no-pager", f"{OURS}.timer")
        return [line.rstrip() for line in told.split("\n\n")[0].splitlines()]

    def remove(self) -> None:
        """Stop and remove every timer and unit that runs `command`; there may be none."""
        if self.of_others():
            return
        timers = sorted({one.name for one in self._files() if one.suffix == ".timer"})
        timers = [one for one in timers if one != "lifeboat-run@.timer"]
        if timers:
            self._systemctl("disable", "--now", *timers)
            self._systemctl("clean", "--what=state", *timers, accepts=(0, 1))  # when they last ran
        for path in self._files():
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
        self._systemctl("daemon-reload")
        self._systemctl("reset-failed", f"{OURS}", accepts=(0, 1))
        if self._files() or len(self.listed()) > 1:
            raise Failed(f"the timers in {self.units} could not be removed")

    def of_others(self) -> bool:
        """Whether this user has a lifeboat of his own, whose units must stay as they are."""
        service = self.units / "lifeboat-run@.service"
        there = service.read_text(encoding="utf-8") if service.is_file() else ""
        return bool(self._files()) and str(self.command) not in there

    def _files(self) -> list[Path]:
        return sorted([*self.units.glob(OURS), *self.units.glob(f"*.wants/{OURS}")])

    def _systemctl(self, *words: str, accepts: tuple[int, ...] = (0,)) -> str:
        status, told = _ask(self.runtime, *words)
        if status not in accepts:
            raise Failed(f"systemctl --user {words[0]} ended with status {status}: {told.strip()}")
        return told


def find(command: Path) -> tuple[UserSystemd | None, str]:
    """The systemd of this user, or None and why the demo enables no timer in it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if _ask(runtime, "is-system-running")[1].strip() not in _RUNNING:
        return None, "no user systemd here"
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    found = UserSystemd(Path(home) / "systemd" / "user", runtime, command)
    if str(found.units) not in _ask(runtime, "show", "--value", "-p", "UnitPath")[1].split():
        return None, f"the user systemd here does not read {found.units}"
    if found.of_others():
        return None, f"you have timers of lifeboat in {found.units}, and they stay as they are"
    return found, ""


def _ask(runtime: str, *words: str) -> tuple[int, str]:
    """(status, what it said); without systemd 127."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words],
            env={**os.environ, "XDG_RUNTIME_DIR": runtime, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        return 127, ""
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")
