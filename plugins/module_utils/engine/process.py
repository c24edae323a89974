# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs: one alone, or a chain of them with every exit status read. The only subprocess code.

with Pipeline(dump, [zstd, age], tap=tap) as flow:
    for block in flow.blocks():
        spool.write(block)
    flow.check()          # raises the first real failure; only now may the result be used
"""

from __future__ import annotations

import fcntl
import io
import os
import pwd
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import (
    IO,
    Any,
    BinaryIO,
)

from .errors import MissingDependency, ProcessError
from .model import DESCRIPTOR, Command

BLOCK = 1 << 20
_HEAD = 64
_TAIL = 4096
_STDERR_TAIL = 4096
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)


def run(
    command: Command,
    *,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    limit: int = 64 << 20,
) -> bytes:
    """Standard output of a short program; raises ProcessError or MissingDependency.

    `limit` bounds what is kept of the output, in bytes.
    """
    with _Started(command, subprocess.PIPE, subprocess.PIPE) as started:
        try:
            output, _none = started.process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(
                "%s gave no answer in %d seconds" % (command.program, timeout_s),
                status=-signal.SIGKILL,
                detail=started.said(),
            ) from None
        started.raise_unless_accepted()
    return bytes(output[:limit])


class Pipeline:
    """A feed (a program or a file), then filters, joined by pipes; we read what comes out at the end.

    The feed's bytes pass through this process once (the pump), which counts them, keeps their first
    and last few, and shows them to `tap`. Between filters the kernel moves the bytes.
    `plain_bytes`, `head`, `tail`, `feed_status` and `feed_said` are true after `check()`.
    """

    def __init__(
        self,
        feed: Command | Path | BinaryIO,
        filters: Sequence[Command],
        *,
        tap: Callable[[bytes], None] | None = None,
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
        self._stall_timeout_s = stall_timeout_s
        self._stages: list[_Started] = []
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
            raise ProcessError(f"{reader} stopped reading before the end")
        if isinstance(self._feed, Command):
            self.feed_status = self._stages[0].process.returncode
            self.feed_said = self._stages[0].said()

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
        _widen(sink)
        if isinstance(self._feed, Path):  # last, so that no failure above leaves it open
            try:
                source = open(self._feed, "rb", buffering=0)
            except OSError as exc:
                raise ProcessError(f"{self._feed} cannot be read: {exc.strerror}") from exc
        self._out: IO[bytes] = previous
        self._pump = threading.Thread(target=self._pump_loop, args=(source, sink), daemon=True)
        self._pump.start()

    def _add(self, command: Command, stdin: Any) -> _Started:
        stage = _Started(command, stdin, subprocess.PIPE)
        self._stages.append(stage)
        stage.start()
        _widen(stage.process.stdout)
        return stage

    def _pump_loop(self, source: IO[bytes], sink: IO[bytes]) -> None:
        buffer = bytearray(BLOCK)
        view = memoryview(buffer)
        tail = b""
        try:
            while True:
                count = source.readinto(buffer)  # type: ignore[attr-defined]
                if not count:
                    break
                block = view[:count]
                if self._tap is not None:
                    self._tap(bytes(block))
                if len(self.head) < _HEAD:
                    self.head = (self.head + bytes(block[:_HEAD]))[:_HEAD]
                tail = bytes(block[-_TAIL:]) if count >= _TAIL else (tail + bytes(block))[-_TAIL:]
                self.plain_bytes += count
                _write_all(sink, block)
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

    def _guilty(self) -> _Started | None:
        """The stage to blame. One that only lost its reader is a victim, not the cause."""
        failed = [stage for stage in self._stages if not stage.accepted]
        causes = [stage for stage in failed if not stage.lost_reader]
        if self._cut_off and len(causes) > 1 and causes[0] is self._stages[0]:
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


class Conversation:
    """One program that is asked and answers in lines, for as long as its answers are needed.

    Leaving kills it. Its end shows as an empty answer to `line`: then `ended` tells why.
    """

    def __init__(self, command: Command) -> None:
        self._started = _Started(command, subprocess.PIPE, subprocess.PIPE)
        self._lines: deque[bytes] = deque()
        self._begun = b""  # of the next line

    def __enter__(self) -> Conversation:
        self._started.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._started.close()

    def stop(self) -> None:
        """End the program now; another thread that waits in `line` then sees the end."""
        self._started.kill()

    def say(self, text: bytes) -> None:
        """Write to its standard input. That it has gone is told by `line`, not here."""
        try:
            _write_all(self._started.process.stdin, memoryview(text))
        except BrokenPipeError:
            pass

    def line(self, timeout_s: float) -> bytes | None:
        """Its next line with the line end; b"" at its end, None when none came in time."""
        answers = self._started.process.stdout.fileno()
        poller = select.poll()
        poller.register(answers, select.POLLIN | select.POLLHUP)
        until = time.monotonic() + timeout_s
        while not self._lines:
            if not poller.poll(1000 * max(0.0, until - time.monotonic())):
                return None
            block = os.read(answers, BLOCK)
            if not block:
                return b""
            *lines, self._begun = (self._begun + block).split(b"\n")
            self._lines.extend(lines)
        return self._lines.popleft() + b"\n"

    def ended(self) -> tuple[int, str]:
        """(exit status, end of standard error) once `line` showed its end."""
        try:
            self._started.process.wait(5.0)
        except subprocess.TimeoutExpired:  # it closed its output and lives on
            self._started.kill()
        return self._started.process.wait(), self._started.said()


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


class _Program(subprocess.Popen):  # type: ignore[type-arg]
    """A program as we start all of them: unbuffered pipes, a session and group of its own.

    The group, so that `kill` also reaches the programs it starts (sh forks); the session, so
    that it cannot ask for a password on our terminal.
    """

    def __init__(self, argv: Sequence[str], **how: Any) -> None:
        super().__init__(argv, bufsize=0, start_new_session=True, **how)


class _Started:
    """One running program, its standard error in a file, its secret in a pipe."""

    def __init__(self, command: Command, stdin: Any, stdout: Any) -> None:
        self.command = command
        self._stdin = stdin
        self._stdout = stdout
        self.process: Any = None

    def __enter__(self) -> _Started:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self.close()

    def start(self) -> None:
        self._stderr = tempfile.TemporaryFile()
        try:
            self._popen()
        except BaseException:
            self._stderr.close()
            raise

    def _popen(self) -> None:
        argv, descriptor = list(self.command.argv), None
        if self.command.secret is not None:
            descriptor = _secret_pipe(self.command.secret)
            argv = [word.replace(DESCRIPTOR, "/dev/fd/%d" % descriptor) for word in argv]
        try:
            self.process = _Program(
                argv,
                stdin=self._stdin,
                stdout=self._stdout,
                stderr=self._stderr,
                cwd=self.command.cwd,
                **_identity(self.command.user),
                env=dict(os.environ, **self.command.env),
                pass_fds=() if descriptor is None else (descriptor,),
            )
        except FileNotFoundError as exc:
            if self.command.cwd is not None and exc.filename == self.command.cwd:
                raise ProcessError(f"the directory {exc.filename} is not there") from None
            raise MissingDependency(
                f"the program {argv[0]} is not on this machine",
                hint=f"install the package that has {self.command.program}",
            ) from None
        except (OSError, ValueError) as exc:  # ValueError: a NUL byte in a word
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise ProcessError(f"{argv[0]} could not be started: {why}") from exc
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @property
    def accepted(self) -> bool:
        return self.process.returncode in self.command.accepts

    @property
    def lost_reader(self) -> bool:
        status = self.process.returncode
        return status in (-signal.SIGPIPE, 128 + signal.SIGPIPE) or "roken pipe" in self.said()

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_TAIL))
        return self._stderr.read().decode("utf-8", "replace").strip()

    def raise_unless_accepted(self) -> None:
        if self.accepted:
            return
        status = self.process.returncode
        if status < 0:
            message = "%s was ended by signal %d" % (self.command.program, -status)
        else:
            message = "%s stopped with status %d" % (self.command.program, status)
        raise ProcessError(message, status=status, detail=self.said())

    def kill(self) -> None:
        """End it and all it started. Until it has been waited for, its group cannot be another's."""
        if self.process is not None and self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:  # part of it runs as another user
                self.process.kill()

    def close(self) -> None:
        if self.process is not None:
            self.process.wait()
            for end in (self.process.stdin, self.process.stdout):
                if end is not None:
                    try:
                        end.close()
                    except OSError:
                        pass
        if hasattr(self, "_stderr"):
            self._stderr.close()


