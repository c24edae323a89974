# SPDX-License-Identifier: GPL-3.0-or-later
"""Find backups under a host's name that this host did not make: a cloned machine, or a name given twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import DestinationError, FormatError, UnsignedError
from ...ports import Destination
from ...stored import Copy
from .catalog import read_manifest

_READ = 200  # manifests; so many names that mean nothing are told apart from another host's backups


def strangers(
    destination: Destination,
    host: str,
    job: str,
    there: Sequence[Copy],
    known: Collection[str],
) -> list[Copy]:
    """Of `there`, newest first, what is as young as the last two of `known` and is not among them, unless
    a mark says already what is to be said of it. `known`: ids that were begun here.

    A host that has not made two remembers too little to say anything. Raises DestinationError.
    """
    ours = sorted(known, reverse=True)[:2]
    if len(ours) < 2 or not any(copy.id in known for copy in there):
        return []
    found: list[Copy] = []
    for copy in there:
        if _second(copy.id) < _second(ours[-1]):
            break
        said = copy.latest("stranger", "accepted")
        new = copy.committed and copy.id not in known and said is None
        if new and (len(found) >= _READ or _is_backup(destination, host, job, copy.id)):
            found.append(copy)
    return found


def _second(id_: str) -> str:
    """In which a backup began: what follows in its id tells not which of two was first."""
    return id_.partition("-")[0]


def _is_backup(destination: Destination, host: str, job: str, id_: str) -> bool:
    """Whether somebody backed up: not a name without a manifest, and not ours, encrypted anew."""
    try:
        return not read_manifest(destination, host, job, id_).rekeyed_from
    except (FormatError, UnsignedError):
        return False
    except DestinationError as exc:
        if not exc.missing:
            raise
        return False
