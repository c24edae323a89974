# SPDX-License-Identifier: GPL-3.0-or-later
"""Run rclone with one remote, which exists in its environment only, and say in our words what went wrong.

Its environment is the way that rclone documents for a remote without a file; no secret is in argv. Its
own configuration is not read: what counts is what is written here.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable

from ...errors import ConfigError, DestinationError, MissingDependency, ProcessError
from ...model import Command, Secret
from ...process import Started, run, write_all

_REMOTE = "lifeboat"
_BLOCK = 1 << 20
_NOT_THERE = (3, 4)  # rclone's own: directory, or file, not found
_LOST = ("directory not found", "object not found", "is a directory or doesn't exist")
_DENIED = ("AccessDenied", "403", "401", "Forbidden", "Unauthorized", "permission denied")
_FULL = ("no space left", "quota", "InsufficientStorage", "507")
_PATIENCE_S = 10.0  # for taking back an unfinished upload when it is told to stop


@dataclass(frozen=True)
class Remote:
    """One place behind rclone. settings: what `rclone config` would ask for, by name."""

    destination: str
    program: str
    backend: str
    path: str  # "bucket/prefix" or a directory
    settings: Mapping[str, Any]  # text or Secret
    credential: Secret | None  # a mapping of more settings
    connect_timeout_s: float
    timeout_s: float

    def at(self, *parts: str) -> str:
        return f"{_REMOTE}:" + "/".join([self.path, *parts]).replace("//", "/").rstrip("/")

    def command(self, *words: str) -> Command:
        env, _secrets = self._environment()
        return Command(
            (
                self.program,
                words[0],
                "--config=/dev/null",
                "--retries=1",  # whoever called tries again, and says so
                "--low-level-retries=3",
                f"--contimeout={self.connect_timeout_s:g}s",
                f"--timeout={self.timeout_s:g}s",
                "--use-server-modtime",  # else one request more for each name
                *words[1:],
            ),
            env=env,
        )

    def ask(self, verb: str, what: str, *words: str) -> bytes:
        """Output of a short one; raises DestinationError."""
        with self.faults(verb, what):
            return run(self.command(*words), timeout_s=20 * self.timeout_s)

    def put(
        self, what: str, target: str, blocks: Iterable[bytes], before_end: Callable[[], None]
    ) -> None:
        """Stream to `target`. Whatever breaks, also `before_end`, stops rclone before it would complete
        what came so far: the end of its input is what it takes for the end of the archive. So it dies with us.
        """
        with self.faults("store", what):
            upload = self.command("rcat", target)
            fed = Started(upload, subprocess.PIPE, subprocess.DEVNULL, dies_by=signal.SIGKILL)
            with fed as started:
                try:
                    for block in blocks:
                        write_all(started.process.stdin, memoryview(block))
                    before_end()
                except BrokenPipeError:
                    pass  # it has ended, and its status says why
                except BaseException:
                    started.end(signal.SIGTERM, _PATIENCE_S)
                    raise
                try:
                    started.process.stdin.close()
                except BrokenPipeError:
                    pass
                started.process.wait()
                started.raise_unless_accepted()

    @contextmanager
    def reader(self, what: str, target: str, offset: int = 0) -> Iterator[BinaryIO]:
        """What lies at `target`. missing=True, at once, where there is nothing."""
        command = self.command("cat", *([f"--offset={offset}"] if offset else []), target)
        with Started(command, subprocess.DEVNULL, subprocess.PIPE) as started:
            with self.faults("read", what):
                raw = _Output(self, started, what)
                if raw.empty and self.size(what, target) is None:  # of a bucket it says nothing
                    raise self.error(f"cannot read {what}", "it is not there", missing=True)
            with io.BufferedReader(raw, _BLOCK) as stream:
                yield stream

    def size(self, what: str, target: str) -> int | None:
        """Bytes of what lies there; None = nothing."""
        try:
            told = self.ask("look at", what, "lsjson", "--stat", target)
        except DestinationError as exc:
            if exc.missing:
                return None
            raise
        found = json.loads(told or b"null")
        return None if not found or found.get("IsDir") else int(found["Size"])

    def lines(self, what: str, *words: str) -> Iterator[Mapping[str, Any]]:
        """The objects that an `lsjson` prints, one by one."""
        with self.faults("list", what):
            listing = Started(self.command("lsjson", *words), subprocess.DEVNULL, subprocess.PIPE)
            with listing as started:
                for line in io.BufferedReader(started.process.stdout, _BLOCK):
                    text = line.strip().rstrip(b",")
                    if text.startswith(b"{"):
                        found = json.loads(text)
                        yield found
                started.process.wait()
                started.raise_unless_accepted()

    @contextmanager
    def faults(self, verb: str, what: str) -> Iterator[None]:
        """Turn what rclone says into a DestinationError without any secret in it."""
        try:
            yield
        except ProcessError as exc:
            raise self._translate(f"cannot {verb} {what}", exc) from None
        except MissingDependency as exc:
            hint = "install rclone 1.60 or newer, or set `program`"
            raise DestinationError(
                f"destination {self.destination}: {exc}", permanent=True, hint=hint
            ) from None

    def error(self, told: str, why: str, **how: Any) -> DestinationError:
        return DestinationError(f"destination {self.destination}: {told}: {why}", **how)

    def _translate(self, told: str, exc: ProcessError) -> DestinationError:
        _env, secrets = self._environment()
        detail = exc.detail
        for secret in secrets:
            detail = detail.replace(secret, "***")
        lines = detail.splitlines() or [str(exc)]
        why = next((line for line in lines if "Failed to" in line), lines[-1])
        why = why[20:] if why[:4].isdigit() else why  # without the time
        if exc.status in _NOT_THERE or any(word in detail for word in _LOST):
            return self.error(told, "it is not there", missing=True)
        if any(word in detail for word in _DENIED):
            hint = "correct the credential, or give its identity the right"
            return self.error(told, why, permanent=True, hint=hint, detail=detail)
        if any(word in detail for word in _FULL):
            return self.error(told, why, permanent=True, hint="make room there", detail=detail)
        permanent = "didn't find backend" in detail or "unknown flag" in detail or exc.status == 7
        return self.error(told, why, permanent=permanent, detail=detail)

    def _environment(self) -> tuple[dict[str, str], list[str]]:
        """(environment, what of it is secret)."""
        given: dict[str, Any] = dict(self.settings)
        if self.credential is not None:
            more = self.credential.reveal()
            if not isinstance(more, dict):
                raise ConfigError(
                    f"the credential {self.credential.name!r} of destination {self.destination} is "
                    "not a mapping",
                    hint="it holds settings of the backend, such as {service_account_credentials: …}",
                )
            given.update({name: Secret.of(value) for name, value in more.items()})
        # An identity for backups has no right to make buckets, and rclone would try.
        given.setdefault("no_check_bucket", "true")
        env, secrets = {f"RCLONE_CONFIG_{_REMOTE.upper()}_TYPE": self.backend}, []
        for name, value in given.items():
            if isinstance(value, Secret):
                value = value.reveal()
                if not isinstance(value, str):
                    value = json.dumps(value)
                secrets.append(value)
            env[f"RCLONE_CONFIG_{_REMOTE.upper()}_{name.upper()}"] = value
        return env, [one for one in secrets if len(one) > 3]


class _Output(io.RawIOBase):
    """What a program prints; its end counts only if the program ended well."""

    def __init__(self, remote: Remote, started: Started, what: str) -> None:
        super().__init__()
        self._remote, self._started, self._what = remote, started, what
        self._ahead = bytes(
            self._next(_BLOCK)
        )  # whether there is anything shows before the first read
        self.empty = not self._ahead

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ahead:
            with self._remote.faults("read", self._what):
                self._ahead = self._next(len(buffer))
        block, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)

    def _next(self, size: int) -> bytes:
        block: bytes = self._started.process.stdout.read(size) or b""
        if not block:
            self._started.process.wait()
            self._started.raise_unless_accepted()
        return block