def _identity(name: str) -> dict[str, Any]:
    """What Popen needs to run a program as another user, with that user's groups and no others."""
    if not name:
        return {}
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ProcessError(f"there is no user {name} on this host") from None
    groups = os.getgrouplist(name, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}


def _secret_pipe(secret: bytes) -> int:
    """The read end of a pipe that holds `secret`; a pipe takes 64 KiB before it would block."""
    if len(secret) > 60000:
        raise ProcessError("a secret of %d bytes is too long to hand over" % len(secret))
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, secret)
    finally:
        os.close(write_end)
    return read_end


def _widen(pipe: Any) -> None:
    """Ask for a 1 MiB pipe: fewer switches between programs. The default is fine when refused."""
    try:
        fcntl.fcntl(pipe.fileno(), _SET_PIPE_SIZE, BLOCK)
    except OSError:
        pass


def _write_all(sink: IO[bytes], block: memoryview) -> None:
    while block:
        written = sink.write(block)
        block = block[written:]


def feed(blocks: Pipeline, sink: Command) -> tuple[int, str]:
    """Run `sink` with a pipeline's output as its standard input; raises for either side.

    Returns the sink's (exit status, end of standard error).
    """
    with _Started(sink, subprocess.PIPE, subprocess.DEVNULL) as started:
        lost = False
        _widen(started.process.stdin)
        try:
            for block in blocks.blocks():
                _write_all(started.process.stdin, memoryview(block))
            blocks.check()  # before the sink sees an end: it must not take a cut stream for a whole one
            started.process.stdin.close()
        except BrokenPipeError:
            lost = True
        started.process.wait()
        if lost and started.accepted:
            raise ProcessError(
                f"{sink.program} stopped reading before the end", detail=started.said()
            )
        started.raise_unless_accepted()
        return started.process.returncode, started.said()
