# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove what describes a backup: that it says the same everywhere, and names all that the job protects."""

from __future__ import annotations

from ...errors import DestinationError, VerifyError
from ...job import Job
from ...manifest import encode, sha256sums
from ...model import Manifest
from ...naming import RESTORE_NOTE, SUMS, archive_prefix
from ...ports import Destination
from .catalog import read_manifest, standing
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
    prove_note(manifest, destination)


def prove_note(manifest: Manifest, destination: Destination) -> None:
    """Raise VerifyError unless RESTORE.md of a copy is there, and names its archives."""
    key = archive_prefix(manifest.host, manifest.job, manifest.id) + RESTORE_NOTE
    named = [one.name for one in manifest.archives if one.part != "inventory"]
    told = f"{key} at {destination.name} is missing"
    for opened in standing(destination, key):
        try:
            with opened as stream:
                note = stream.read(_NOTE_LIMIT)
        except DestinationError as exc:
            if not exc.missing:
                raise
            continue
        unnamed = [name for name in named if name.encode() not in note]
        if not unnamed:
            return
        told = f"{RESTORE_NOTE} of {manifest.id} at {destination.name} does not name {unnamed[0]}"
    raise VerifyError(told)


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
