# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove what describes a backup: that it says the same everywhere, and names all that the job protects."""

from __future__ import annotations

from ..errors import DestinationError, VerifyError
from ..job import Job
from ..manifest import encode, sha256sums
from ..model import Manifest
from ..naming import RESTORE_NOTE, SUMS, archive_prefix
from ..ports import Destination
from .catalog import read_manifest
from .proving import prove_small

_NOTE_LIMIT = 16 << 20


def examine(job: Job, manifest: Manifest, destination: Destination) -> None:
    """Raise VerifyError unless the checksums, RESTORE.md, the other copies' manifests and the list of
    sources of the copy at `destination` are what they should be."""
    prove_beside(manifest, destination)
    for other in job.destinations:
        if other.name != destination.name:
            _same(other, manifest, destination)
    held = {one.name for one in manifest.sources if one.status in ("good", "absent")}
    lacking = sorted({one.name for one in job.sources} - held)
    if lacking and manifest.complete:
        raise VerifyError(
            f"backup {manifest.id} does not hold {', '.join(lacking)}, which the job protects now",
            hint=f"lifeboat run {job.name}",
        )


def prove_beside(manifest: Manifest, destination: Destination) -> None:
    """Raise VerifyError unless SHA256SUMS and RESTORE.md of a copy are there, and name its archives."""
    prefix = archive_prefix(manifest.host, manifest.job, manifest.id)
    prove_small(destination, prefix + SUMS, sha256sums(manifest))
    note = _note(destination, prefix + RESTORE_NOTE)
    named = [one.name for one in manifest.archives if one.part != "inventory"]
    unnamed = [name for name in named if name.encode() not in note]
    if unnamed:
        raise VerifyError(
            f"{RESTORE_NOTE} of {manifest.id} at {destination.name} does not name {unnamed[0]}"
        )


def _note(destination: Destination, key: str) -> bytes:
    try:
        with destination.open(key) as stream:
            return stream.read(_NOTE_LIMIT)
    except DestinationError as exc:
        if exc.missing:
            raise VerifyError(f"{key} at {destination.name} is missing") from exc
        raise


def _same(other: Destination, manifest: Manifest, destination: Destination) -> None:
    """Another copy's manifest must say the same; that there is none, or nobody answers, is not for here."""
    try:
        found = read_manifest(other, manifest.host, manifest.job, manifest.id)
    except DestinationError:
        return
    if encode(found) != encode(manifest):
        raise VerifyError(
            f"the manifests of {manifest.id} at {destination.name} and {other.name} differ",
            hint=f"lifeboat verify {manifest.id} tells which copy is whole",
        )
