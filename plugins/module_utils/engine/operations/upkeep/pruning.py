# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune one destination: what goes, in which order, and what stays because somebody wants it by now."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Callable, TypeVar

from ... import retention
from ...errors import DestinationError
from ...listed import marks
from ...naming import (
    MENDED,
    archive_prefix,
    archives_prefix,
    catalog_prefix,
    manifest_key,
    mark_key,
    parse_id,
    signature_key,
)
from ...ports import Destination
from ...progress import Event, Listener
from ...stored import Copy, Mark
from ...sweeping import Sweep, id_of

_BATCH = 1000  # keys that one request deletes, where a destination can
_FEW_IDS = 100  # are listed one by one; for more the whole prefix is listed once
# Who marks a backup elsewhere believes for 15 minutes that one marked `pruned` may go at any moment.
_MARKING_S = 180.0
_ROUND_S = 600.0
Item = TypeVar("Item")


@dataclass(frozen=True)
class Pruned:
    """What pruning one destination did."""

    destination: str
    pruned: tuple[str, ...] = ()  # ids whose manifest is gone
    swept: tuple[str, ...] = ()  # ids whose archives are gone
    uploads: tuple[str, ...] = ()  # unfinished ones that are gone
    retained: tuple[tuple[str, str], ...] = ()  # (id, why) of what the destination does not let go
    failure: str = ""
    excess: str = ""  # why nothing was done
    stranger: str = ""  # nor here: the id for which somebody has to decide first
    reports: tuple[str, ...] = ()  # of drills, by key, that are gone


def name_of(key: str) -> str:
    """What a plan calls a report: its name within the job's catalog."""
    return key.rpartition("/")[2]


