# SPDX-License-Identifier: GPL-3.0-or-later
"""Chain programs: a feed, then filters, every exit status read, and blame given to the real cause.

with Pipeline(dump, [zstd, age], tap=tap) as flow:
    for block in flow.blocks():
        spool.write(block)
    flow.check()          # raises the first real failure; only now may the result be used
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from .errors import ProcessError
from .model import Command
from .process import BLOCK, Started, widen, write_all

_HEAD = 64
_TAIL = 4096
_SMALL = BLOCK // 4
_GATHER_S = 0.001
_SPLICE = getattr(os, "splice", None)  # from Python 3.10, on Linux


class Pipeline:
    """A feed (a program or a file), then filters, joined by pipes; we read what comes out at the end.

    The feed's bytes pass through this process once (the pump), which counts them, keeps their first
    and last few, and shows them to `tap`. Between filters the kernel moves the bytes. `surplus` is asked
    how many of the last 64 bytes the feed added after its data: they are cut off.
    `plain_bytes`, `head`, `tail`, `feed_status` and `feed_said` are true after `check()`.
    """

    def __init__(
        self,
        feed: Command | Path | BinaryIO,
        filters: Sequence[Command],
        *,
        tap: Callable[[bytes], None] | None = None,
        surplus: Callable[[bytes], int] | None = None,
        stall_timeout_s: float = 1800.0,
    ) -> None:
        self.plain_bytes = 0  # that went in
        self.out_bytes = 0  # that came out
        self.head = b""
        self.tail = b""
        self.feed_status = 0
        self.feed_said = ""
        self._feed = feed
        self._filters = filters
        self._tap = tap
        self._surplus = surplus
        self._stall_timeout_s = stall_timeout_s
        self._stages: list[Started] = []
        self._pump_error: BaseException | None = None
        self._cut_off = False  # a filter stopped reading before the feed ended
        self._stalled = False
        self._ended = False

    def __enter__(self) -> Pipeline:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def blocks(self) -> Iterator[bytes]:
        """What comes out at the end, in blocks of at most 1 MiB."""
        out = self._out.fileno()
        while self._wait_readable(out):
            block = os.read(out, BLOCK)
            if not block:
                break
            self.out_bytes += len(block)
            yield block
        self._pump.join()
        self._ended = True

    def stream(self) -> BinaryIO:
        """The output as a file object, for readers that want one; `check()` still has to be called."""
        return io.BufferedReader(_Blocks(self.blocks()), BLOCK)

    @property
    def ended(self) -> bool:
        """Whether all of the output has been read."""
        return self._ended

    def check(self) -> None:
        """Raise the first real failure of any stage, of the tap, or of reading the feed."""
        if not self._ended:
            for _rest in self.blocks():
                pass
        for stage in self._stages:
            stage.process.wait()
        if self._stalled:
            raise ProcessError(
                "%s gave no data for %d seconds" % (self._describe(), self._stall_timeout_s),
                status=-signal.SIGKILL,
                detail=self._stages[0].said(),
                hint="see what it waits for: a lock, a network, a full disk",
            )
        if self._pump_error is not None:
            raise self._pump_error
        guilty = self._guilty()
        if guilty is not None:
            guilty.raise_unless_accepted()
        if self._cut_off:  # and yet every stage says that all went well
            reader = self._filters[0].program if self._filters else "the reader"
            raise ProcessError(f"{reader} stopped reading before the end", program=reader)
        if isinstance(self._feed, Command):
            self.feed_status = self._stages[0].process.returncode
            self.feed_said = self._stages[0].said()
            if self._feed.hear is not None:
                self._feed.hear(self._stages[0].lines())

    # -- inside

    def _start(self) -> None:
        source: Any
        if isinstance(self._feed, Command):
            feeder = self._add(self._feed, subprocess.DEVNULL)
            source = feeder.process.stdout
        elif not isinstance(self._feed, Path):
            source = self._feed
        sink: IO[bytes] | None = None
        previous: Any = subprocess.PIPE
        for command in self._filters:
            stage = self._add(command, previous)
            if sink is None:
                sink = stage.process.stdin
            elif previous is not subprocess.PIPE:
                previous.close()  # only the next stage may hold this end, or its writer never gets EPIPE
            previous = stage.process.stdout
        if sink is None:  # no filter: the pump's own pipe is the end
            read_end, write_end = os.pipe()
            sink, previous = os.fdopen(write_end, "wb", 0), os.fdopen(read_end, "rb", 0)
        widen(sink)
        if isinstance(self._feed, Path):  # last, so that no failure above leaves it open
            try:
                source = open(self._feed, "rb", buffering=0)
            except OSError as exc:
                raise ProcessError(f"{self._feed} cannot be read: {exc.strerror}") from exc
        self._may_move = isinstance(self._feed, Command) and not (self._tap or self._surplus)
        self._out: IO[bytes] = previous
        self._pump = threading.Thread(target=self._pump_loop, args=(source, sink), daemon=True)
        self._pump.start()

    def _add(self, command: Command, stdin: Any) -> Started:
        stage = Started(command, stdin, subprocess.PIPE)
        self._stages.append(stage)
        stage.start()
        widen(stage.process.stdout)
        return stage

    def _pump_loop(self, source: Any, sink: IO[bytes]) -> None:
        kept = bool(self._tap or self._surplus)  # a tap may go on reading what it was shown
        buffer = bytearray(0 if kept else BLOCK)
        view = memoryview(buffer)
        tail = held = b""
        try:
            while True:
                moved = self._move(source, sink)
                if moved:  # what is left of it in the pipe is longer than a tail
                    self.plain_bytes += moved
                    tail = b""
                    continue
                block: Any = source.read(BLOCK) if kept else view[: source.readinto(buffer)]
                count = len(block)
                if self._surplus is not None:
                    block, held = self._hold(held, block)
                    if count and not block:
                        continue
                    count = len(block)
                if not count:
                    break
                if self._tap is not None:
                    self._tap(block)
                if len(self.head) < _HEAD:
                    self.head = (self.head + bytes(block[:_HEAD]))[:_HEAD]
                tail = bytes(block[-_TAIL:]) if count >= _TAIL else (tail + bytes(block))[-_TAIL:]
                self.plain_bytes += count
                write_all(sink, memoryview(block))
                if count < _SMALL:
                    # Programs write a page or two at a time. To wake for each costs more than to copy
                    # it; in this time the pipe, which holds 1 MiB, gathers a block worth a wake.
                    time.sleep(_GATHER_S)
        except BrokenPipeError:
            self._cut_off = True
        except BaseException as exc:  # handed to the reader by check()
            self._pump_error = exc
            for stage in self._stages:  # an early end would make a valid, short archive
                stage.kill()
        finally:
            self.tail = tail
            for end in (source, sink):
                try:
                    end.close()
                except OSError:
                    pass

    def _hold(self, held: bytes, block: bytes) -> tuple[bytes, bytes]:
        """(what may go on, what is held back): the end is known only once nothing follows it."""
        if not block:
            return held[: len(held) - self._surplus_of(held)], b""
        if len(block) < _HEAD:
            held, block = b"", held + block
        return b"".join((held, memoryview(block)[:-_HEAD])), block[-_HEAD:]

    def _surplus_of(self, last: bytes) -> int:
        return self._surplus(last) if self._surplus is not None and last else 0

    def _move(self, source: IO[bytes], sink: IO[bytes]) -> int:
        """Let the kernel move what a program has ready, without a copy; bytes moved, 0 = read it.

        All but a tail: the last bytes are always read, and so are the first and what a tap sees.
        """
        if _SPLICE is None or not self._may_move or len(self.head) < _HEAD:
            return 0
        try:
            ready = int.from_bytes(fcntl.ioctl(source, termios.FIONREAD, bytes(4)), sys.byteorder)
            if ready < _SMALL:
                return 0
            return int(_SPLICE(source.fileno(), sink.fileno(), ready - _TAIL))
        except BrokenPipeError:
            raise
        except OSError:  # a system that cannot
            self._may_move = False
            return 0

    def _wait_readable(self, descriptor: int) -> bool:
        """Wait for output; False after nothing at all has moved for the stall timeout."""
        poller = select.poll()  # select() refuses descriptors over 1023
        poller.register(descriptor, select.POLLIN | select.POLLHUP)
        seen, since = self.plain_bytes, time.monotonic()
        while not poller.poll(1000 * min(5.0, self._stall_timeout_s)):
            if self.plain_bytes != seen:
                seen, since = self.plain_bytes, time.monotonic()
            elif time.monotonic() - since >= self._stall_timeout_s:
                self._stalled = True
                for stage in self._stages:
                    stage.kill()
                return False
        return True

    def _guilty(self) -> Started | None:
        """The stage to blame. One that only lost its reader is a victim, not the cause."""
        failed = [stage for stage in self._stages if not stage.accepted]
        causes = [stage for stage in failed if not stage.lost_reader]
        fed = isinstance(self._feed, Command)  # else the first stage is a filter
        if fed and self._cut_off and len(causes) > 1 and causes[0] is self._stages[0]:
            return causes[1]
        return next(iter(causes or failed), None)

    def _describe(self) -> str:
        return self._feed.program if isinstance(self._feed, Command) else "reading the file"

    def _stop(self) -> None:
        for stage in self._stages:
            stage.kill()
        out = getattr(self, "_out", None)
        if out is not None:
            out.close()
        pump = getattr(self, "_pump", None)
        if pump is not None:
            pump.join()
        for stage in self._stages:
            stage.close()


def feed(flow: Pipeline, sink: Command) -> tuple[int, str]:
    """Run `sink` with a pipeline's output as its standard input; raises for either side.

    Returns the sink's (exit status, end of standard error).
    """

    def checked() -> Iterator[bytes]:
        yield from flow.blocks()
        flow.check()

    return pour(checked(), sink)


def pour(blocks: Iterable[bytes], sink: Command) -> tuple[int, str]:
    """The same with any blocks. Where they raise `sink` is killed before it sees an end: it must not
    take a cut stream for a whole one. What one that `may_stop` leaves is read all the same: that proves it."""
    blocks = iter(blocks)
    with Started(sink, subprocess.PIPE, subprocess.DEVNULL) as started:
        lost = False
        widen(started.process.stdin)
        try:
            for block in blocks:
                write_all(started.process.stdin, memoryview(block))
            started.process.stdin.close()
        except BrokenPipeError:
            lost = True
        started.process.wait()
        if lost and started.accepted and sink.may_stop:
            for _rest in blocks:
                pass
        elif lost and started.accepted:
            raise ProcessError(
                f"{sink.program} stopped reading before the end", detail=started.said()
            )
        started.raise_unless_accepted()
        return started.process.returncode, started.said()


class _Blocks(io.RawIOBase):
    """An iterator of blocks as a raw stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
