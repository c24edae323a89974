# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs that a user named: with their directory, environment and user, and judged by their status."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import inventory
from ...errors import (
    ConfigError,
    FormatError,
    MissingDependency,
    ProcessError,
    SourceAbsent,
    SourceError,
)
from ...model import Command, Secret
from ...pipeline import Pipeline
from ...placement import Placement
from ...process import Started
from .. import in_place

_MOST_ENTRIES = 100_000

Entries = dict[tuple[str, str], Mapping[str, Any]]  # (kind, name): the entry


@dataclass(frozen=True)
class Programs:
    """What all programs of one source have in common. Errors name the source and the option."""

    source: str
    placement: Placement
    cwd: str | None
    env: Mapping[str, Any]  # name: text or Secret
    user: str

    def command(self, argv: Sequence[str]) -> Command:
        """Raises SourceError when it cannot run as `user`, ConfigError for a secret of another shape."""
        refusal = self.refusal()
        if refusal:
            raise SourceError(f"source {self.source}: {refusal}")
        env = {name: self._text(name, value) for name, value in self.env.items()}
        if not self.placement.local:
            return self.placement.wrap(Command(tuple(argv), env, self.cwd, self.user))
        other = self.user if self.user != _own_name() else ""
        if other:
            told = pwd.getpwnam(other)
            env = {"HOME": told.pw_dir, "USER": other, "LOGNAME": other, **env}
        return self.placement.wrap(Command(tuple(argv), env, self.cwd, other))

    def refusal(self) -> str:
        """Why nothing can be run as `user` here; "" = it can."""
        if not self.user or not self.placement.local:
            return ""
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            return f"there is no user {self.user} on this host"
        if os.geteuid() != 0 and self.user != _own_name():
            return f"its programs run as {self.user}: set the job's `user: {self.user}`, or be root"
        return ""

    def look(self, argv: Sequence[str]) -> None:
        """Raise SourceAbsent when the directory or the program is not there."""
        if not self.placement.local:
            return
        if self.cwd is not None and not os.path.isdir(self.cwd):
            raise SourceAbsent(
                f"source {self.source}: there is no directory {self.cwd}", hint="correct cwd"
            )
        name = argv[0]
        there = os.path.join(self.cwd or "/", name) if "/" in name else ""
        path = self.env.get("PATH", os.environ.get("PATH"))
        if not (os.path.exists(there) if there else shutil.which(name, path=path)):
            raise SourceAbsent(
                f"source {self.source}: the program {name} is not on this machine",
                hint="install it, or give its whole path",
            )

    def run(self, option: str, argv: Sequence[str], timeout_s: float | None = None) -> None:
        """To its end, its output thrown away."""
        with self._telling(option):
            self._end(self.command(argv), subprocess.DEVNULL, timeout_s)

    def save(self, option: str, argv: Sequence[str], path: Path) -> tuple[bytes, int]:
        """Its output in the new file `path`; how it ends, and how many bytes."""
        with self._telling(option), Pipeline(self.command(argv), []) as flow:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                for block in flow.blocks():
                    out.write(block)
                flow.check()
            return flow.tail, flow.plain_bytes

    def measure(self, option: str, argv: Sequence[str]) -> tuple[bytes, int]:
        """How its output ends, and how many bytes; they are thrown away."""
        with self._telling(option), Pipeline(self.command(argv), []) as flow:
            flow.check()
            return flow.tail, flow.plain_bytes

    def feed(self, option: str, argv: Sequence[str], path: Path) -> None:
        """Run it with the file itself as its standard input: were we killed, it would read a whole
        stream to its end, and not the half of one; whoever recovers waits for it."""
        with self._telling(option), open(path, "rb") as stream:
            in_place.hold(stream.fileno())
            self._end(self.command(argv), stream)

    def entries(self, option: str, argv: Sequence[str]) -> Entries:
        """The lines that it writes, as inventory entries."""
        found: Entries = {}
        with self._telling(option), Pipeline(self.command(argv), []) as flow:
            for entry in inventory.read(iter(flow.stream().readline, b"")):
                key = (entry["kind"], entry["name"])
                if key in found or "self" in entry or key[0] == "stream":
                    raise FormatError("a line stands twice, or has a reserved name: %s %s" % key)
                found[key] = entry
                if len(found) > _MOST_ENTRIES:
                    raise FormatError("more than %d lines: count tables, not rows" % _MOST_ENTRIES)
            flow.check()
        return found

    def _end(self, command: Command, stdin: Any, timeout_s: float | None = None) -> None:
        with Started(command, stdin, subprocess.DEVNULL) as started:
            try:
                started.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise ProcessError(
                    "%s did not end in %d seconds" % (command.program, timeout_s or 0),
                    detail=started.said(),
                ) from None
            started.raise_unless_accepted()

    @contextmanager
    def _telling(self, option: str) -> Iterator[None]:
        try:
            yield
        except (ProcessError, FormatError) as exc:
            raise SourceError(
                f"source {self.source}: its `{option}` failed: {exc}",
                detail=exc.detail,
                hint=exc.hint or "run that command by hand, as the same user",
            ) from exc
        except MissingDependency as exc:
            raise MissingDependency(
                f"source {self.source}: its `{option}`: {exc}", detail=exc.detail, hint=exc.hint
            ) from exc

    def _text(self, name: str, value: Any) -> str:
        told = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(told, str):
            raise ConfigError(
                f"source {self.source}: env.{name}: that credential is not a text",
                hint="name a credential that is one text",
            )
        return told


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
