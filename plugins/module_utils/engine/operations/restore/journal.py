# SPDX-License-Identifier: GPL-3.0-or-later
"""Remember every step of a restore durably, so that whoever comes next can finish it or take it back.

One file a restore. Names only, never a secret. It belongs to whoever restores (root), in a directory
that the backup user cannot write: what it says will be done with root's rights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...files import make_private, remove, within, write
from ...model import SourceRecord, Swap
from ...units import iso, parse_instant

# In order. Those in OPEN nobody may leave so.
STAGING, SWAPPING, SWAPPED, UNDOING, UNDONE = "staging", "swapping", "swapped", "undoing", "undone"
DISCARDING = "discarding"  # after a confirm, or its time: only ever completed
STOPPING = "stopping"  # services; nothing is touched yet
RETURNING = "returning"  # all was swapped, and is taken back: the application did not work with it
OPEN = (STAGING, STOPPING, SWAPPING, RETURNING, UNDOING, DISCARDING)


@dataclass(frozen=True)
class Journal:
    """One restore of one job."""

    job: str
    token: str
    backup_id: str
    step: str
    begun_at: datetime
    swaps: tuple[Swap, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()  # (source, kind), to notice a changed configuration
    stopped: tuple[str, ...] = ()  # services that ran before, as Around.stop names them
    lost: tuple[str, ...] = ()  # what an undo could not put back, in words
    backup_host: str = ""  # whose backup it is from
    told: tuple[str, ...] = ()  # destinations that hold retention meanwhile
    deaf: tuple[str, ...] = ()  # those that do not, and somebody else may prune there
    number: int = 0  # of the job's restores, in their order: no clock tells that for sure

    @property
    def open(self) -> bool:
        return self.step in OPEN


def begin(
    directory: Path,
    job: str,
    token: str,
    backup_id: str,
    now: datetime,
    records: Sequence[SourceRecord],
    backup_host: str = "",
) -> Journal:
    """The journal of a new restore, on disk before anything else is done."""
    kinds = tuple((record.name, record.kind) for record in records)
    number = 1 + max((one.number for one in journals(directory, job)), default=0)
    journal = Journal(
        job, token, backup_id, STAGING, now, (), kinds, backup_host=backup_host, number=number
    )
    save(directory, journal)
    return journal


def advance(
    directory: Path,
    journal: Journal,
    step: str,
    swaps: Sequence[Swap] | None = None,
    stopped: Sequence[str] | None = None,
    lost: Sequence[str] = (),
) -> Journal:
    """The journal at its next step, on disk."""
    swaps = journal.swaps if swaps is None else tuple(swaps)
    stopped = journal.stopped if stopped is None else tuple(stopped)
    journal = replace(journal, step=step, swaps=swaps, stopped=stopped, lost=tuple(lost))
    save(directory, journal)
    return journal


def save(directory: Path, journal: Journal) -> None:
    body = dict(asdict(journal), version=1, begun_at=iso(journal.begun_at))
    make_private(directory, 0o750)
    write(
        _path(directory, journal),
        json.dumps(body, indent=1, sort_keys=True).encode(),
        within(directory, 0o644),
    )


def forget(directory: Path, journal: Journal) -> None:
    remove(_path(directory, journal))


def journals(directory: Path, job: str) -> list[Journal]:
    """The restores of a job that are not forgotten, oldest first."""
    found = [_read(path) for path in directory.glob(job + ".*.json")]
    ours = [journal for journal in found if journal.job == job]
    return sorted(ours, key=lambda one: (one.number, one.begun_at, one.token))


def jobs_with_journals(directory: Path) -> list[str]:
    """Those with a journal, or with the half of one that was being written when its writer was killed."""
    halves = {path.name[1:].partition(".")[0] for path in directory.glob(".*.json.*")}
    return sorted({_read(path).job for path in directory.glob("*.json")} | halves)


def sweep(directory: Path, job: str) -> None:
    """Remove what a killed writer left of a journal that it was replacing; the job's lock is held."""
    for path in directory.glob(f".{job}.*.json.*"):
        remove(path)


def _path(directory: Path, journal: Journal) -> Path:
    return directory / f"{journal.job}.{journal.token}.json"


def _read(path: Path) -> Journal:
    try:
        body = json.loads(path.read_bytes())
        return Journal(
            job=body["job"],
            token=body["token"],
            backup_id=body["backup_id"],
            step=body["step"],
            begun_at=parse_instant(body["begun_at"]),
            swaps=tuple(_swap(one) for one in body["swaps"]),
            kinds=tuple((str(name), str(kind)) for name, kind in body["kinds"]),
            stopped=tuple(str(name) for name in body.get("stopped", ())),
            lost=tuple(str(told) for told in body.get("lost", ())),
            backup_host=str(body.get("backup_host", "")),
            told=tuple(str(name) for name in body.get("told", ())),
            deaf=tuple(str(name) for name in body.get("deaf", ())),
            number=int(body.get("number", 0)),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise FormatError(
            f"the journal {path} cannot be read: {exc!r}",
            hint="it names what a restore replaced: look at those before you remove it",
        ) from None


def _swap(body: dict[str, Any]) -> Swap:
    return Swap(
        body["source"], body["target"], body["side"], body["kept"], body["existed"], body["note"]
    )
