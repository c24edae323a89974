# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one program: to its end, in a conversation, or as a stage of a pipeline. The only subprocess code."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import select
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import (
    IO,
    Any,
)

from .errors import LifeboatError, MissingDependency, ProcessError
from .model import DESCRIPTOR, Command, Inside

BLOCK = 1 << 20
_STDERR_TAIL = 4096
_LONGEST_LINE = 1 << 16
# Of `docker exec` and `podman exec`: the engine itself failed, found no such program, could not run it.
_NOT_RUN = (125, 126, 127)
_PR_SET_PDEATHSIG = 1
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)


def run(
    command: Command,
    *,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    limit: int = 64 << 20,
    dies_with_us: bool = False,
) -> bytes:
    """Standard output of a short program; raises ProcessError or MissingDependency.

    `limit` bounds what is kept of the output, in bytes. `dies_with_us`: also when we are killed.
    """
    fed = subprocess.PIPE if stdin or not command.inside else subprocess.DEVNULL
    how = signal.SIGKILL if dies_with_us else None
    with Started(command, fed, subprocess.PIPE, how) as started:
        try:
            output, _none = started.process.communicate(stdin or None, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(
                "%s gave no answer in %d seconds" % (command.program, timeout_s),
                status=-signal.SIGKILL,
                detail=started.said(),
            ) from None
        started.raise_unless_accepted()
    return bytes(output[:limit])


class Conversation:
    """One program that is asked and answers in lines, for as long as its answers are needed.

    Leaving kills it. Its end shows as an empty answer to `line`: then `ended` tells why.
    """

    def __init__(self, command: Command) -> None:
        self._started = Started(command, subprocess.PIPE, subprocess.PIPE)
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
            write_all(self._started.process.stdin, memoryview(text))
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


class _Program(subprocess.Popen):  # type: ignore[type-arg]
    """A program as we start all of them: unbuffered pipes, a session and group of its own.

    The group, so that `kill` also reaches the programs it starts (sh forks); the session, so
    that it cannot ask for a password on our terminal.
    """

    def __init__(self, argv: Sequence[str], **how: Any) -> None:
        super().__init__(argv, bufsize=0, start_new_session=True, **how)


class Started:
    """One running program, its standard error in a file, its secret in a pipe.

    In a container nobody but the program's standard input tells that we are gone: what takes none is
    given a pipe that closes with us, however we end.
    """

    def __init__(
        self, command: Command, stdin: Any, stdout: Any, dies_by: signal.Signals | None = None
    ) -> None:
        """`dies_by`: the signal that the kernel gives it when we die, however we do."""
        self.command = command
        self._stdin = stdin
        self._stdout = stdout
        self._dies_by = dies_by
        self._lifeline = -1
        self._around = ExitStack()
        self.process: Any = None

    def __enter__(self) -> Started:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self.close()

    def start(self) -> None:
        self._stderr = tempfile.TemporaryFile()
        try:
            within = self.command.within
            self._popen(self._around.enter_context(within()) if within else {})
        except BaseException:
            self._stderr.close()
            self._let_go()
            raise

    def _popen(self, variables: Mapping[str, str]) -> None:
        argv, descriptor, stdin, held = list(self.command.argv), None, self._stdin, -1
        line = b""
        if self.command.inside:
            if self.command.secret is not None:  # ahead of all else: see Placement.wrap
                line = _bounded(self.command.secret) + b"\n"  # a pipe takes it: nobody waits
                if stdin not in (subprocess.PIPE, subprocess.DEVNULL):
                    raise ValueError("a secret goes into a container by a pipe of ours")
            self.command.inside.ready()
            if stdin == subprocess.DEVNULL:
                argv = list(self.command.inside.unfed)
                stdin, self._lifeline = os.pipe()
                held = stdin
        elif self.command.secret is not None:
            hand_over = _secret_file if self.command.secret_again else _secret_pipe
            descriptor = hand_over(self.command.secret)
            argv = [word.replace(DESCRIPTOR, "/dev/fd/%d" % descriptor) for word in argv]
        try:
            self.process = _Program(
                argv,
                stdin=stdin,
                stdout=self._stdout,
                stderr=self._stderr,
                cwd=self.command.cwd,
                **_identity(self.command.user),
                env={**_environment(self.command), **self.command.env, **variables},
                pass_fds=() if descriptor is None else (descriptor,),
                preexec_fn=_bound(self._dies_by) if self._dies_by else None,
            )
        except FileNotFoundError as exc:
            if self.command.cwd is not None and exc.filename == self.command.cwd:
                raise ProcessError(f"the directory {exc.filename} is not there") from None
            raise MissingDependency(
                f"the program {argv[0]} is not on this machine",
                hint=f"install the package that has {os.path.basename(argv[0])}",
            ) from None
        except (OSError, ValueError) as exc:  # ValueError: a NUL byte in a word
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise ProcessError(f"{argv[0]} could not be started: {why}") from exc
        finally:
            for one in (descriptor, held):
                if one is not None and one >= 0:
                    os.close(one)
        if line:
            try:
                os.write(
                    self._lifeline if self._lifeline >= 0 else self.process.stdin.fileno(), line
                )
            except BrokenPipeError:  # it has ended: its status tells why
                pass

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

    def lines(self) -> Iterator[str]:
        """All that it wrote to standard error; what is longer than a line may be comes in pieces."""
        self._stderr.seek(0)
        while line := self._stderr.readline(_LONGEST_LINE):
            yield line.decode("utf-8", "replace").rstrip("\n")

    def raise_unless_accepted(self) -> None:
        if self.accepted:
            return
        status = self.process.returncode
        what, inside = self.command.program, self.command.inside
        if inside:
            what = "%s in container %s" % (what, inside.container)
            if status in _NOT_RUN:
                raise _not_run(inside, status, self.said())
            if 128 < status < 128 + signal.NSIG:  # told by the shell in the container
                status = 128 - status
        if status < 0:
            message = "%s was ended by signal %d" % (what, -status)
        else:
            message = "%s stopped with status %d" % (what, status)
        raise ProcessError(message, status=status, detail=self.said(), program=self.command.program)

    def end(self, how: signal.Signals, patience_s: float) -> None:
        """Ask it to end by a signal, and kill it when it does not in time."""
        try:
            self.process.send_signal(how)
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

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
        try:
            self._let_go()
        finally:
            if hasattr(self, "_stderr"):
                self._stderr.close()

    def _let_go(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self._around.close()


def _not_run(inside: Inside, status: int, said: str) -> LifeboatError:
    if status == 125:
        return ProcessError(
            f"container {inside.container} did not run {inside.program}", status=125, detail=said
        )
    also = ", or cannot be run there" if status == 126 else ""  # docker says 126 for both
    return MissingDependency(
        f"the program {inside.program} is not in container {inside.container}{also}",
        detail=said,
        hint="use an image that has it, and `sh`; or leave out `placement`, and install it on this host",
    )


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


def _bound(how: signal.Signals) -> Callable[[], None]:
    """What a child does before it becomes its program: see PR_SET_PDEATHSIG in prctl(2)."""
    libc, ours = ctypes.CDLL(None), os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if os.getppid() != ours:  # we died before it was said
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def _environment(command: Command) -> Mapping[str, str]:
    """Ours; for another user's program, who can read it there, only what has no secret in it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(command.unset)
        and (
            not command.user or name in ("PATH", "LANG", "LANGUAGE", "TZ") or name.startswith("LC_")
        )
    }


def _secret_pipe(secret: bytes) -> int:
    """The read end of a pipe that holds `secret`; a pipe takes 64 KiB before it would block."""
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, _bounded(secret))
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return read_end


def _bounded(secret: bytes) -> bytes:
    if len(secret) > 60000:
        raise ProcessError("a secret of %d bytes is too long to hand over" % len(secret))
    return secret


def _secret_file(secret: bytes) -> int:
    """A nameless private file in memory that holds `secret`."""
    made = os.memfd_create("lifeboat")
    try:
        os.fchmod(made, 0o600)  # ssh-keygen refuses a key that others may read
        os.write(made, secret)
        os.lseek(made, 0, os.SEEK_SET)
    except BaseException:
        os.close(made)
        raise
    return made


def widen(pipe: Any) -> None:
    """Ask for a 1 MiB pipe: fewer switches between programs. The default is fine when refused."""
    try:
        fcntl.fcntl(pipe.fileno(), _SET_PIPE_SIZE, BLOCK)
    except OSError:
        pass


def write_all(sink: IO[bytes], block: memoryview) -> None:
    while block:
        written = sink.write(block)
        block = block[written:]
