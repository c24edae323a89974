# SPDX-License-Identifier: GPL-3.0-or-later
"""Write an archive to disk once, hash it while writing, and let uploads read behind the writer."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import os
import threading
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from .errors import SpoolError

SAMPLE = 4 << 20  # bytes: what a read-back by sample compares at once
_SYNC_FILE_RANGE_WRITE = 2
_FLUSH_EVERY = 32 << 20  # start writing to disk early: the last sync is then short


class Spool:
    """One growing archive; implements ports.Growing for its readers. Writer: write*, then commit or abort."""

    def __init__(
        self,
        path: Path,
        *,
        size_hint: int = 0,
        cap_bytes: int | None = None,
        sampled: bool = False,
    ) -> None:
        """`sampled`: keep a hash of every SAMPLE bytes too, in `samples`."""
        self.path = path
        self.size_hint = size_hint
        self.size_bytes = 0
        self._cap_bytes = cap_bytes
        self._digest = hashlib.sha256()
        self.samples: list[bytes] = []  # SHA-256 of each SAMPLE bytes but those after the last
        self._sample = hashlib.sha256() if sampled else None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _spool_error(exc, path) from exc
        self._grown = threading.Condition()
        self._ended = False
        self._failure: str | None = None
        self._flushed = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        """Append; raises SpoolError when the disk or the cap is full."""
        if self._cap_bytes is not None and self.size_bytes + len(block) > self._cap_bytes:
            raise SpoolError(
                "the spool would pass its cap of %d bytes" % self._cap_bytes,
                hint="raise spool_cap, or make room",
            )
        try:
            left = memoryview(block)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as exc:
            raise _spool_error(exc, self.path) from exc
        self._digest.update(block)
        if self._sample is not None:
            self._take_samples(memoryview(block), self.size_bytes % SAMPLE)
        with self._grown:
            self.size_bytes += len(block)
            self._grown.notify_all()
        if self.size_bytes - self._flushed >= _FLUSH_EVERY:
            _start_writing(self._file, self._flushed, self.size_bytes - self._flushed)
            self._flushed = self.size_bytes

    def _take_samples(self, left: memoryview, begun: int) -> None:
        while left:
            piece = left[: SAMPLE - begun]
            self._sample.update(piece)  # type: ignore[union-attr]
            left, begun = left[len(piece) :], begun + len(piece)
            if begun == SAMPLE:
                self.samples.append(self._sample.digest())  # type: ignore[union-attr]
                self._sample, begun = hashlib.sha256(), 0

    def commit(self) -> None:
        """The archive has passed its checks: sync it, and let the readers come to an end."""
        try:
            os.fsync(self._file)
        except OSError as exc:
            raise _spool_error(exc, self.path) from exc
        self._end(None)

    def abort(self, why: str) -> None:
        """The archive is not to be used: readers raise, the file goes."""
        self._end(why)
        self.remove()

    def remove(self) -> None:
        """Give the disk space back. Readers that have it open may read on."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        try:
            self.path.unlink()
        except FileNotFoundError:
            pass

    def reader(self) -> BinaryIO:
        try:
            file = open(self.path, "rb", buffering=0)
        except OSError as exc:
            self._raise_if_failed()  # it is gone because it was given up
            raise _spool_error(exc, self.path) from exc
        return io.BufferedReader(_Follower(self, file), 1 << 20)

    def wait(self) -> int:
        with self._grown:
            while not self._ended:
                self._grown.wait()
            self._raise_if_failed()
            return self.size_bytes

    def available(self, offset: int) -> int:
        """Bytes beyond `offset`; waits for some. 0 = the checked end. Raises SpoolError if given up."""
        with self._grown:
            while self.size_bytes <= offset and not self._ended:
                self._grown.wait()
            self._raise_if_failed()
            return self.size_bytes - offset

    def _end(self, failure: str | None) -> None:
        with self._grown:
            self._ended, self._failure = True, failure
            self._grown.notify_all()

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise SpoolError("the archive was given up: " + self._failure)


class _Follower(io.RawIOBase):
    """Reads a spool from its start, never past what is written, and ends only at a checked end."""

    def __init__(self, spool: Spool, file: FileIO) -> None:
        super().__init__()
        self._spool = spool
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        count = min(len(buffer), self._spool.available(self._offset))
        if count == 0:
            return 0
        with memoryview(buffer) as view:
            read = self._file.readinto(view[:count])
        if not read:  # would look like the end
            raise SpoolError(f"the spool {self._spool.path} was cut short by another program")
        self._offset += read
        return read

    def close(self) -> None:
        self._file.close()
        super().close()


def _spool_error(exc: OSError, path: Path) -> SpoolError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpoolError(
            f"no space left for the spool in {path.parent}",
            hint="make room there, or set spool_path to a larger disk",
        )
    return SpoolError(f"the spool {path} cannot be used: {exc.strerror}")


def _start_writing(descriptor: int, offset: int, count: int) -> None:
    """Ask the kernel to begin writing a range it holds, without waiting; where it cannot, nothing is lost."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "sync_file_range"):
        libc.sync_file_range(
            descriptor,
            ctypes.c_int64(offset),
            ctypes.c_int64(count),
            _SYNC_FILE_RANGE_WRITE,
        )
