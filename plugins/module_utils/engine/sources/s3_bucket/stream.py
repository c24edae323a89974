# SPDX-License-Identifier: GPL-3.0-or-later
"""Write all objects of a bucket as one tar stream, several small ones read at a time, in bounded memory.

Up to `_AHEAD` objects of at most 2 MiB each are read before their turn; a larger one passes through in
blocks when its turn comes. Each is whole and of one instant, for S3 replaces objects in one step; the
bucket as a whole is not held still.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from ...errors import SourceError
from . import tar as s3_tar
from .objects import MIB, Objects, again
from .records import Gone, Listed, Record

_SMALL = 2 * MIB
_AHEAD = 16

Seen = Callable[[Record, str], None]  # told of each object, with its SHA-256


class ObjectStream(io.RawIOBase):
    """Read once, from another thread than the one that closes it after the reading has ended."""

    def __init__(self, objects: Objects, history: bool, workers: int, seen: Seen) -> None:
        super().__init__()
        self.vanished = 0  # listed, and not there when it was read
        self._objects, self._history = objects, history
        self._workers, self._seen = workers, seen
        self._blocks = self._run()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills `buffer`, but for the end: who reads takes little for all there is now, and waits."""
        done = 0
        while done < len(buffer):
            while not self._left:
                block = next(self._blocks, None)
                if block is None:
                    return done
                self._left = memoryview(block)
            count = min(len(buffer) - done, len(self._left))
            buffer[done : done + count] = self._left[:count]
            self._left = self._left[count:]
            done += count
        return done

    def close(self) -> None:
        self._blocks.close()
        super().close()

    def _run(self) -> Generator[bytes, None, None]:  # a generator: `close` ends its threads
        size_bytes = 0
        for number, (record, content) in enumerate(self._in_order()):
            head = s3_tar.header(record, number)
            yield head
            digest, done = hashlib.sha256(), 0
            for block in content:
                digest.update(block)
                done += len(block)
                yield block
            if done != record.size_bytes:
                raise SourceError(
                    f"{self._objects.connection.whose}: {record.key!r} gave {done} bytes and not the"
                    f" {record.size_bytes} that were announced"
                )
            fill = s3_tar.padding(done)
            yield fill
            size_bytes += len(head) + done + len(fill)
            self._seen(record, digest.hexdigest())
        yield s3_tar.end(size_bytes)

    def _in_order(self) -> Iterator[tuple[Record, Iterator[bytes]]]:
        listing = self._objects.versions() if self._history else self._objects.current()
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: deque[tuple[Listed, Future[tuple[Record, bytes] | None]]] = deque()
            try:
                for listed in listing:
                    waiting.append((listed, pool.submit(again, partial(self._small, listed))))
                    if len(waiting) >= _AHEAD:
                        yield from self._next(*waiting.popleft())
                while waiting:
                    yield from self._next(*waiting.popleft())
            finally:
                for _listed, future in waiting:
                    future.cancel()

    def _next(
        self, listed: Listed, future: Future[tuple[Record, bytes] | None]
    ) -> Iterator[tuple[Record, Iterator[bytes]]]:
        try:
            found = future.result()
            if found is not None:
                yield found[0], iter((found[1],) if found[1] else ())
            else:
                record, body = again(lambda: self._objects.get(listed))
                yield record, self._objects.content(record, body)
        except Gone:
            if not self._objects.lists(listed):
                self.vanished += 1
                return
            try:  # it may have come back in between
                record, body = again(lambda: self._objects.get(listed))
            except Gone as exc:
                raise SourceError(
                    f"{self._objects.connection.whose}: {listed.key!r} is listed, and is not there to be read",
                    hint="the server has lost it, or its index is wrong: mend or delete it there, then run again",
                ) from exc
            yield record, self._objects.content(record, body)

    def _small(self, listed: Listed) -> tuple[Record, bytes] | None:
        """An object and its content; None when it is too large to be kept in memory."""
        if listed.deleted:
            at = int(listed.modified_at.timestamp())
            version, latest = listed.version, listed.latest
            return Record(listed.key, 0, at, version=version, latest=latest, deleted=True), b""
        if listed.size_bytes > _SMALL:
            return None
        record, body = self._objects.get(listed)
        if record.size_bytes > _SMALL:  # it was replaced since it was listed
            body.close()
            return None
        return record, b"".join(self._objects.content(record, body))
