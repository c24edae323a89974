# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the files of one backup into a directory, every byte proved; out of cold storage too.

What lies there then is what RESTORE.md speaks of: it opens with standard programs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DestinationError, UsageError
from ...files import make_private, remove, write
from ...manifest import sha256sums
from ...model import Manifest
from ...naming import RESTORE_NOTE, SUMS, archive_key
from ...ports import Destination
from ...progress import Listener, silent
from ...stored import Cold
from .catalog import read_document
from .plain import fetch
from .restore_note import restore_note

TIERS = ("expedited", "standard", "bulk")
_BEGUN = ".lifeboat-fetching"  # beside what is not complete yet
DAYS = 7  # that a thawed archive can be read: time to come back


@dataclass(frozen=True)
class Fetched:
    """What became of it. `waiting`: archives that can only be read later; then nothing was fetched."""

    manifest: Manifest
    files: tuple[str, ...]
    waiting: tuple[Cold, ...] = ()


def fetch_backup(
    destination: Destination,
    host: str,
    job: str,
    id_: str,
    directory: Path,
    *,
    thaw: bool = False,
    tier: str = "standard",
    listener: Listener = silent,
    signers: Sequence[str] = (),
) -> Fetched:
    """Fetch into `directory`, which is empty or not there yet, or what a fetch that was cut off has left.
    The manifest is the last to come.

    With `thaw`, what is frozen is asked for; to ask again is nothing. Raises VerifyError, and DestinationError
    for what is frozen without it.
    """
    manifest, content = read_document(destination, host, job, id_, signers)
    waiting = _waiting(destination, manifest, thaw, tier)
    if waiting:
        return Fetched(manifest, (), tuple(waiting))
    small = {
        SUMS: sha256sums(manifest),
        RESTORE_NOTE: restore_note(manifest),
        f"{id_}.json": content,
    }
    names = [*(archive.name for archive in manifest.archives), *small]
    _require_empty(directory, names)
    make_private(directory)
    (directory / _BEGUN).touch()
    for archive in manifest.archives:
        fetch(destination, manifest, archive, directory, listener)
    for name, text in small.items():
        write(directory / name, text)
    remove(directory / _BEGUN)
    return Fetched(manifest, tuple(sorted(names)))


def _waiting(destination: Destination, manifest: Manifest, thaw: bool, tier: str) -> list[Cold]:
    asked: Any = destination  # ports.Freezing, if it can
    if not hasattr(destination, "cold"):
        return []
    keys = [
        archive_key(manifest.host, manifest.job, manifest.id, one.name) for one in manifest.archives
    ]
    found: Sequence[Cold] = asked.cold(keys, tier)
    frozen = [one for one in found if one.state == "frozen"]
    if frozen and not thaw:
        classes = ", ".join(sorted({one.storage_class for one in frozen}))
        takes = ", ".join(sorted({one.hours for one in frozen if one.hours}))
        raise DestinationError(
            f"{len(frozen)} archives of {manifest.id} lie in cold storage at {destination.name} "
            f"({classes})",
            permanent=True,
            hint=f"--thaw asks for them, which takes {takes or 'hours'} and is billed by the provider",
        )
    for one in frozen:
        asked.thaw(one, tier, DAYS)
    return [one for one in found if one.state != "thawed"]


def _require_empty(directory: Path, names: Sequence[str]) -> None:
    """Raise UsageError unless it is so, but for what a fetch that was cut off may have left there."""
    try:
        there = {one.name for one in directory.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UsageError(f"{directory} is not a directory") from None
    begun = _BEGUN in there
    halves = {
        one for one in there if begun and one.startswith(tuple(f".{name[:40]}." for name in names))
    }
    if there - (({_BEGUN, *names} | halves) if begun else set()):
        raise UsageError(f"{directory} is not empty", hint="name a directory that is, or a new one")
    for name in halves:
        remove(directory / name)
