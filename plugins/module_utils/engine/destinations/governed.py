# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a destination of any kind to what was said of it: no more bytes a second are sent than that."""

from __future__ import annotations

import io
import threading
import time
from typing import Any, BinaryIO, Callable

from ..policy import CopyPolicy
from ..ports import Destination, Growing

_BURST_S = 0.25  # what may go out at once, in seconds of the rate


class Governed:
    """ports.Destination around another one. Only what is sent is limited: a restore never waits."""

    def __init__(self, destination: Destination, policy: CopyPolicy) -> None:
        self.policy = policy
        self._destination = destination
        self._allowance = Allowance(policy.bandwidth) if policy.bandwidth else None

    def store(self, key: str, growing: Growing) -> None:
        slow = Slow(growing, self._allowance) if self._allowance else growing
        self._destination.store(key, slow)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._destination, name)


class Allowance:
    """So many bytes a second, for all who take from it together."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock, self._sleep = clock, sleep
        self._guard = threading.Lock()
        self._free_at = clock()  # when all that was taken will have been due

    @property
    def largest(self) -> int:
        """Bytes to take at once."""
        return max(1, int(self.rate * _BURST_S))

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may have gone."""
        with self._guard:
            now = self._clock()
            self._free_at = max(self._free_at, now - _BURST_S) + count / self.rate
            wait = self._free_at - now
        if wait > 0:
            self._sleep(wait)


class Slow:
    """ports.Growing whose reader is held back; who reads its file instead is told the rate."""

    def __init__(self, growing: Growing, allowance: Allowance) -> None:
        self._growing, self._allowance = growing, allowance
        self.path, self.size_hint = growing.path, growing.size_hint
        self.bytes_per_second = allowance.rate

    def reader(self) -> BinaryIO:
        raw = _Held(self._growing.reader(), self._allowance)
        return io.BufferedReader(raw, min(1 << 20, self._allowance.largest))

    def wait(self) -> int:
        return self._growing.wait()


class _Held(io.RawIOBase):
    def __init__(self, reader: BinaryIO, allowance: Allowance) -> None:
        super().__init__()
        self._reader, self._allowance = reader, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._reader.read(min(len(buffer), self._allowance.largest))
        self._allowance.take(len(block))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._reader.close()
        super().close()
