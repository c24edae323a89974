# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bucket hold what a tar file on this disk says, and nothing else; and compare the two."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ... import inventory
from ...inventory import Entry, InventoryWriter
from . import tar as s3_tar
from .objects import MIB, Objects, again
from .stream import ObjectStream

_AHEAD = 8
_SMALL = 4 * MIB


class Store:
    """in_place.Store on the objects of a bucket."""

    def __init__(self, objects: Objects, workers: int) -> None:
        self._objects, self._workers = objects, workers

    def save(self, path: Path) -> None:
        save(self._objects, path, self._workers)

    def load(self, path: Path) -> None:
        load(self._objects, path, self._workers)

    def empty(self) -> None:
        empty(self._objects, self._workers)

    def compare(self, path: Path) -> list[str]:
        return compare(self._objects, path, self._workers)


def save(objects: Objects, path: Path, workers: int) -> None:
    """Write the current objects to the new file `path`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    stream = ObjectStream(objects, False, workers, lambda _record, _sum: None)
    with open(descriptor, "wb") as out, closing(stream):
        shutil.copyfileobj(stream, out, MIB)


def load(objects: Objects, path: Path, workers: int) -> None:
    """Write every object that the file holds, then delete every other; may be done again at any time.

    In the order of the file, so that of several versions of a key the last one stays.
    """
    with (
        tempfile.TemporaryDirectory(prefix="keys-", dir=path.parent) as folder,
        closing(_Keys(Path(folder) / "keys.sqlite")) as keys,
        _Pool(workers) as pool,
        open(path, "rb") as archive,
    ):
        for record, offset, _content in s3_tar.records(archive):
            if record.deleted:
                pool.add(record.key, partial(objects.delete, record.key))
                keys.forget(record.key)
                continue
            keys.add(record.key)
            if record.size_bytes > _SMALL:  # with parts of its own in flight
                pool.drain()
                _put(objects, record, path, offset)
            else:
                pool.add(record.key, partial(_put, objects, record, path, offset))
        pool.drain()
        for listed in objects.current():
            if listed.key not in keys:
                pool.add(listed.key, partial(objects.delete, listed.key))


def empty(objects: Objects, workers: int) -> None:
    with _Pool(workers) as pool:
        for listed in objects.current():
            pool.add(listed.key, partial(objects.delete, listed.key))


def compare(objects: Objects, path: Path, workers: int) -> list[str]:
    """How the bucket differs from the file, in words: every object is read back."""
    with tempfile.TemporaryDirectory(prefix="compare-", dir=path.parent) as folder:
        lines = [Path(folder) / name for name in ("expected.jsonl", "found.jsonl")]
        expected, found = InventoryWriter(lines[0]), InventoryWriter(lines[1])
        with open(path, "rb") as archive:
            s3_tar.count(archive, expected)
        stream = ObjectStream(
            objects,
            False,
            workers,
            lambda record, digest: found.add(**s3_tar.entry(record, digest)),
        )
        with closing(stream):
            while stream.read(MIB):
                pass
        expected.close()
        found.close()
        return inventory.differences(_objects(lines[0]), _objects(lines[1]))


def _objects(path: Path) -> Iterator[Entry]:
    """The current ones: earlier versions are written too, and cannot be told from those there before."""
    with open(path, "rb") as lines:
        for one in inventory.read(lines):
            if one["kind"] == "object":
                yield one


def _put(objects: Objects, record: Any, path: Path, offset: int) -> None:
    def attempt() -> None:
        with open(path, "rb", buffering=0) as archive:
            objects.put(record, io.BufferedReader(_Part(archive, offset, record.size_bytes), MIB))

    again(attempt)


class _Part(io.RawIOBase):
    """Some bytes of an open file, as a file."""

    def __init__(self, file: io.FileIO, offset: int, size_bytes: int) -> None:
        super().__init__()
        self._file, self._begin, self._size = file, offset, size_bytes
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence, self._size)
        return self._place

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._place))
        block = os.pread(self._file.fileno(), count, self._begin + self._place)
        buffer[: len(block)] = block
        self._place += len(block)
        return len(block)


class _Pool:
    """Several requests in flight, never two for one key; the first failure is raised."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._waiting: deque[tuple[str, Future[None]]] = deque()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, family: object, *_exc: object) -> None:
        try:
            if family is None:
                self.drain()
        finally:
            for _key, future in self._waiting:
                future.cancel()
            self._pool.shutdown()

    def add(self, key: str, action: Callable[[], None]) -> None:
        if any(key == one for one, _future in self._waiting):
            self.drain()
        while len(self._waiting) >= _AHEAD:
            self._waiting.popleft()[1].result()
        self._waiting.append((key, self._pool.submit(again, action)))

    def drain(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1].result()


class _Keys:
    """A set of keys on disk: a bucket may hold more than memory does."""

    def __init__(self, path: Path) -> None:
        self._known = sqlite3.connect(str(path), isolation_level=None)
        self._known.execute("PRAGMA journal_mode=OFF")
        self._known.execute("PRAGMA synchronous=OFF")
        self._known.execute("CREATE TABLE known (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: str) -> None:
        self._known.execute("INSERT OR IGNORE INTO known VALUES (?)", (key,))

    def forget(self, key: str) -> None:
        self._known.execute("DELETE FROM known WHERE key = ?", (key,))

    def __contains__(self, key: str) -> bool:
        asked = self._known.execute("SELECT 1 FROM known WHERE key = ?", (key,))
        return asked.fetchone() is not None

    def close(self) -> None:
        self._known.close()
