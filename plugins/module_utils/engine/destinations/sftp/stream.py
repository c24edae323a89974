# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and read one file of an SFTP server, several blocks in flight; a lost connection costs no byte."""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from contextlib import suppress
from typing import Any

from ...errors import DestinationError
from .connect import library
from .errors import Dropped, write_refusal
from .session import PAUSES_S, Session, Step

# OpenSSH closes the connection when 256 KiB come 32 at once; 130,560 bytes 16 at once are fine
_BLOCK = 130_560
_SURE_BLOCK = 32 << 10  # what every server must take
_IN_FLIGHT = 16 * _BLOCK
_FILE_MODE = 0o640


class Upload:
    """A new file, written from its start to its end: create, write*, finish. Raises DestinationError.

    Where the connection is lost it goes on: what the server has not acknowledged is still here.
    """

    def __init__(self, session: Session, path: bytes, key: str) -> None:
        self._session, self._path, self._key = session, path, key
        self._asyncssh = library(session.place.destination)
        self._client: Any = None  # that `_file` belongs to
        self._file: Any = None
        self._block = _SURE_BLOCK
        self._given = 0
        # what the server has not acknowledged, oldest first: [offset, block, its write or None]
        self._waiting: deque[list[Any]] = deque()

    def create(self) -> None:
        """Make the file, empty; raises the library's SFTPError."""
        flags = self._asyncssh.FXF_WRITE | self._asyncssh.FXF_CREAT | self._asyncssh.FXF_EXCL
        self._session.run(lambda sftp: self._open(sftp, flags))

    def write(self, block: bytes) -> None:
        for start in range(0, len(block), self._block):
            piece = block[start : start + self._block]
            self._waiting.append([self._given, piece, None])
            self._given += len(piece)
            self._go_on(self._push)

    def finish(self) -> int:
        """Everything is written and the file closed; the size that the server says it has."""
        while self._waiting:
            self._go_on(self._acknowledged)
        self._go_on(self._close)
        size: int = self._session.again(self._size)
        return size

    @property
    def _done(self) -> int:
        """Bytes from the start that the server has acknowledged."""
        return int(self._waiting[0][0]) if self._waiting else self._given

    def _go_on(self, step: Step) -> None:
        """Run `step`, again when the connection was lost, as long as that leads anywhere."""
        attempts, done = 0, self._done
        while True:
            try:
                self._session.run(step)
                return
            except Dropped:
                if self._done > done:
                    attempts, done = 0, self._done
                if attempts == len(PAUSES_S):
                    raise
                time.sleep(PAUSES_S[attempts])
                attempts += 1
            except self._asyncssh.SFTPError as exc:
                raise self._refused(exc) from exc

    # -- inside, on the loop

    async def _open(self, sftp: Any, flags: int) -> None:
        mode = self._asyncssh.SFTPAttrs(permissions=_FILE_MODE)
        # block_size 0: each write is one request
        self._file = await sftp.open(self._path, flags, mode, encoding=None, block_size=0)
        self._client, self._block = sftp, _block_size(sftp)

    async def _push(self, sftp: Any) -> None:
        """Send what is not on its way yet, and wait until there is room for more."""
        if self._client is not sftp:
            await self._resume(sftp)
        for one in self._waiting:
            if one[2] is None:
                one[2] = writing = asyncio.ensure_future(self._file.write(one[1], one[0]))
                writing.add_done_callback(_seen)
        while len(self._waiting) * self._block > _IN_FLIGHT:
            await self._acknowledged(sftp)

    async def _acknowledged(self, sftp: Any) -> None:
        """Wait for the oldest block."""
        if self._client is not sftp:
            await self._push(sftp)
        if self._waiting:
            await self._waiting[0][2]
            self._waiting.popleft()

    async def _close(self, sftp: Any) -> None:
        if self._client is not sftp:
            await self._resume(sftp)
        with suppress(self._asyncssh.SFTPOpUnsupported):  # what is stored is read back in any case
            await self._file.fsync()
        await self._file.close()  # there are servers that say only now that the disk is full

    async def _resume(self, sftp: Any) -> None:
        """Open the file again on a new connection; what was not acknowledged is to be sent again."""
        try:
            found = await sftp.lstat(self._path)
            await self._open(sftp, self._asyncssh.FXF_WRITE)
        except self._asyncssh.SFTPError as exc:
            raise self._lost(f"the server lets nobody go on with it ({exc.reason})") from exc
        if (found.size or 0) < self._done:
            raise self._lost(f"the server has {found.size} of {self._done} bytes that it took")
        for one in self._waiting:
            one[2] = None

    async def _size(self, sftp: Any) -> int:
        found = await sftp.lstat(self._path)
        if (found.permissions or 0) & 0o007:
            mode = self._asyncssh.SFTPAttrs(permissions=_FILE_MODE)
            with suppress(self._asyncssh.SFTPError):  # a server where nobody changes modes
                await sftp.setstat(self._path, mode)
        return int(found.size or 0)

    def _lost(self, why: str) -> DestinationError:
        told = self._session.place.told("go on with", self._key)
        hint = "it is sent again from its start; ProFTPD wants AllowOverwrite and AllowStoreRestart"
        return DestinationError(f"{told}: {why}", hint=hint)

    def _refused(self, exc: Any) -> DestinationError:
        place = self._session.place
        told = place.told("store", self._key)
        return write_refusal(told, exc, place.server.user, self._free_bytes())

    def _free_bytes(self) -> int | None:
        """What the server's disk has left for this user; None where it does not tell."""
        try:
            found = self._session.run(lambda sftp: sftp.statvfs(self._path))
        except (DestinationError, self._asyncssh.SFTPError):
            return None
        return int(found.bavail * (found.frsize or found.bsize))


