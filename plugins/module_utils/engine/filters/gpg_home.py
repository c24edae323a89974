# SPDX-License-Identifier: GPL-3.0-or-later
"""A home directory for gpg, in memory, that goes away with us: also where we are killed.

A keeper, a process of its own, waits for our end of a pipe. When that closes, however that comes, it ends
the agent and removes the directory. Where the keeper was killed too, `sweep` does so at the next use.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LifeboatError
from ..files import remove
from ..fleeting import candidates
from ..model import Command
from ..process import Started, run

PREFIX = "lifeboat-gpg-"
_MEMORY = ("tmpfs", "ramfs")
_YOUNG_S = 60.0
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEEPER = """
import fcntl, os, shutil, signal, subprocess, sys, time
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, signal.SIG_IGN)
home = sys.argv[1]
fcntl.flock(os.open(home, os.O_RDONLY), fcntl.LOCK_SH)  # says that somebody cares for it
os.write(1, b".")
while os.read(0, 1):
    pass
for words in (["--kill", "all"], ["--remove-socketdir"]):
    try:
        subprocess.run(["gpgconf", "--homedir", home, *words], stdout=2, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pass
for attempt in range(50):  # the agent may still write there; without its socket it ends by itself
    shutil.rmtree(home, ignore_errors=True)
    if not os.path.exists(home):
        break
    time.sleep(0.1)
"""


@contextmanager
def home(secret: bool) -> Iterator[Mapping[str, str]]:
    """An empty, private home: {"GNUPGHOME": path}. A secret one lies in memory, or LifeboatError is raised."""
    place = _place(secret)
    sweep(place)
    made = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    held = os.open(made, _OPEN)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        with Started(_keeper(made), subprocess.PIPE, subprocess.PIPE) as keeper:
            try:
                if keeper.process.stdout.read(1) != b".":
                    raise LifeboatError(
                        f"nobody watches over {made}", detail=keeper.said(), hint="see the detail"
                    )
                yield {"GNUPGHOME": made, "LC_ALL": "C"}
            finally:
                keeper.process.stdin.close()
                keeper.process.wait()
    finally:
        os.close(held)
        remove(Path(made))


def _keeper(made: str) -> Command:
    return Command((sys.executable, "-I", "-S", "-c", _KEEPER, made))


def sweep(place: Path | None = None) -> list[str]:
    """Remove homes that nobody cares for any more, since their keepers were killed too; returns them."""
    gone = []
    for folder in [place] if place else candidates():
        for left in folder.glob(PREFIX + "*"):
            try:
                found = left.lstat()
                if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _YOUNG_S:
                    continue
                held = os.open(left, _OPEN)
            except OSError:
                continue
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_agent(left)
                remove(left)
                gone.append(str(left))
            except OSError:
                continue
            finally:
                os.close(held)
    return gone


def _end_agent(left: Path) -> None:
    """One without its socket ends by itself; where inotify is used up, only after a minute."""
    with suppress(LifeboatError):
        run(Command(("gpgconf", "--homedir", str(left), "--kill", "all")), timeout_s=10)


def in_memory(path: Path, mounts: str = "") -> bool:
    """Whether a directory lies on a file system that is memory: tmpfs or ramfs."""
    mounts = mounts or Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    best, kind = "", ""
    real = os.path.realpath(path)
    for line in mounts.splitlines():
        before, _dash, after = line.partition(" - ")
        where = before.split()[4].replace("\\040", " ")
        if os.path.commonpath([real, where]) == where and len(where) >= len(best):
            best, kind = where, after.split()[0]  # of two at one place the later is on top
    return kind in _MEMORY


def _place(secret: bool) -> Path:
    for folder in candidates():
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and in_memory(folder):
            return folder
    if not secret:
        return Path(tempfile.gettempdir())
    raise LifeboatError(
        "there is no place in memory for the private key: "
        + ", ".join(str(one) for one in candidates()),
        hint="mount a tmpfs at /dev/shm; a private key is never written to a disk",
    )
