# SPDX-License-Identifier: GPL-3.0-or-later
"""How GNU tar is asked to write a tree, and to unpack one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import MissingDependency, ProcessError
from ...model import Command
from ...process import run

# C: messages in English, names as bytes. TAR_OPTIONS could add anything at all.
_ENVIRONMENT = {"LC_ALL": "C", "TAR_OPTIONS": ""}
_ATTRIBUTES = ("--acls", "--xattrs", "--numeric-owner")
BY_HAND_INTO = (
    "tar --extract --directory %s --acls --xattrs --xattrs-include='*' "
    "--numeric-owner --preserve-permissions"
)
BY_HAND = (
    "mkdir NEW_DIRECTORY  # the tree comes below it, under its whole path\n"
    + BY_HAND_INTO % "NEW_DIRECTORY"
)


def create(name: str, options: Sequence[str], folder: str = "/") -> Command:
    """tar of `name`, which lies in `folder`. Sorted, so that of two hard links the same one comes first."""
    argv: tuple[str, ...] = (
        "tar",
        "--create",
        "--file=-",
        "--format=posix",
        "--blocking-factor=120",  # six of the usual ones at once: a third of tar's own time
        # neither access times nor our process id: unchanged files give the same bytes (but for
        # those with holes, where tar names its process)
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        "--sort=name",
        "--sparse",
    )
    argv += _ATTRIBUTES + _selinux() + tuple(options) + ("--", name)
    # judged by what it said
    return Command(argv, env=_ENVIRONMENT, cwd=folder, accepts=(0, 1, 2))


def extract(descriptor: int, alone: Sequence[str] = (), whole: Sequence[str] = ()) -> Command:
    """tar that unpacks into an open directory of ours, whatever its name leads to by then.

    Only the members `alone` and those `whole` with all that is below, if any are named.
    """
    # without an include pattern tar drops capabilities; only root may set more than user.*
    root = os.geteuid() == 0
    owners = ("--xattrs-include=*", "--same-owner") if root else ("--xattrs-include=user.*",)
    argv: tuple[str, ...] = ("tar", "--extract", "--file=-", "--preserve-permissions")
    argv += _ATTRIBUTES + _selinux() + owners + ("--delay-directory-restore",)
    argv += ("--no-recursion", *("--add-file=" + name for name in alone)) if alone else ()
    argv += ("--recursion", *("--add-file=" + name for name in whole)) if whole else ()
    return Command(argv, env=_ENVIRONMENT, cwd="/proc/self/fd/%d" % descriptor)


def _selinux() -> tuple[str, ...]:
    return ("--selinux",) if os.path.exists("/sys/fs/selinux/enforce") else ()


def version() -> str:
    """The version line of GNU tar; raises MissingDependency for another tar, or none."""
    try:
        first = run(Command(("tar", "--version"), env=_ENVIRONMENT)).decode().partition("\n")[0]
    except ProcessError:
        first = ""
    if "GNU tar" not in first:
        raise MissingDependency(
            "the tar on this machine is not GNU tar", hint="install the package tar"
        )
    return first
