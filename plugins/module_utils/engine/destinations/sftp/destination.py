# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep copies on a host that speaks SFTP, however little of it: parts, then a rename; nothing is replaced."""

from __future__ import annotations

import io
import logging
import posixpath
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO, Callable

from ... import stored
from ...copies import domain_of
from ...errors import ConfigError, DestinationError, LifeboatError
from ...model import Needs, Option, Secret
from ...ports import PROTECTION_PROBE, Growing
from ...stored import Stored
from .connect import library
from .errors import Taken, taken
from .exposure import exposure
from .place import Hop, Place, hops, known_hosts
from .session import Session
from .stream import Download, Upload
from .tree import Tree

log = logging.getLogger(__name__)

_PART = ".part-"  # no key begins a name with a dot, so a part is never taken for an object
_PROBE = ".probe-"
_BLOCK = 1 << 20


class SFTP:
    """ports.Destination on a directory of an SFTP server.

    host_key: the server's public key, or lines of known_hosts; required, and nothing else is
    trusted. credential: the text of a private key. jump_hosts: [user@]host[:port], the nearest
    first. path: relative to where the server puts the user, or absolute.
    """

    kind = "sftp"
    options = (
        Option("host", required=True),
        Option("user", required=True),
        Option("path", required=True),
        Option("host_key", required=True),
        Option("credential", "secret", required=True),
        Option("port", "integer", default=22),
        Option("jump_hosts", "texts", default=()),
        Option("jump_credential", "secret"),
        Option("connect_timeout", "duration", default=timedelta(seconds=30)),
        Option("timeout", "duration", default=timedelta(minutes=2)),
        Option("keepalive", "duration", default=timedelta(seconds=15)),
    )

    def __init__(
        self,
        name: str,
        host: str,
        user: str,
        path: str,
        host_key: str,
        credential: Secret,
        port: int = 22,
        jump_hosts: Sequence[str] = (),
        jump_credential: Secret | None = None,
        connect_timeout: timedelta = timedelta(seconds=30),
        timeout: timedelta = timedelta(minutes=2),
        keepalive: timedelta = timedelta(seconds=15),
    ) -> None:
        self.name = name
        where = f"destinations.{name}"
        if not host or any(one in host for one in " \t\n,*?!|/@"):
            raise ConfigError(f"{where}.host: {host!r} is not a name or an address")
        if not 0 < port < 65536:
            raise ConfigError(f"{where}.port: {port} is not a port")
        if not path or path.startswith("~"):
            raise ConfigError(
                f"{where}.path: {path!r} is not a path on the server",
                hint="write it absolute, or relative to the directory that the user is put in",
            )
        for option, given in (("connect_timeout", connect_timeout), ("timeout", timeout)):
            if not given:
                raise ConfigError(f"{where}.{option}: nothing is done in no time")
        server = Hop(host, port, user, credential)
        place = Place(
            destination=name,
            hops=hops(where, jump_hosts, jump_credential, server),
            known_hosts=known_hosts(where, host_key, server),
            connect_timeout_s=connect_timeout.total_seconds(),
            timeout_s=timeout.total_seconds(),
            keepalive_s=keepalive.total_seconds(),
        )
        self._session = Session(place)
        self._tree = Tree(self._session, path)
        self._path = posixpath.normpath(path)

    def needs(self) -> Needs:
        one = self._session.place.server
        return Needs(server=f"{one.user}@{one.host}:{one.port} {self._path}")

    def place(self) -> stored.Place:
        host = self._session.place.hops[-1].host
        return stored.Place(domain_of(host), f"disk of {host}")

    def check(self, prefix: str = "") -> None:
        parents, leaf = tuple(prefix.split("/")[:-1]), _PROBE + secrets.token_hex(8)
        key, path = "/".join((*parents, leaf)), self._tree.path(*parents, leaf)
        content = leaf.encode()
        self._deliver(key, parents, leaf, [content], lambda: len(content))
        with self._reader(key, path) as stored:
            if stored.read(len(content) + 1) != content:
                raise self._error("use", key, "what is read back is not what was written")
        try:
            with self._session.faults("delete", key):
                self._tree.remove(path)
        except DestinationError as exc:
            log.info("destination=%s a probe stays, as append-only wants it: %s", self.name, exc)
        self._tree.remove_empty(parents)

    def store(self, key: str, growing: Growing) -> None:
        parents, leaf = self._tree.split(key)
        try:
            with growing.reader() as reader:
                blocks = iter(lambda: reader.read(_BLOCK), b"")
                self._deliver(key, parents, leaf, blocks, growing.wait)
        except Taken:
            if not self._holds(key, growing):  # else an attempt that was cut off got this far
                raise

    def put(self, key: str, content: bytes) -> None:
        parents, leaf = self._tree.split(key)
        try:
            self._deliver(key, parents, leaf, [content], lambda: len(content))
        except Taken:
            with self.open(key) as there:
                if there.read(len(content) + 1) != content:
                    raise

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self.open_at(key, 0)

    @contextmanager
    def open_at(self, key: str, offset: int) -> Iterator[BinaryIO]:
        parents, leaf = self._tree.split(key)
        with self._reader(key, self._tree.path(*parents, leaf), offset) as reader:
            yield reader

    def list(self, prefix: str) -> Iterator[Stored]:
        for key, found in self._files(prefix):
            if key.startswith(prefix) and not key.rsplit("/", 1)[-1].startswith("."):
                changed_at = datetime.fromtimestamp(found.mtime, timezone.utc)
                yield Stored(key, int(found.size or 0), changed_at)

    def delete(self, key: str) -> None:
        parents, leaf = self._tree.split(key)
        path = self._tree.path(*parents, leaf)
        with self._session.faults("delete", key):
            self._tree.remove(path)
        self._tree.remove_empty(parents)

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        removed: list[str] = []
        for key, found in self._files(prefix):
            *parents, leaf = key.split("/")
            if not leaf.startswith(_PART) or not "/".join([*parents, ""]).startswith(prefix):
                continue
            if found.mtime < before.timestamp():
                with self._session.faults("sweep", key):
                    self._tree.remove(self._tree.path(*parents, leaf))
                removed.append(key)
                self._tree.remove_empty(tuple(parents))
        return removed

    def exposed(self, prefix: str) -> str:
        self._probe(prefix)
        parents = tuple(prefix.split("/")[:-1])
        path = self._tree.path(*parents, PROTECTION_PROBE)
        told = exposure(self._session, path, prefix + PROTECTION_PROBE)
        if told:
            self._probe(prefix)  # so that it can be sealed until the next time
        return told

    # -- inside

    def _probe(self, prefix: str) -> None:
        """Have the object that protection is tried on; the one of the last time will do."""
        parents, content = tuple(prefix.split("/")[:-1]), b"lifeboat tries to change this"
        with suppress(Taken):
            key = prefix + PROTECTION_PROBE
            self._deliver(key, parents, PROTECTION_PROBE, [content], lambda: len(content))

    def _files(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Every regular file that may begin with `prefix`, parts too."""
        with self._session.faults("list", prefix or "everything"):
            for key, found in self._tree.walk(prefix):
                if found.mtime is None:
                    raise self._error("list", key, "the server tells no times", permanent=True)
                yield key, found

    def _deliver(
        self,
        key: str,
        parents: tuple[str, ...],
        leaf: str,
        blocks: Iterable[bytes],
        expected: Callable[[], int],
    ) -> None:
        """Write a part; it becomes the object when it is whole. Raises Taken if there is one by then."""
        part = self._tree.path(*parents, _PART + secrets.token_hex(8))
        path = self._tree.path(*parents, leaf)
        with self._session.faults("store", key):
            self._refuse_if_there(key, path)
            try:
                upload, count = self._begin(key, parents, part), 0
                for block in blocks:
                    upload.write(block)
                    count += len(block)
                size, whole = upload.finish(), expected()
                if count != whole or size != whole:
                    raise self._error("store", key, f"{min(size, count)} of {whole} bytes arrived")
                self._publish(key, part, path)
            except BaseException:
                with suppress(LifeboatError, library(self.name).SFTPError):
                    self._tree.remove(part)  # what failed is told, not what could not be tidied
                self._tree.remove_empty(parents)
                raise

    def _begin(self, key: str, parents: tuple[str, ...], part: bytes) -> Upload:
        upload = Upload(self._session, part, key)
        try:
            upload.create()
        except library(self.name).SFTPPermissionDenied:
            raise
        except library(self.name).SFTPError:  # the directory is missing, most likely
            self._tree.make(parents)
            upload.create()
        return upload

    def _publish(self, key: str, part: bytes, path: bytes) -> None:
        """Give a whole part its name. Version 3's rename replaces nothing, but there are servers
        where it does: so we look first. Two writers of one name at one instant could then both be told
        that all went well; names hold random digits, and a job has a lock, so there are none."""
        self._refuse_if_there(key, path)
        try:
            self._session.again(lambda sftp: sftp.rename(part, path))
        except library(self.name).SFTPError as exc:
            if not self._tree.exists(path):
                raise
            # by another, or by us, and the answer was lost: whoever asked compares what is there
            raise taken(self._session.place.told("store", key)) from exc

    def _refuse_if_there(self, key: str, path: bytes) -> None:
        if self._tree.exists(path):
            raise taken(self._session.place.told("store", key))

    def _holds(self, key: str, growing: Growing) -> bool:
        """Whether exactly the archive's bytes lie under `key`; waits for them all."""
        growing.wait()
        with self.open(key) as there, growing.reader() as ours:
            block = ours.read(_BLOCK)
            while block and there.read(len(block)) == block:
                block = ours.read(_BLOCK)
            return not block and not there.read(1)

    @contextmanager
    def _reader(self, key: str, path: bytes, offset: int = 0) -> Iterator[BinaryIO]:
        with self._session.faults("read", key):
            stored = Download(self._session, path, key, offset)
        with io.BufferedReader(stored, _BLOCK) as reader:
            yield reader

    def _error(self, verb: str, what: str, why: str, permanent: bool = False) -> DestinationError:
        return DestinationError(
            f"{self._session.place.told(verb, what)}: {why}", permanent=permanent
        )
