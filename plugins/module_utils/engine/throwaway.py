# SPDX-License-Identifier: GPL-3.0-or-later
"""Run throw-away servers for drills: as nobody important, in a private directory, gone when we are."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import LifeboatError, MissingDependency, SourceError
from .files import make_private
from .model import Command
from .process import Started

_SOCKET_BYTES = 107  # of a socket's path, see unix(7)
_PATIENCE_S = 60.0  # for a server to begin, and a sixth of it to end
_SWEEPS = 20
_NOBODIES = ("lifeboat-drill", "nobody")  # the first is made by the role backup_agent


def server_user() -> str:
    """Who a throw-away server runs as: "" (as we do) unless we are root, else one who owns nothing.

    Never the account of the live server: what is restored may run programs (`COPY … FROM PROGRAM`), and
    a server trusts its own account. Raises MissingDependency.
    """
    if os.geteuid() != 0:
        return ""
    for name in _NOBODIES:
        try:
            if pwd.getpwnam(name).pw_uid != 0:
                return name
        except KeyError:
            continue
    raise MissingDependency("root starts no throw-away server, and there is no other user here")


def give(directory: Path, user: str) -> None:
    """Make `directory` the private one of the server's user."""
    if user:
        account = pwd.getpwnam(user)
        os.chown(directory, account.pw_uid, account.pw_gid)
    os.chmod(directory, 0o700)


@contextmanager
def socket_folder(directory: Path, longest: str, user: str) -> Iterator[Path]:
    """Where the server makes its sockets, the longest name of which is `longest`: in `directory`, unless
    that would be too long for a socket's path. The name elsewhere follows from `directory`: see `sweep`."""
    if len(os.fsencode(directory / longest)) < _SOCKET_BYTES:
        yield directory
        return
    elsewhere = _elsewhere(directory)
    elsewhere.mkdir(mode=0o700)
    try:
        give(elsewhere, user)
        yield elsewhere
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def passable(place: Path) -> Path:
    """`place`, or for root a directory of ours elsewhere, where other users may not pass to `place`."""
    if os.geteuid() != 0 or all(
        one.stat().st_mode & stat.S_IXOTH for one in place.parents if one.exists()
    ):
        return place
    return Path("/var/tmp") / ("lifeboat-drills-" + _digest(place))


def program(name: str, folder: str, hint: str) -> str:
    """The path of a server's program; raises MissingDependency with `hint`."""
    where = folder or os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=where)
    if found is None:
        raise MissingDependency(
            f"the server program {name} is not on this machine, and a drill needs it", hint=hint
        )
    return found


@contextmanager
def serving(
    source: str,
    command: Command,
    ready: Callable[[], bool],
    ends_by: signal.Signals = signal.SIGKILL,
) -> Iterator[None]:
    """Run a server until the block ends, or we do; `ready` is asked until it answers. Raises SourceError."""
    with Started(command, subprocess.DEVNULL, subprocess.DEVNULL, ends_by) as started:
        until = time.monotonic() + _PATIENCE_S
        while not ready():
            ended = started.process.poll() is not None
            if ended or time.monotonic() > until:
                raise SourceError(
                    f"source {source}: the throw-away server {command.program} "
                    + ("did not start" if ended else "gave no answer in %d seconds" % _PATIENCE_S),
                    detail=started.said(),
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            started.end(ends_by, _PATIENCE_S / 6)


def left(arenas: Path, job: str = "*") -> list[Path]:
    """The directories of drills of `job`, also of one that is under way."""
    return sorted(arenas.glob(f"{job}.*")) if arenas.is_dir() else []


def sweep(arenas: Path, job: str) -> None:
    """Remove what killed drills of `job` left in `arenas`. Only under the lock of its drills."""
    for arena in left(arenas, job):
        clear(arena)


def make_arena(place: Path, job: str) -> Path:
    """A new directory for one drill below `place`, through which the users of servers may pass to their own.

    Raises LifeboatError unless `place` is ours alone.
    """
    for again in (True, True, False):
        make_private(place, 0o711)
        if place.stat().st_uid != os.geteuid():
            raise LifeboatError(
                f"{place} belongs to another user", hint="look who made it, and remove it"
            )
        try:
            made = Path(tempfile.mkdtemp(prefix=f"{job}.", dir=place))
        except (
            FileNotFoundError
        ):  # the drill of another job has just ended, and `clear` took it away
            if not again:
                raise
        else:
            break
    os.chmod(made, 0o711)
    return made


def clear(arena: Path) -> None:
    """Remove the directory of one drill, also while a server that was just killed still writes there."""
    for directory in sorted(arena.glob("*/*")) if arena.is_dir() else []:
        shutil.rmtree(_elsewhere(directory), ignore_errors=True)
    for attempt in range(_SWEEPS):
        shutil.rmtree(arena, ignore_errors=attempt < _SWEEPS - 1)
        if not arena.exists():
            with suppress(OSError):  # others are there
                arena.parent.rmdir()
            return
        time.sleep(0.1)


def _elsewhere(directory: Path) -> Path:
    """A short name. Nobody else can make it before: the name of `directory` is random, and it private."""
    return Path(tempfile.gettempdir()) / ("lb-" + _digest(directory))


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
