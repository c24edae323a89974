# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask docker or podman, as the user whose containers are meant: what is there, how it is, start and stop."""

from __future__ import annotations

import json
import logging
import os
import pwd
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import LifeboatError, ProcessError, SourceAbsent, SourceError
from .model import Command
from .process import run

log = logging.getLogger(__name__)
ENGINES = ("docker", "podman")
_ANSWER_S = 30.0  # an engine that hangs gives no answer at all
_FINE_S = 5.0
_FINE_UNTIL: dict[tuple[str, str, str], float] = {}  # (engine, user, container) -> monotonic
_STOP_S = 600.0  # a container may have been given a long time to stop
_AT_REST = ("configured", "created", "initialized", "exited", "stopped", "dead")
_ABSENT = re.compile(r"no such (container|object|volume)|no (container|volume) with name", re.I)
_DENIED = re.compile(r"permission denied", re.I)
_DOWN = re.compile(r"cannot connect|is the docker daemon running|connection refused", re.I)


def _elsewhere() -> tuple[str, ...]:
    """What in an operator's shell leads to the containers of another machine."""
    here = os.environ.get("DOCKER_HOST", "").startswith("unix://")
    return ("CONTAINER_HOST", "CONTAINER_CONNECTION", *(() if here else ("DOCKER_HOST",)))


