# SPDX-License-Identifier: GPL-3.0-or-later
"""Say beside a copy what was found of it, as far as this identity may."""

from __future__ import annotations

from ...errors import DestinationError, LifeboatError
from ...job import Job
from ...model import Manifest
from ...naming import mark_key
from ...ports import Destination
from ...progress import Event, Listener
from ...stored import Mark
from .catalog import read_manifest

Backup = tuple[str, str, str]  # host, job, id


def say(destination: Destination, backup: Backup, mark: Mark, listener: Listener) -> bool:
    """Whether it could be said: an identity that may only read still verifies."""
    try:
        destination.put(mark_key(*backup, mark), b"")
    except LifeboatError as exc:
        listener(Event("mark", destination.name, problem=str(exc)))
        return False
    return True


def say_of_every_copy(job: Job, manifest: Manifest, mark: Mark, listener: Listener) -> list[str]:
    """What is wrong with the content of one copy is so with each that has the same manifest. The names of
    the destinations where it could be said.

    Another manifest under this id is no reason: who may write at one destination could else spoil all.
    """
    backup = (manifest.host, manifest.job, manifest.id)
    said = []
    for destination in job.destinations:
        try:
            same = read_manifest(destination, *backup, job.signers) == manifest
        except LifeboatError as exc:
            if not (isinstance(exc, DestinationError) and exc.missing):
                listener(Event("mark", destination.name, problem=str(exc)))
            continue
        if same and say(destination, backup, mark, listener):
            said.append(destination.name)
    return said
