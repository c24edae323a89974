# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop what uses a job's data, and start it again: units of systemd, and containers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from .containers import ENGINES, Engine
from .errors import LifeboatError, RestoreError, SourceAbsent
from .model import Command
from .process import run

_ANSWER_S = 30.0
_ASK_AGAIN_S = 0.2
# A unit that failed is wanted as much as one that runs: what broke it may be what is restored.
_WANTED = ("active", "activating", "reloading", "deactivating", "failed")


class Services:
    """Named as the configuration does: `shop.service`, `docker:NAME`, `podman:NAME`.

    `scope`: "system", or "user" for the units of that user's own systemd. `user`: whose containers.
    Raises RestoreError.
    """

    def __init__(self, scope: str = "system", user: str = "", timeout_s: float = 120.0) -> None:
        self._scope, self._user, self._timeout_s = scope, user, timeout_s

    def state(self, name: str) -> str:
        """Its state: "wanted" (runs, or has failed), "stopped", or "absent" from this host."""
        engine, container = self._container(name)
        if engine:
            try:
                return "wanted" if engine.container(container)["State"]["Running"] else "stopped"
            except SourceAbsent:
                return "absent"
        told = self._systemctl("show", "--property=LoadState,ActiveState", name)
        facts = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        if facts.get("LoadState") == "not-found":
            return "absent"
        return "wanted" if facts.get("ActiveState") in _WANTED else "stopped"

    def wanted(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if self.state(name) == "wanted")

    def stop(self, names: Sequence[str]) -> None:
        """Stop each, in this order, and see that it has stopped."""
        for name in names:
            engine, container = self._container(name)
            try:
                if engine:
                    engine.stop(container)
                else:
                    self._systemctl("stop", name, timeout_s=self._timeout_s)
                    self._see_stopped(name)
            except LifeboatError as exc:
                raise RestoreError(
                    f"{name} does not stop: {exc}",
                    detail=exc.detail,
                    hint=f"see why: {self._why(name)}",
                ) from exc

    def start(self, names: Sequence[str]) -> list[str]:
        """Start each, the last one first; in words, what did not start and how to see why."""
        left = []
        for name in reversed(names):
            engine, container = self._container(name)
            try:
                if engine:
                    engine.start(container)
                elif _at_boot():  # units that wait for us cannot be waited for
                    self._systemctl("--no-block", "start", name)
                else:
                    self._systemctl("start", name, timeout_s=self._timeout_s)
            except LifeboatError:
                left.append(f"{name} does not start: see {self._why(name)}")
        return left

    def _see_stopped(self, name: str) -> None:
        """What is started by others, a socket or a timer, may be there again at once."""
        until = time.monotonic() + 2
        while self._active(name):
            if time.monotonic() > until:
                raise RestoreError("something started it again: name its socket or timer before it")
            time.sleep(_ASK_AGAIN_S)

    def _active(self, name: str) -> bool:
        told = self._systemctl("show", "--property=ActiveState", "--value", name).strip()
        return told not in ("inactive", "failed")

    def _systemctl(self, *words: str, timeout_s: float = _ANSWER_S) -> str:
        scope = ("--user",) if self._scope == "user" else ()
        command = Command(("systemctl", *scope, *words), accepts=(0, 3, 4))
        if words[0] in ("stop", "start", "--no-block"):
            command = Command(command.argv)
        return run(command, timeout_s=timeout_s).decode("utf-8", "replace")

    def _container(self, name: str) -> tuple[Engine | None, str]:
        program, colon, container = name.partition(":")
        if not colon or program not in ENGINES:
            return None, ""
        return Engine(program, self._user if program == "podman" else ""), container

    def _why(self, name: str) -> str:
        engine, container = self._container(name)
        if engine:
            return f"{engine.program} logs {container}"
        return f"`systemctl {'--user ' if self._scope == 'user' else ''}status {name}`"


def _at_boot() -> bool:
    """Whether lifeboat-recover.service runs us: units are ordered after it, and cannot be waited for."""
    return "LIFEBOAT_AT_BOOT" in os.environ