class Pruning:
    """One destination while it is pruned; remembers what was done, also when it ends in the middle."""

    def __init__(
        self,
        destination: Destination,
        host: str,
        job: str,
        clock: Callable[[], datetime],
        listener: Listener,
    ) -> None:
        self._destination, self._host, self._job = destination, host, job
        self._clock, self._listener = clock, listener
        self._pruned: list[str] = []
        self._swept: list[str] = []
        self._uploads: list[str] = []
        self._reports: list[str] = []
        self._retained: dict[str, str] = {}

    def done(self, failure: str = "") -> Pruned:
        return Pruned(
            self._destination.name,
            tuple(self._pruned),
            tuple(self._swept),
            tuple(self._uploads),
            tuple(self._retained.items()),
            failure,
            reports=tuple(self._reports),
        )

    def prune(self, expired: Sequence[tuple[Copy, str]]) -> None:
        """Mark, look what somebody has said meanwhile, delete; in rounds, for each mark speaks of now.

        The mark comes first: a manifest that vanishes without one looks lost.
        """
        left = deque(expired)
        while left:
            begun = time.monotonic()
            marked = self._mark_some(left, begun)
            stay = self._wanted_since(marked)
            self._retained.update(stay)
            going = deque(_batches(copy for copy in marked if copy.id not in stay))
            while going:
                self._remove(going.popleft())
                if time.monotonic() - begun > _ROUND_S:
                    break
            left.extendleft(reversed([(copy, "") for batch in going for copy in batch]))

    def _mark_some(self, left: deque[tuple[Copy, str]], begun: float) -> list[Copy]:
        """Take from `left`, and mark, as many as there is time for; one at least."""
        marked: list[Copy] = []
        while left and (not marked or time.monotonic() - begun < _MARKING_S):
            copy, why = left.popleft()
            if why:  # else it was told in the round before
                self._tell("prune", copy.id, why)
            if copy.latest("pruned") is None:
                self._mark(copy.id)
            marked.append(copy)
        return marked

    def _remove(self, batch: Sequence[Copy]) -> None:
        """The manifests, and what lies beside them."""
        keys = {manifest_key(self._host, self._job, copy.id): copy for copy in batch}
        for key, why_not in self._delete(list(keys)).items():
            self._retained[keys.pop(key).id] = why_not
        for copy in keys.values():
            self._pruned.append(copy.id)
            if copy.latest("pruned") is not None:
                self._mark(copy.id)  # the archives stay for a day from now, not from then
        self.tidy(list(keys.values()))

    def tidy(self, gone: Sequence[Copy]) -> None:
        """What lay beside their manifests: later than those, so that no backup is ever unsigned."""
        signed = [copy.id for copy in gone if copy.signed]
        self._delete([signature_key(self._host, self._job, id_) for id_ in signed])
        for copy in gone:
            if copy.latest("mended"):
                key = manifest_key(self._host, self._job, copy.id)
                self._delete([one.key for one in self._destination.list(key) if MENDED in one.key])

    def tidy_left(self, gone: Sequence[Copy]) -> None:
        """The same, after a prune that was killed."""
        self.tidy([copy for copy in gone if not self._committed(copy.id)])

    def sweep(self, sweeps: Sequence[Sweep]) -> None:
        ids = {one.id for one in sweeps if not self._committed(one.id)}
        for one in sweeps:
            self._tell("sweep", one.id, one.why)
        for batch in _batches(self._archives(ids)):
            for key, why_not in self._delete(batch).items():
                self._retained[id_of(key)] = why_not
        self._swept += sorted(ids - set(self._retained))

    def forget(self, reports: Sequence[str]) -> None:
        """Reports of drills."""
        for batch in _batches(reports):
            stay = self._delete(batch)
            self._reports += [key for key in batch if key not in stay]
            self._retained.update({name_of(key): why for key, why in stay.items()})

    def clean(self, before: datetime | None) -> None:
        """Unfinished uploads of anybody who is gone."""
        prefix = archives_prefix(self._host, self._job)
        try:
            self._uploads += self._destination.sweep(prefix, before) if before else ()
        except DestinationError as exc:
            if not exc.permanent:
                raise
            self._listener(Event("clean", self._destination.name, problem=str(exc)))

    def _wanted_since(self, marked: Sequence[Copy]) -> dict[str, str]:
        """{id: why} of those that somebody has asked to keep, or to restore, since the plan was made.

        They are marked `pruned` by now: whoever asks for one still later sees that.
        """
        said: dict[str, list[Mark]] = {}
        listed = self._destination.list(catalog_prefix(self._host, self._job))
        for id_, mark in marks(listed, ("pin", "tag", "restored", "settled")):
            said.setdefault(id_, []).append(mark)
        held = retention.undecided(list(self._restored(said)), self._clock())
        if held:
            return {copy.id: held for copy in marked}
        stay = {}
        for copy in marked:
            new = {mark.kind for mark in said.get(copy.id, ()) if mark not in copy.marks}
            if new & {"pin", "tag"}:
                stay[copy.id] = f"somebody has given it a {min(new & {'pin', 'tag'})} meanwhile"
        return stay

    def _restored(self, said: Mapping[str, Sequence[Mark]]) -> Iterator[Copy]:
        """The copies that were restored once: few, whatever the number of backups."""
        for id_, of_it in said.items():
            if any(mark.kind == "restored" for mark in of_it):
                yield Copy(id_, *parse_id(id_), self._committed(id_), tuple(of_it))

    def _mark(self, id_: str) -> None:
        mark = Mark("pruned", self._clock())
        self._destination.put(mark_key(self._host, self._job, id_, mark), b"")

    def _committed(self, id_: str) -> bool:
        """Whether there is a manifest, though there was none when the plan was made: it has come since, or
        a listing, stale or cut short, kept quiet about it. So the object itself is asked for."""
        try:
            with self._destination.open(manifest_key(self._host, self._job, id_)):
                return True
        except DestinationError as exc:
            if not exc.missing:
                raise
            return False

    def _archives(self, ids: Collection[str]) -> Iterator[str]:
        """The keys of all archives of these ids, never all in memory."""
        if len(ids) <= _FEW_IDS:
            prefixes = [archive_prefix(self._host, self._job, id_) for id_ in sorted(ids)]
        else:
            prefixes = [archives_prefix(self._host, self._job)]
        for prefix in prefixes:
            for stored in self._destination.list(prefix):
                if id_of(stored.key) in ids:
                    yield stored.key

    def _delete(self, keys: Sequence[str]) -> Mapping[str, str]:
        """{key: why} of those that stay. A refusal is told, and is no reason to stop."""
        many = getattr(self._destination, "delete_many", None)
        if many is not None and keys:
            told: Mapping[str, str] = many(keys)
            return told
        stay = {}
        for key in keys:
            try:
                self._destination.delete(key)
            except DestinationError as exc:
                if not exc.permanent:
                    raise
                stay[key] = str(exc)
        return stay

    def _tell(self, phase: str, id_: str, why: str) -> None:
        self._listener(Event(phase, f"{id_} at {self._destination.name}: {why}", ended=True))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    left = iter(items)
    batch = list(islice(left, _BATCH))
    while batch:
        yield batch
        batch = list(islice(left, _BATCH))
