# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose PostgreSQL's client programs: of the server's own major version, or say what to install."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import MissingDependency
from ...model import Command
from ...placement import Placement
from ...process import run

# Where Debian and the PostgreSQL project's RPMs keep several versions side by side.
_FOLDERS = ("usr/lib/postgresql/{}/bin", "usr/pgsql-{}/bin")


@dataclass(frozen=True)
class Programs:
    """The client programs of one major version, in one directory ("" = PATH)."""

    placement: Placement
    folder: str
    version: str  # "15.18"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def path(self, program: str) -> str:
        return self.folder + "/" + program if self.folder else program


def find_programs(placement: Placement, given: str, major: int) -> Programs:
    """The client programs of `major`, or the newest there are for 0; raises MissingDependency.

    `given`: the one directory to look in. Else where distributions keep several versions, and PATH
    (whose programs may be wrappers that choose a version themselves) last.
    """
    folders = [given] if given else _installed(placement, str(major or "*"))
    if not given and not (folders and _wrapped()):
        folders.append("")
    found = [one for one in (_version_in(placement, folder) for folder in folders) if one]
    package = "postgresql-client" + (f"-{major}" if major else "")
    if not found:
        raise MissingDependency(
            f"PostgreSQL's client programs are not in {given or 'PATH'}",
            hint=f"install the package {package}",
        )
    fitting = [one for one in found if major in (0, one.major)]
    if not fitting:
        raise MissingDependency(
            f"the server is PostgreSQL {major}, the client programs here are {found[0].version}",
            hint=f"install the package {package}, or set `programs_path`: a dump by another"
            " version is refused, or cannot be restored on this server",
        )
    return max(fitting, key=lambda one: one.major)


def _installed(placement: Placement, major: str) -> list[str]:
    if not placement.local:
        return []
    return [str(path) for pattern in _FOLDERS for path in Path("/").glob(pattern.format(major))]


def _wrapped() -> bool:
    """Whether PATH has only Debian's wrapper: slow, and it chooses among the folders that we know."""
    found = shutil.which("pg_dump")
    return found is not None and os.path.basename(os.path.realpath(found)) == "pg_wrapper"


def _version_in(placement: Placement, folder: str) -> Programs | None:
    programs = Programs(placement, folder, "0")
    inside = replace(placement, as_user="")
    try:
        told = run(inside.wrap(Command((programs.path("pg_dump"), "--version"))))
    except MissingDependency:
        if not placement.local:
            raise  # it says more: which container, or that there is no docker
        return None
    version = re.search(r"\) (\d+[.\d]*)", told.decode("utf-8", "replace"))
    return replace(programs, version=version.group(1)) if version else None
