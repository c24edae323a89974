# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep copies in a directory of this host: complete, synced, never replaced, never outside it."""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from typing import BinaryIO

from ..copies import HERE
from ..disks import disk_of
from ..errors import DestinationError
from ..model import Needs, Option
from ..ports import Growing
from ..stored import Place, Stored
from . import tree

_PART = ".part-"  # no key begins a name with a dot, so a part is never taken for an object
_BLOCK = 1 << 20


class Local:
    """ports.Destination on a directory.

    path: must be there; what provisions a host makes it, a run never does, for the disk that
    belongs there may not be mounted. owner, group: names or numbers, for what is written.
    require_mount: `path` must itself be a mount point, so that nothing is ever written into, or
    looked for in, the empty directory of a disk that is not there.
    """

    kind = "local"
    options = (
        Option("path", required=True),
        Option("owner"),
        Option("group"),
        Option("require_mount", "boolean", default=False),
    )

    def __init__(
        self,
        name: str,
        path: str,
        owner: str | None = None,
        group: str | None = None,
        require_mount: bool = False,
    ) -> None:
        self.name = name
        self._path = path
        self._tree = tree.Tree(name, path, owner, group, require_mount)

    def needs(self) -> Needs:
        return Needs(writes=(self._path,))

    def place(self) -> Place:
        return Place(HERE, disk_of(self._path))

    def check(self, prefix: str = "") -> None:
        probe = ".probe-" + secrets.token_hex(4)
        with self._tree.faults("write to"), self._tree.directory((), create=True) as folder:
            try:
                with tree.create(folder, probe) as out:
                    out.write(b"lifeboat")
                    os.fsync(out.fileno())
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(probe, dir_fd=folder)

    def store(self, key: str, growing: Growing) -> None:
        parents, leaf = self._tree.split(key)
        try:
            self._store(key, parents, leaf, growing)
        except BaseException:
            with suppress(OSError):  # what failed is told, not what could not be tidied
                self._tree.remove_empty(parents)
            raise

    def _store(self, key: str, parents: tuple[str, ...], leaf: str, growing: Growing) -> None:
        with self._tree.faults("store", key):
            try:
                self._write(key, parents, leaf, growing)
            except FileExistsError:
                if not self._holds(key, growing):  # else an attempt that was cut off got this far
                    raise

    def _write(self, key: str, parents: tuple[str, ...], leaf: str, growing: Growing) -> None:
        with self._tree.directory(parents, create=True) as folder:
            if tree.exists(folder, leaf):
                raise FileExistsError(errno.EEXIST, "it is there already")
            shares_disk = _same_device(growing, folder)
        if shares_disk:
            growing.wait()  # then a second name for the spool's bytes is enough
        with self._new(key) as (folder, part):
            if not (shares_disk and _link(growing, folder, part)):
                with tree.create(folder, part) as out:
                    _follow(growing, out)
            written, expected = os.stat(part, dir_fd=folder).st_size, growing.wait()
            if written != expected:
                raise self._tree.error("store", key, "%d of %d bytes arrived" % (written, expected))

    def _holds(self, key: str, growing: Growing) -> bool:
        """Whether exactly the archive's bytes lie under `key`; waits for them all."""
        growing.wait()
        with self.open(key) as there, growing.reader() as ours:
            block = ours.read(_BLOCK)
            while block and there.read(len(block)) == block:
                block = ours.read(_BLOCK)
            return not block and not there.read(1)

    def put(self, key: str, content: bytes) -> None:
        with self._tree.faults("store", key):
            try:
                with self._new(key) as place:
                    tree.fill(*place, content)
            except FileExistsError:
                with self.open(key) as there:
                    if there.read(len(content) + 1) != content:
                        raise

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self.open_at(key, 0)

    @contextmanager
    def open_at(self, key: str, offset: int) -> Iterator[BinaryIO]:
        parents, leaf = self._tree.split(key)
        with self._tree.faults("read", key):
            try:
                with self._tree.directory(parents) as folder:
                    stored = self._stored(folder, leaf, key)
                    stored.seek(offset)
            except FileNotFoundError:
                raise DestinationError(
                    "destination %s: %s is not there" % (self.name, key), missing=True
                ) from None
        with stored, io.BufferedReader(_Reader(self._tree, key, stored), _BLOCK) as reader:
            yield reader

    def _stored(self, folder: int, leaf: str, key: str) -> io.FileIO:
        try:
            return tree.open_file(folder, leaf)
        except OSError as exc:
            if exc.errno not in (errno.EISDIR, errno.ELOOP):
                raise
            # as `list` sees it: where something else lies in its place, the object is gone
            told = "a symbolic link" if exc.errno == errno.ELOOP else "no regular file"
            raise DestinationError(
                f"destination {self.name}: in the place of {key} lies {told}, which is not ours",
                hint="somebody else writes there: see who may, and what else is not as it was",
                missing=True,
            ) from None

    def list(self, prefix: str) -> Iterator[Stored]:
        for key, found in self._files(prefix, prefix.rpartition("/")[2]):
            if key.startswith(prefix) and not key.rsplit("/", 1)[-1].startswith("."):
                # ctime: a tree that was copied here with its old times is new here all the same
                changed = max(found.st_mtime, found.st_ctime)
                changed_at = datetime.fromtimestamp(changed, timezone.utc)
                yield Stored(key, found.st_size, changed_at)

    def delete(self, key: str) -> None:
        parents, leaf = self._tree.split(key)
        with self._tree.faults("delete", key), suppress(FileNotFoundError):
            with self._tree.directory(parents) as folder:
                os.unlink(leaf, dir_fd=folder)
                tree.sync(folder)
            self._tree.remove_empty(parents)

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        removed: list[str] = []
        for key, found in self._files(prefix):
            parent, _slash, leaf = key.rpartition("/")
            if not leaf.startswith(_PART) or not (parent + "/").startswith(prefix):
                continue
            if found.st_mtime < before.timestamp():
                with self._tree.faults("sweep", key), suppress(FileNotFoundError):
                    with self._tree.directory(tuple(parent.split("/"))) as folder:
                        os.unlink(leaf, dir_fd=folder)
                    removed.append(key)
                    self._tree.remove_empty(tuple(parent.split("/")))
        return removed

    def _files(self, prefix: str, begins: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Every regular file below the directory that `prefix` begins with, parts too. `begins`: only
        where the names in that directory begin so."""
        parent = prefix.rpartition("/")[0]
        with self._tree.faults("list", prefix):
            yield from self._tree.walk(tuple(parent.split("/")) if parent else (), begins)

    @contextmanager
    def _new(self, key: str) -> Iterator[tuple[int, str]]:
        """(directory, name) of a part; it becomes the object `key` when the block ends well.

        Raises FileExistsError if there is one by then: whoever was first wins, nobody is replaced.
        """
        parents, leaf = self._tree.split(key)
        part = _PART + secrets.token_hex(8)
        with self._tree.directory(parents, create=True) as folder:
            try:
                yield folder, part
                self._tree.seal(folder, part)
                tree.publish(folder, part, leaf)
                tree.sync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)


class _Reader(io.RawIOBase):
    """A stored file whose read errors name the destination."""

    def __init__(self, tree_: tree.Tree, key: str, stored: io.FileIO) -> None:
        super().__init__()
        self._tree = tree_
        self._key = key
        self._stored = stored

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        with self._tree.faults("read", self._key):
            return self._stored.readinto(buffer)


def _same_device(growing: Growing, folder: int) -> bool:
    try:
        return os.stat(growing.path).st_dev == os.fstat(folder).st_dev
    except FileNotFoundError:
        return True  # the spool is gone: only wait() can say why


def _link(growing: Growing, folder: int, part: str) -> bool:
    """Give the finished spool a second name here; False where its bytes must be copied."""
    try:
        os.link(growing.path, part, dst_dir_fd=folder)
    except OSError as exc:
        if exc.errno in tree.NO_LINKS:
            return False
        raise
    # Another destination on this disk took the spool already: two copies that are the same bytes
    # would be one copy.
    if os.stat(part, dir_fd=folder).st_nlink > 2:
        os.unlink(part, dir_fd=folder)
        return False
    return True


def _follow(growing: Growing, out: BinaryIO) -> None:
    with growing.reader() as reader:
        block = reader.read(_BLOCK)
        while block:
            out.write(block)
            block = reader.read(_BLOCK)
