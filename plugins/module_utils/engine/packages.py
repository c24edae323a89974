# SPDX-License-Identifier: GPL-3.0-or-later
"""Find which packages of the distribution brought what a source needs, and which of some are missing here."""

from __future__ import annotations

import glob
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from .errors import LifeboatError
from .model import Command
from .process import run

# Debian policy, 5.6.1; and none that apt would take for "remove it", or for a version or a path
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+]")
_SOME_UNKNOWN = (0, 1)  # of dpkg-query: 1 = a path or a package that it does not know


def loopback(host: str) -> bool:
    """Whether a server at `host` is one of this host: no name at all, a socket, or this machine's own."""
    return not host or host.startswith(("/", "127.")) or host in ("localhost", "::1")


def owning(patterns: Iterable[str]) -> dict[str, str]:
    """{package: version} of those that own the files that match. Without dpkg, or where no package
    owns them (a program of the user's): {}. Never an error: no backup is lost for it.
    """
    there = {one for pattern in patterns for one in glob.glob(pattern)}
    # a link may be of another package than what it leads to: redis-server is one into redis-tools
    paths = sorted(there | {os.path.realpath(one) for one in there})
    if not paths:
        return {}
    try:
        # "postgresql-15: /usr/lib/...", "libc6:amd64: /...", "one, other: /..."
        lines = _query("-S", *paths)
        names = {
            name.partition(":")[0].strip()
            for line in lines
            if not line.startswith("diversion ")
            for name in line.rpartition(": ")[0].split(",")
        }
        found = sorted(one for one in names if _NAME.fullmatch(one))
        return _versions(found) if found else {}
    except LifeboatError:
        return {}


def beside(patterns: Iterable[str]) -> Callable[[], dict[str, str]]:
    """Ask for `owning(patterns)` while something else takes its time; what is returned waits for it."""
    found: dict[str, str] = {}
    asking = threading.Thread(target=lambda: found.update(owning(patterns)), daemon=True)
    asking.start()

    def told() -> dict[str, str]:
        asking.join()
        return found

    return told


def named(told: Mapping[str, object], patterns: Sequence[str]) -> dict[str, str]:
    """Those of `told`, read from a manifest, that are names of packages and match a pattern: they are
    handed to apt, and whoever may write to a destination may have written them."""
    known = [re.compile(pattern) for pattern in patterns]
    return {
        one: str(version)
        for one, version in told.items()
        if _NAME.fullmatch(one) and any(pattern.fullmatch(one) for pattern in known)
    }


def missing(names: Sequence[str]) -> list[str]:
    """Those of `names` that are not installed here; raises MissingDependency where dpkg is not there."""
    there = _versions([one for one in names if _NAME.fullmatch(one)]) if names else {}
    return [one for one in names if one not in there]


def _versions(names: Sequence[str]) -> dict[str, str]:
    lines = _query("-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n", *names)
    words = [line.split(" ") for line in lines]
    return {one[1]: one[2] for one in words if len(one) == 3 and one[0] == "installed"}


def _query(*words: str) -> list[str]:
    told = run(Command(("dpkg-query", *words), accepts=_SOME_UNKNOWN, env={"LC_ALL": "C"}))
    return told.decode("utf-8", "replace").splitlines()
