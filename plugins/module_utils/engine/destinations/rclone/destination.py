# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep copies wherever rclone can: Google Cloud Storage, Azure, B2, WebDAV and many more."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Callable

from ...copies import HERE, domain_of
from ...disks import disk_of
from ...errors import ConfigError, DestinationError, LifeboatError
from ...model import Needs, Option, Secret
from ...ports import Growing
from ...stored import Place, Stored
from ...units import parse_instant
from .program import Remote

log = logging.getLogger(__name__)

_PART = ".part-"  # no key begins a name with a dot, so a part is never taken for an object
_PROBE = ".probe-"
_BLOCK = 1 << 20


class Rclone:
    """ports.Destination behind the program rclone.

    backend: rclone's name of it. settings, credential: what `rclone config` would ask for; passwords
    as `rclone obscure` writes them. Nothing is replaced: we look first, and again before the end;
    rclone has no write that fails where there is something, so of two writers of one name at one
    instant the later wins. Names hold random digits, and a job has a lock, so there are none.
    """

    kind = "rclone"
    options = (
        Option("backend", required=True),
        Option("path", required=True),
        Option("settings", "variables", default={}),
        Option("credential", "secret"),
        Option("program", default="rclone"),
        Option("connect_timeout", "duration", default=timedelta(seconds=20)),
        Option("timeout", "duration", default=timedelta(minutes=2)),
    )

    def __init__(
        self,
        name: str,
        backend: str,
        path: str,
        settings: Mapping[str, Any] | None = None,
        credential: Secret | None = None,
        program: str = "rclone",
        connect_timeout: timedelta = timedelta(seconds=20),
        timeout: timedelta = timedelta(minutes=2),
    ) -> None:
        self.name = name
        where = f"destinations.{name}"
        if not path.strip("/") or ":" in path:
            raise ConfigError(
                f"{where}.path: {path!r} is not a path on the remote",
                hint="write BUCKET/PREFIX, or a directory; the remote itself is `backend` and `settings`",
            )
        if not connect_timeout or not timeout:
            raise ConfigError(f"{where}.timeout: nothing is done in no time")
        self._backend, self._path, self._settings = backend, path, settings or {}
        self._remote = Remote(
            name,
            program,
            backend,
            path.rstrip("/"),
            settings or {},
            credential,
            connect_timeout.total_seconds(),
            timeout.total_seconds(),
        )
        self._renames: bool | None = None

    def needs(self) -> Needs:
        return Needs(writes=(self._path,) if self._backend == "local" else ())

    def place(self) -> Place:
        if self._backend == "local":
            return Place(HERE, disk_of(self._path))
        told = [self._settings.get(name) for name in ("url", "endpoint", "host", "region")]
        named = next((one for one in told if isinstance(one, str)), "")
        domain = domain_of(named) if named else self._backend
        return Place(domain, f"{self._backend} at {domain}")

    def check(self, prefix: str = "") -> None:
        key = f"{prefix}{_PROBE}{secrets.token_hex(8)}"
        content = key.encode()
        self._remote.put(key, self._remote.at(key), [content], lambda: None)
        with self.open(key) as stored:
            if stored.read(len(content) + 1) != content:
                raise self._remote.error(
                    "cannot use it", "what is read back is not what was written"
                )
        try:
            self.delete(key)
        except DestinationError as exc:
            log.info("destination=%s a probe stays, as append-only wants it: %s", self.name, exc)

    def store(self, key: str, growing: Growing) -> None:
        try:
            with growing.reader() as reader:
                blocks = iter(lambda: reader.read(_BLOCK), b"")
                self._deliver(key, blocks, growing.wait)
        except _Taken:
            if not self._holds(key, growing):  # else an attempt that was cut off got this far
                raise

    def put(self, key: str, content: bytes) -> None:
        try:
            self._deliver(key, [content], lambda: len(content), long=False)
        except _Taken:
            with self.open(key) as there:
                if there.read(len(content) + 1) != content:
                    raise

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self._remote.reader(key, self._remote.at(key))

    def open_at(self, key: str, offset: int) -> AbstractContextManager[BinaryIO]:
        return self._remote.reader(key, self._remote.at(key), offset)

    def list(self, prefix: str) -> Iterator[Stored]:
        for stored in self._files(prefix):
            if stored.key.startswith(prefix) and not stored.key.rsplit("/", 1)[-1].startswith("."):
                yield stored

    def delete(self, key: str) -> None:
        try:
            self._remote.ask("delete", key, "deletefile", self._remote.at(key))
        except DestinationError:
            if self._size(key) is not None:
                raise
        with suppress(DestinationError):  # only an empty directory goes; a bucket has none
            self._remote.ask("tidy", key, "rmdir", self._remote.at(*key.split("/")[:-1]))

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        removed = []
        for stored in self._files(prefix):
            parent, _slash, leaf = stored.key.rpartition("/")
            ours = leaf.startswith((_PART, _PROBE)) and (parent + "/").startswith(prefix)
            if ours and stored.changed_at < before:
                self.delete(stored.key)
                removed.append(stored.key)
        return removed

    # -- inside

    def _deliver(
        self, key: str, blocks: Iterable[bytes], expected: Callable[[], int], long: bool = True
    ) -> None:
        """Where the backend renames, under the name of a part until it is whole; elsewhere an upload is
        no object before its end."""
        self._refuse_if_there(key)
        parent, _slash, leaf = key.rpartition("/")
        part = f"{parent}/{_PART}{secrets.token_hex(8)}-{leaf[:60]}" if self._can_rename() else key
        counted = _Counted(blocks)

        def whole() -> None:
            if counted.count != expected():
                why = f"{counted.count} of {expected()} bytes arrived"
                raise self._remote.error(f"cannot store {key}", why)
            if long:
                self._refuse_if_there(key)  # somebody may have been faster

        try:
            self._remote.put(key, self._remote.at(part), counted, whole)
            if part != key:
                there, here = self._remote.at(part), self._remote.at(key)
                self._remote.ask("name", key, "moveto", there, here)
        except _Taken:
            self._tidy(part, part != key)
            raise
        except BaseException:
            self._tidy(part, True)
            raise

    def _tidy(self, part: str, ours: bool) -> None:
        if not ours:
            return
        with suppress(LifeboatError):  # what failed is told, not what could not be tidied
            self.delete(part)
        if (
            self._backend == "s3"
        ):  # rclone, stopped while it asks for an upload, leaves that one begun
            with suppress(LifeboatError):
                words = ("backend", "cleanup", "-o", "max-age=0s", self._remote.at(part))
                self._remote.ask("tidy", part, *words)  # of this very key, not of its neighbours

    def _refuse_if_there(self, key: str) -> None:
        if self._size(key) is not None:
            raise _Taken(
                f"destination {self.name}: cannot store {key}: it is there already",
                permanent=True,
                hint="an object is never replaced; look at what wrote it",
            )

    def _size(self, key: str) -> int | None:
        return self._remote.size(key, self._remote.at(key))

    def _can_rename(self) -> bool:
        if self._renames is None:
            told = self._remote.ask("ask", "its features", "backend", "features", self._remote.at())
            self._renames = bool(json.loads(told)["Features"].get("Move"))
        return self._renames

    def _files(self, prefix: str) -> Iterator[Stored]:
        """Every file below the directory that `prefix` begins with, in the order of keys, parts too."""
        folder = prefix.rpartition("/")[0]
        words = ("--recursive", "--files-only", "--no-mimetype", self._remote.at(folder))
        found = []
        try:
            for one in self._remote.lines(prefix or "everything", *words):
                key = f"{folder}/{one['Path']}" if folder else str(one["Path"])
                found.append(Stored(key, int(one["Size"]), _instant(one["ModTime"])))
        except DestinationError as exc:
            if not exc.missing:
                raise
        return iter(sorted(found, key=lambda stored: stored.key))

    def _holds(self, key: str, growing: Growing) -> bool:
        """Whether exactly the archive's bytes lie under `key`; waits for them all."""
        growing.wait()
        with self.open(key) as there, growing.reader() as ours:
            block = ours.read(_BLOCK)
            while block and there.read(len(block)) == block:
                block = ours.read(_BLOCK)
            return not block and not there.read(1)


class _Taken(DestinationError):
    """There is an object under that key already."""


class _Counted:
    """Blocks on their way, and how many bytes they were."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self.count = blocks, 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.count += len(block)
            yield block


def _instant(text: str) -> datetime:
    """rclone's own form: seconds with up to nine digits after the point, and a zone."""
    whole, _point, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    return parse_instant(whole + (zone or "Z") if rest else text)
