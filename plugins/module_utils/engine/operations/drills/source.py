# SPDX-License-Identifier: GPL-3.0-or-later
"""Try one source of a backup in a drill: fetch it, restore it into a throw-away place, compare."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import LifeboatError, SourceError, UsageError
from ...files import free_bytes, make_private, remove
from ...job import Job
from ...model import Inventory, Manifest, SourceRecord, Swap, Workspace
from ...ports import Arena, Destination, Plain, Source
from ...progress import Event, Listener
from ...units import human_size
from ..copies.plain import Decoders, fetch, of_the_copy, plains
from ..restore.staging import compare, decoding, stage, whole
from .report import Phases, Tried

_ROOM = 1.2  # restored data is larger than its dump: indexes, blocks that are not full


@dataclass
class Trial:
    """The sources of one backup, one after the other. What is restored stays until `held` is closed, and
    `places` says where it is: variables for the user's own check."""

    job: Job
    manifest: Manifest
    destination: Destination
    decoders: Decoders
    identity: bytes | None
    held: ExitStack
    listener: Listener
    places: dict[str, str] = field(default_factory=dict)

    def of(self, record: SourceRecord, folder: Path) -> Tried:
        """Try one, below the private directory `folder`. What fails is in the result."""
        phases = Phases()
        tried = Tried(
            record.name,
            record.kind,
            "failed",
            phases.seconds,
            rto=self.job.objectives_for(record.name).rto,
        )
        work = Workspace(make_private(folder / "bulk"), make_private(folder / "secret"))
        fetched = make_private(folder / "fetched")
        right = False  # the bytes of its archives
        try:
            source = self._source(record)
            archives = self.manifest.of_source(record.name)
            self._require_room(record, fetched)
            with phases.watch("fetch"):
                paths = {
                    one.name: fetch(self.destination, self.manifest, one, fetched, self.listener)
                    for one in archives
                }
            right = True
            parts = plains(archives, paths, self.decoders, self.identity)
            with decoding(record.name):
                record = whole(record, parts)
                how, found = self._restore(source, record, parts, work, folder, phases)
            remove(fetched)
            totals = found.totals if found else {}
            return replace(tried, how=how, totals={**totals, **_not_proved(record)})
        except LifeboatError as exc:
            bad = of_the_copy(exc)
            return replace(
                tried,
                problem=exc.message,
                detail=exc.detail,
                hint=exc.hint,
                bad=bad,
                unreadable=bad and right,
            )
        except OSError as exc:
            return replace(tried, problem=f"{exc.filename or folder}: {exc.strerror}")
        except (KeyError, TypeError, ValueError) as exc:  # of our code, or another version's facts
            told = f"source {record.name}: its record cannot be used: {exc!r}"
            hint = "use a lifeboat at least as new as the one that wrote the backup"
            return replace(tried, problem=told, hint=hint)

    def _restore(
        self,
        source: Source,
        record: SourceRecord,
        parts: Mapping[str, Plain],
        work: Workspace,
        folder: Path,
        phases: Phases,
    ) -> tuple[str, Inventory | None]:
        """(how, what was found): into the place that the user names, else a throw-away one, else only read."""
        self.listener(Event("restore", record.name))
        own = self.job.drilling.stand_in(record.name)
        arena: Any = getattr(source, "arena", None)  # of ports.Drillable
        if own is None and arena is None:
            with phases.watch("restore"):
                source.check_content(parts, work)
            return "read", None
        if own is None:
            with phases.watch("start"):
                opened: Arena = self.held.enter_context(
                    arena(make_private(folder / "arena"), record)
                )
        else:
            opened = Arena(own)
        with phases.watch("restore"):
            target = opened.source.target(record, opened.into)
            if target.refusals:
                raise SourceError(
                    f"source {record.name} cannot be restored here: {target.refusals[0]}",
                    detail="\n".join(target.refusals[1:]),
                )
            if own is not None and target.exists:
                raise SourceError(
                    f"source {record.name}: the place for drills, {target.label}, is not empty",
                    hint="empty it, if it is not in use: a drill replaces nothing",
                )
            target = replace(target, keep_in=str(folder / "kept"))
            swap = opened.source.plan(record, target, secrets.token_hex(3))
            if own is not None:
                self.held.callback(_give_back, own, swap)
            stage(opened.source, record, swap, parts, work)
        with phases.watch("compare"):
            self.listener(Event("compare", record.name))
            found = compare(opened.source, swap, parts, work)
        with phases.watch("restore"):
            opened.source.swap(swap)
        prefix = "LIFEBOAT_DRILL_" + record.name.upper().replace("-", "_") + "_"
        self.places.update({prefix + key: text for key, text in opened.places.items()})
        self.listener(Event("compare", record.name, ended=True))
        return "restored", found

    def _source(self, record: SourceRecord) -> Source:
        source = self.job.source(record.name)
        if source.kind != record.kind:
            raise UsageError(
                f"source {record.name} is a {source.kind} here and was a {record.kind} in the backup"
            )
        return source

    def _require_room(self, record: SourceRecord, folder: Path) -> None:
        archives = self.manifest.of_source(record.name)
        stored = sum(one.size_bytes for one in archives)
        plain = sum(one.plain_bytes for one in archives)
        told = record.facts.get("size_bytes", 0)
        needed = stored + int(_ROOM * max(plain, told if isinstance(told, int) else 0))
        free = free_bytes(folder)
        if needed > free:
            raise SourceError(
                f"source {record.name}: a drill needs about {human_size(needed)}, and"
                f" {folder} has {human_size(free)} free",
                hint="make room there, set spool_path to a larger disk, or drill on another host",
            )


def _give_back(source: Source, swap: Swap) -> None:
    """Leave the place that the user names for drills as it was: empty."""
    source.back(swap)
    source.discard(swap)


def _not_proved(record: SourceRecord) -> dict[str, int]:
    """Objects that the backup has only estimates of: they were looked for, and not compared. And
    files that were not whole when they were backed up, and came back so."""
    counts = {what: int(record.totals.get(what, 0)) for what in ("uncounted", "padded")}
    return {what: count for what, count in counts.items() if count}
