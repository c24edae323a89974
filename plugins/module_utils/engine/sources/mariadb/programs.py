# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the client programs of MariaDB or MySQL; what differs between the two is a table here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from ...errors import MissingDependency
from ...model import Command
from ...placement import Placement
from ...process import run

MARIADB, MYSQL = "MariaDB", "MySQL"


@dataclass(frozen=True)
class Flavour:
    """What one of the two families does in a way of its own."""

    client: tuple[str, ...]  # names of the programs, the one that is surely its own first
    dump: tuple[str, ...]
    package: str
    dump_words: tuple[str, ...]  # that only its dump program knows
    by_socket: str  # how an account is tied to the system's user
    tls: dict[str, tuple[str, ...]]


FLAVOURS = {
    MARIADB: Flavour(
        ("mariadb", "mysql"),
        ("mariadb-dump", "mysqldump"),
        "mariadb-client",
        ("--add-drop-trigger",),
        "IDENTIFIED VIA unix_socket",
        {
            "disabled": ("--skip-ssl",),
            "required": ("--ssl", "--skip-ssl-verify-server-cert"),
            "verify": ("--ssl", "--ssl-verify-server-cert"),
        },
    ),
    MYSQL: Flavour(
        ("mysql",),
        ("mysqldump",),
        "mysql-client",
        # Of the replication, which a restore of one database must not touch. Not --add-drop-trigger:
        # it leaves out the quotes of a trigger's name.
        ("--set-gtid-purged=OFF",),
        "IDENTIFIED WITH auth_socket",
        {
            "disabled": ("--ssl-mode=DISABLED",),
            "required": ("--ssl-mode=REQUIRED",),
            "verify": ("--ssl-mode=VERIFY_IDENTITY",),
        },
    ),
}


@dataclass(frozen=True)
class Programs:
    """A client and a dump program of one family, found where the source's programs run."""

    flavour: str  # of the programs, which may talk to a server of the other family
    client: str  # path or name
    dump: str
    version: str  # "10.11.19"

    @property
    def number(self) -> tuple[int, ...]:
        return number(self.version)

    def dump_words(self, server_flavour: str, server_number: tuple[int, ...]) -> tuple[str, ...]:
        """What the dump program has to be told because of who it is and whom it talks to."""
        words = FLAVOURS[self.flavour].dump_words
        old = server_flavour != MYSQL or server_number < (8,)
        if self.flavour == MYSQL and self.number >= (8,) and old:
            words += ("--column-statistics=0",)  # it asks for a table that these do not have
        return words


def number(version: str) -> tuple[int, ...]:
    """(10, 11, 19) of "10.11.19-MariaDB-log"."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in found.groups() if part) if found else (0,)


def flavour_of(version: str) -> str:
    """Of SELECT VERSION(), or of what a program says of itself."""
    return MARIADB if "mariadb" in version.lower() else MYSQL


def find_programs(placement: Placement, folder: str, wanted: str = MARIADB) -> Programs:
    """The programs of the `wanted` family, else of the other; raises MissingDependency.

    Distributions link mysqldump to mariadb-dump, so that only its version tells what a program is.
    """
    other = MYSQL if wanted == MARIADB else MARIADB
    missing = ""
    found = []
    for flavour in (wanted, other):
        for client, dump in zip(FLAVOURS[flavour].client, FLAVOURS[flavour].dump):
            programs = _look(placement, folder, client, dump, os.environ.get("PATH", ""))
            if isinstance(programs, str):
                missing = missing or programs
            elif programs.flavour == wanted:
                return programs
            else:
                found.append(programs)
    if not found:
        raise MissingDependency(
            f"the client programs of {wanted} are not in {folder or 'PATH'}",
            hint=f"install the package {FLAVOURS[wanted].package}",
            detail=missing,
        )
    return found[0]


@lru_cache(maxsize=16)  # each step of a restore asks
def _look(placement: Placement, folder: str, client: str, dump: str, _path: str) -> Programs | str:
    """Both programs, or what was said instead."""
    where = folder.rstrip("/") + "/" if folder else ""
    inside = replace(placement, as_user="")
    try:
        run(inside.wrap(Command((where + client, "--no-defaults", "--version"))))
        told = run(inside.wrap(Command((where + dump, "--no-defaults", "--version"))))
    except MissingDependency as exc:
        return str(exc)
    words = told.decode("utf-8", "replace")
    # "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB", "mysqldump  Ver 8.0.36 for Linux"; newer
    # programs of MariaDB: "mariadb-dump from 11.8.6-MariaDB"
    version = re.search(r"(?:Distrib|from) (\d[.\d]+)", words) or re.search(
        r"Ver (\d[.\d]+)", words
    )
    return Programs(
        flavour_of(words), where + client, where + dump, version.group(1) if version else "0"
    )
