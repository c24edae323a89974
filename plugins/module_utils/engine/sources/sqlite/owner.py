# SPDX-License-Identifier: GPL-3.0-or-later
"""Open an SQLite file where it lies with no more rights than its owner has.

SQLite replays what it finds beside a file, and a journal may name further files to be removed. Who
owns the directory can write such a journal, so root never opens a file there as root.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import sqlite3
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def as_owner(path: Path, act: Callable[[Path], Any]) -> Any:
    """The result of `act(path)`, which JSON must be able to hold; raises sqlite3.Error.

    Another process runs it where the file, or else its directory, is not root's and we are root.
    """
    user = _other(path)
    if user is None:
        return act(path)
    # by its own name: after a change of user the kernel shuts /proc/self/fd
    path = Path(os.path.realpath(path.parent)) / path.name
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():  # that other threads might hold locks: none is needed here
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _become_and_answer(user, partial(act, path), write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answers:
        told = answers.read()
    os.waitpid(child, 0)
    if not told:
        raise sqlite3.OperationalError("the process that looked at it has ended early")
    answer = json.loads(told)
    if "error" in answer:
        raise sqlite3.OperationalError(answer["error"])
    return answer["result"]


def _other(path: Path) -> tuple[int, int] | None:
    """(uid, gid) of the owner; None = we may do it ourselves."""
    if os.geteuid() != 0:
        return None
    for found in (os.lstat(path), os.stat(path.parent)):
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
    return None


def _become_and_answer(user: tuple[int, int], act: Callable[[], Any], write_end: int) -> None:
    """In the child: never returns."""
    uid, gid = user
    try:
        try:
            known = pwd.getpwuid(uid)
            os.setgroups([*os.getgrouplist(known.pw_name, known.pw_gid), gid])
        except KeyError:
            os.setgroups([gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            answer = {"result": act()}
        except (sqlite3.Error, OSError) as exc:
            answer = {"error": str(exc)}
        os.write(write_end, json.dumps(answer).encode())
    finally:
        os.kill(os.getpid(), signal.SIGKILL)  # nothing of the parent's may be run to its end here
