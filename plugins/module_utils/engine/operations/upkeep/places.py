# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan retention by what can be read: a name that only looks like a backup makes no backup go.

Whoever may add names at a destination can add a manifest's with `intact` beside it. So before anything
goes, the manifest of each backup that holds a place is read; one that is not sound holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...errors import DestinationError, FormatError, PruneRefused, UnsignedError
from ...job import Job
from ...model import Manifest
from ...ports import Destination
from ...retention import Plan
from ...stored import Copy
from ..copies.catalog import read_manifest

_MOST = 10_000  # manifests that one plan reads: more than any policy keeps
_ROUNDS = (
    10  # after so many the manifests of all good ones are read, and not of those alone that stay
)
_ALONE = 200  # so many unsound ones are judged in one run; the others wait
_NO_PLACE = "it takes no place: %s"


@dataclass(frozen=True)
class Placed:
    """A plan in which only sound backups hold a place."""

    plan: Plan
    unsound: tuple[tuple[str, str], ...] = ()  # (id, why) of what looks like a good backup


def planned(
    destination: Destination,
    host: str,
    job: Job,
    there: Sequence[Copy],
    plan_of: Callable[[Sequence[Copy]], Plan],
) -> Placed:
    """The plan for what is `there`; reads manifests only where something would go.

    Sound is a manifest that is read, is of this backup and, where the job has signers, is signed by
    one. Raises DestinationError where that cannot be asked, PruneRefused where there is too much of it.
    """
    reading = _Reading(destination, host, job)
    there = list(reading.believed(there))
    unsound: dict[str, str] = {}
    if job.signers:
        good = (copy for copy in there if copy.good and not copy.signed)
        unsound = {copy.id: "its manifest is not signed" for copy in good}
    for number in range(len(there) + 1):
        sound = [copy for copy in there if copy.id not in unsound]
        made = plan_of(sound)
        if not made.expired:
            break
        staying = [copy for copy, _why in (*made.kept, *made.deferred)]
        asked = [copy for copy in (staying if number < _ROUNDS else sound) if copy.good]
        found = {copy.id: why for copy in asked for why in (reading.why_not(copy),) if why}
        if not found:
            break
        unsound.update(found)
    doubted = [copy for copy in there if copy.id in unsound]
    return Placed(_joined(made, sound, doubted, unsound, plan_of), tuple(unsound.items()))


def _joined(
    made: Plan,
    sound: Sequence[Copy],
    doubted: Sequence[Copy],
    unsound: dict[str, str],
    plan_of: Callable[[Sequence[Copy]], Plan],
) -> Plan:
    """The plan with the unsound ones in it. Each stays until the sound ones would take any place that
    it could have: damaged, or of a time before manifests were signed, it may be a backup all the same."""
    going, waiting = list(made.expired), list(made.deferred)
    for number, copy in enumerate(doubted):
        gone: dict[str, str] = {}
        if not made.held and number < _ALONE:
            gone = {one.id: why for one, why in plan_of([*sound, copy]).expired}
        if copy.id in gone:
            going.append((copy, gone[copy.id]))
        else:
            waiting.append((copy, _NO_PLACE % unsound[copy.id]))
    return replace(made, expired=_newest_first(going), deferred=_newest_first(waiting))


def _newest_first(told: Sequence[tuple[Copy, str]]) -> tuple[tuple[Copy, str], ...]:
    return tuple(sorted(told, key=lambda one: (one[0].taken_at, one[0].id), reverse=True))


class _Reading:
    """The manifests of one job at one destination, each read once."""

    def __init__(self, destination: Destination, host: str, job: Job) -> None:
        self._destination, self._host, self._job = destination, host, job
        self._read: dict[str, Manifest | str] = {}

    def why_not(self, copy: Copy) -> str:
        """Why a copy holds no place; "" = it does."""
        found = self._manifest(copy.id)
        return found if isinstance(found, str) else ""

    def believed(self, there: Sequence[Copy]) -> Iterator[Copy]:
        """The copies, without marks `replaced` that no good backup's manifest bears out."""
        for copy in there:
            if copy.committed and copy.replaced and not self._is_replaced(copy, there):
                marks = tuple(mark for mark in copy.marks if mark.kind != "replaced")
                copy = copy._replace(marks=marks)
            yield copy

    def _is_replaced(self, old: Copy, there: Sequence[Copy]) -> bool:
        """Whether a good backup is this one, encrypted anew, or is that of one that was."""
        seen = {old.id}
        for _step in there:
            of = {one.id for one in there if self._is_of(one, old, seen)}
            if not of - seen:
                return False
            if any(one.good for one in there if one.id in of):
                return True
            seen |= of
        return False

    def _is_of(self, one: Copy, old: Copy, seen: set[str]) -> bool:
        twin = one.committed and (one.taken_at, one.type) == (old.taken_at, old.type)
        if not twin or one.id in seen:
            return False
        found = self._manifest(one.id)
        return isinstance(found, Manifest) and found.rekeyed_from in seen

    def _manifest(self, id_: str) -> Manifest | str:
        if id_ not in self._read:
            if len(self._read) >= _MOST:
                raise PruneRefused(
                    "more than %d backups here would have to be read first" % _MOST,
                    hint="see `lifeboat list`: somebody may have added what is none",
                )
            self._read[id_] = self._ask(id_)
        return self._read[id_]

    def _ask(self, id_: str) -> Manifest | str:
        where = (self._destination, self._host, self._job.name, id_)
        try:
            return read_manifest(*where, self._job.signers)
        except (FormatError, UnsignedError) as exc:
            return str(exc)
        except DestinationError as exc:
            if not exc.missing:
                raise
            return str(exc)