class Download(io.RawIOBase):
    """A file, read ahead; goes on where the connection is lost. To be wrapped in a BufferedReader."""

    def __init__(self, session: Session, path: bytes, key: str, offset: int = 0) -> None:
        """Raises the library's SFTPError if the file cannot be opened."""
        super().__init__()
        self._session, self._path, self._key = session, path, key
        self._client: Any = None  # that `_file` belongs to
        self._file: Any = None
        self._block = _SURE_BLOCK
        self._arrived = memoryview(b"")  # and not taken yet
        self._taken = offset
        self._asked = offset
        self._size = 0
        self._ahead: deque[tuple[int, int, Any]] = deque()  # (offset, size, its read)
        session.again(self._open)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        if not self._arrived:
            with self._session.faults("read", self._key):
                self._arrived = memoryview(self._session.again(self._next))
        count = min(len(buffer), len(self._arrived))
        buffer[:count] = self._arrived[:count]
        self._arrived = self._arrived[count:]
        self._taken += count
        return count

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._session.holds(self._client):
            asyncssh = library(self._session.place.destination)
            with suppress(DestinationError, asyncssh.SFTPError):  # what was read is read
                self._session.run(lambda sftp: self._leave(sftp, file))
        super().close()

    # -- inside, on the loop

    async def _open(self, sftp: Any) -> None:
        flags = library(self._session.place.destination).FXF_READ
        self._file = await sftp.open(self._path, flags, encoding=None, block_size=0)
        self._size = int((await sftp.stat(self._path)).size or 0)
        self._client, self._block, self._asked = sftp, _block_size(sftp), self._taken
        self._ahead.clear()

    async def _next(self, sftp: Any) -> bytes:
        """The next bytes; none at the end."""
        if self._client is not sftp:
            await self._open(sftp)
        while self._asked < self._size and len(self._ahead) * self._block < _IN_FLIGHT:
            size = min(self._block, self._size - self._asked)
            reading = asyncio.ensure_future(self._file.read(size, self._asked))
            reading.add_done_callback(_seen)
            self._ahead.append((self._asked, size, reading))
            self._asked += size
        if not self._ahead:
            return b""
        offset, size, reading = self._ahead.popleft()
        block = bytes(await reading)
        if len(block) < size:  # the server gives less at a time, or the file has become shorter
            for _offset, _size, other in self._ahead:
                other.cancel()
            self._ahead.clear()
            self._asked = offset + len(block)
            self._block = len(block) or self._block
            self._size = self._size if block else self._asked
        return block

    async def _leave(self, sftp: Any, file: Any) -> None:
        for _offset, _size, reading in self._ahead:
            reading.cancel()
        if self._client is sftp:
            await file.close()


def _block_size(sftp: Any) -> int:
    """Bytes a request, as large as the server says or must take."""
    return min(_BLOCK, max(_SURE_BLOCK, int(sftp.limits.max_write_len)))


def _seen(task: Any) -> None:
    """Look at how it ended: what nobody looks at is complained of by the loop."""
    if not task.cancelled():
        task.exception()