@dataclass(frozen=True)
class Engine:
    """docker or podman as `owner` sees it; podman keeps each user's containers apart. "" = as we do.

    Errors begin with `where` ("source db: "), and are SourceAbsent, SourceError, MissingDependency.
    """

    program: str
    owner: str = ""
    where: str = ""

    @property
    def user(self) -> str:
        """Whose containers these are: only root acts for another."""
        if self.owner and os.geteuid() == 0:
            return self.owner
        return _name(os.geteuid())

    @property
    def rootless(self) -> bool:
        return self.user != "root" and self.program == "podman"

    def environment(self) -> dict[str, str]:
        """What finds a user's own containers, which a unit of the system does not know."""
        if self.user == "root":
            # nor whichever context root has chosen last
            return {"DOCKER_CONTEXT": "default"} if self.program == "docker" else {}
        try:
            known = pwd.getpwnam(self.user)
        except KeyError:
            raise SourceError(
                f"{self.where}there is no user {self.user} on this host", hint="see `user`"
            ) from None
        if known.pw_uid == os.geteuid() and "XDG_RUNTIME_DIR" in os.environ:
            return {}
        session = f"/run/user/{known.pw_uid}"
        return {
            "HOME": known.pw_dir,
            "XDG_RUNTIME_DIR": session,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={session}/bus",
        }

    def command(self, *words: str) -> Command:
        """The engine with these words, as the owner of its containers."""
        other = self.user if self.user != _name(os.geteuid()) else ""
        # its directory must be one that the owner may enter
        return Command((self.program, *words), self.environment(), "/", other, unset=_elsewhere())

    def ask(self, *words: str, timeout_s: float = _ANSWER_S) -> str:
        """What the engine answers; an error says which of the usual reasons it is."""
        command = self.command(*words)
        session = command.env.get("XDG_RUNTIME_DIR", "/")
        if self.rootless and not os.path.isdir(session):  # podman would find nothing at all
            raise SourceError(
                f"{self.where}the user {self.user} has no session, and podman cannot be used without",
                hint=f"loginctl enable-linger {self.user}; or set `user` of the job, to whose containers"
                " they are",
            )
        try:
            answer = run(command, timeout_s=timeout_s)
        except ProcessError as exc:
            raise self._explained(exc) from exc
        return answer.decode("utf-8", "surrogateescape")

    def container(self, name: str) -> Mapping[str, Any]:
        """All that the engine knows of a container; it holds secrets. SourceAbsent when there is none."""
        try:
            return _first(self.ask("container", "inspect", name))
        except SourceAbsent as exc:
            raise SourceAbsent(
                f"{self.where}there is no container {name}, as the user {self.user} sees {self.program}",
                detail=exc.detail,
                hint=self._elsewhere(name),
            ) from None

    def require_running(self, name: str) -> None:
        """Raise unless programs can be started in the container now: `exec` into a paused one hangs.

        One that was fine is not asked again for a few seconds: a source starts dozens of programs.
        """
        key = (self.program, self.user, name)
        if _FINE_UNTIL.get(key, 0.0) > time.monotonic():
            return
        state = self.container(name)["State"]
        status = str(state.get("Status", "")).lower()
        if state.get("Paused") or status == "paused":
            raise SourceError(
                f"{self.where}container {name} is paused", hint=f"{self.program} unpause {name}"
            )
        if state.get("Restarting") or status == "restarting":
            raise SourceError(
                f"{self.where}container {name} ends and is restarted over and over",
                hint=f"see why: {self.program} logs {name}",
            )
        if not state.get("Running"):
            raise SourceError(
                f"{self.where}container {name} does not run: it is {status or 'stopped'}",
                hint=f"{self.program} start {name}",
            )
        health = state.get("Health") or state.get("Healthcheck") or {}
        if health.get("Status") == "unhealthy":
            log.warning("container=%s unhealthy, used all the same", name)
        _FINE_UNTIL[key] = time.monotonic() + _FINE_S

    def variables(self, name: str) -> dict[str, str]:
        """The environment that a container was made with."""
        listed = self.container(name).get("Config", {}).get("Env") or []
        return {key: value for key, _equals, value in (one.partition("=") for one in listed)}

    def image(self, name: str) -> dict[str, str]:
        """What a container was made from, for the facts of a backup: nothing that is private."""
        return self.image_of(self.container(name))

    def image_of(self, found: Mapping[str, Any]) -> dict[str, str]:
        """The same, of what `container` gave."""
        return {
            "engine": self.program,
            "name": str(found["Name"]).lstrip("/"),
            "image": str(found.get("ImageName") or found.get("Config", {}).get("Image", "")),
            "image_digest": str(found.get("ImageDigest") or found.get("Image", "")),
        }

    def volume(self, name: str) -> Mapping[str, Any]:
        """All that the engine knows of a volume; SourceAbsent when there is none."""
        try:
            return _first(self.ask("volume", "inspect", name))
        except SourceAbsent as exc:
            raise SourceAbsent(
                f"{self.where}there is no volume {name}, as the user {self.user} sees {self.program}",
                detail=exc.detail,
                hint=f"see `{self.program} volume ls`, and `user` of the job",
            ) from None

    def having(self, volume: str) -> list[Mapping[str, Any]]:
        """The containers that have this volume, newest first, as `container` has them."""
        found = []
        try:
            listed = self.ask(
                "ps", "--all", "--quiet", "--no-trunc", "--filter", f"volume={volume}"
            )
        except SourceAbsent as exc:
            raise self._gone("a container", exc) from None
        for one in listed.split():
            try:
                found.append(self.container(one))
            except SourceAbsent:
                continue  # it is gone since, and has nothing any more
        return [one for one in found if _has(one, volume)]

    def users(self, volume: str) -> list[Mapping[str, Any]]:
        """Those that run, or may go on at any moment: paused ones, and ones that are restarted."""
        return [one for one in self.having(volume) if not at_rest(one)]

    def stop(self, container: str) -> None:
        """As its own settings say; what ends only by force ends by force."""
        try:
            self.ask("stop", container, timeout_s=_STOP_S)
        except SourceAbsent as exc:  # what is backed up is there: a run must not call it absent
            raise self._gone(f"container {container}", exc) from None

    def start(self, container: str) -> None:
        """Running already = done."""
        self.ask("start", container, timeout_s=_STOP_S)

    def _explained(self, exc: ProcessError) -> LifeboatError:
        told = exc.detail
        if _ABSENT.search(told):
            return SourceAbsent(f"{self.where}it is not there", detail=told)
        if _DENIED.search(told) and self.program == "docker":
            return SourceError(
                f"{self.where}the user {self.user} may not use docker",
                detail=told,
                hint=f"usermod -aG docker {self.user}, which is as much as root; or `user: root` of the job",
            )
        if _DOWN.search(told):
            return SourceError(
                f"{self.where}{self.program} does not answer", detail=told, hint="see that it runs"
            )
        return SourceError(f"{self.where}{exc}", detail=told, hint=exc.hint)

    def _gone(self, what: str, exc: LifeboatError) -> SourceError:
        return SourceError(
            f"{self.where}{what} was removed in this moment",
            detail=exc.detail,
            hint="see what removes it, and try again",
        )

    def _elsewhere(self, name: str) -> str:
        """podman shows each user only their own: say whose it is, where it can be seen."""
        if self.program == "podman":
            other = _owner_of(name)
            if other and other != self.user:
                return f"it is a container of the user {other}: set `user: {other}` of the job"
            return "podman ps -a; a container of another user is reached with `user` of the job"
        return f"{self.program} ps -a shows what there is"


def _first(answer: str) -> Mapping[str, Any]:
    listed = json.loads(answer)
    found: Mapping[str, Any] = listed[0]
    return found


def status_of(container: Mapping[str, Any]) -> str:
    return str(container["State"].get("Status", "")).lower()


def at_rest(container: Mapping[str, Any]) -> bool:
    return status_of(container) in _AT_REST


def _has(container: Mapping[str, Any], volume: str) -> bool:
    mounts = container.get("Mounts") or []
    return any(one.get("Type") == "volume" and one.get("Name") == volume for one in mounts)


def _owner_of(container: str) -> str:
    """Whose running podman container has this name: its monitor says so, and anybody may look."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as told:
                words = told.read().split(b"\0")
            if os.path.basename(words[0]) == b"conmon" and container.encode() in words:
                return _name(os.stat(f"/proc/{entry}").st_uid)
        except OSError:  # it has ended
            continue
    return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
