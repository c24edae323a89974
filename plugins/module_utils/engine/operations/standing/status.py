# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a job stands, from what its destinations hold and not from what a run last claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ...errors import LifeboatError, UnsignedError
from ...job import Job
from ...listed import Copies
from ...policy import Schedule
from ...ports import Destination
from ...retention import SKEW, disputed, two_hosts, undecided
from ...stored import Copy
from ...units import human_duration
from ..copies.catalog import copies_at, read_manifest
from ..copies.claims import Proof, claims
from ..restore.journal import SWAPPED, Journal
from .overdue import overdue, said

GOOD, WARNING, CRITICAL = "good", "warning", "critical"
Told = Sequence["tuple[Destination, Copies | LifeboatError]"]  # what destinations hold
ORDER = [GOOD, WARNING, CRITICAL]
# (warning, critical) age of the newest good backup, by the most frequent schedule of the job
_LIMITS = {
    "hourly": (timedelta(hours=2), timedelta(hours=4)),
    "daily": (timedelta(hours=25), timedelta(hours=48)),
    "weekly": (timedelta(days=8), timedelta(days=15)),
    "monthly": (timedelta(days=32), timedelta(days=63)),
}
_FORGED = 20  # so many unsigned ones are passed over; the newest signed one may lie behind more


@dataclass(frozen=True)
class Standing:
    """One job at one destination; with a source, one objective; with neither, what a restore waits for."""

    job: str
    destination: str
    state: str
    reason: str
    newest_good: str = ""
    age_s: int | None = None
    copies: int = 0
    next: str = ""  # the command to type
    source: str = ""  # whose objectives these are; or "weekly drill", a schedule of drills
    size_bytes: int = 0  # of the newest good copy, as stored
    claims: Mapping[str, Proof] = field(default_factory=dict)  # see claims.CLAIMS
    states: Mapping[str, int] = field(default_factory=dict)  # copies by state
    types: Mapping[str, int] = field(default_factory=dict)  # committed copies by type


def limits(job: Job) -> tuple[timedelta, timedelta]:
    """When this job's newest good backup is too old: (warning, critical)."""
    fitting = [_LIMITS[one.type] for one in job.schedules if one.type in _LIMITS]
    return min(fitting, default=_LIMITS["daily"])


def asked(job: Job) -> list[tuple[Destination, Copies | LifeboatError]]:
    """Each destination with its copies, newest first, or why it did not tell."""
    found: list[tuple[Destination, Copies | LifeboatError]] = []
    for destination in job.destinations:
        try:
            found.append((destination, copies_at(destination, job.host, job.name)))
        except LifeboatError as exc:
            found.append((destination, exc))
    return found


def standings(job: Job, told: Told, now: datetime) -> list[Standing]:
    """How each destination of a job stands. One that cannot be asked is critical: it may be lost."""
    return [_standing(job, told, place, now) for place in range(len(told))]


def _standing(job: Job, told: Told, place: int, now: datetime) -> Standing:
    """Of one destination at a time the copies are made, and held: there may be 100,000 at each."""
    destination, there = told[place]
    if isinstance(there, LifeboatError):
        return Standing(job.name, destination.name, CRITICAL, str(there))
    copies = list(there)
    cold = {copy.id for copy in copies if _cold(copy)}
    others = [*told[:place], *told[place + 1 :]] if cold else []
    proved = {copy.id for copy in every(others) if copy.id in cold and copy.good}
    return _judged(job, destination, copies, now, proved, _FORGED)


def every(told: Told) -> Iterator[Copy]:
    """The copies of all destinations that told of theirs."""
    return (copy for _one, there in told if not isinstance(there, LifeboatError) for copy in there)


def oldest(told: Told) -> list[Copy]:
    """Of each destination that has any."""
    return [there[-1] for _one, there in told if not isinstance(there, LifeboatError) and there]


def _judged(
    job: Job,
    destination: Destination,
    there: list[Copy],
    now: datetime,
    proved: Collection[str],
    left: int,
) -> Standing:
    """`proved`: the ids that are archived here, and good elsewhere."""
    committed = [copy for copy in there if copy.committed]
    made = replace(
        _one(job, destination.name, there, now, proved),
        claims=claims(committed),
        states=dict(Counter(copy.state for copy in there)),
        types=dict(Counter(copy.type for copy in committed)),
    )
    if not made.newest_good:
        return made
    try:
        manifest = read_manifest(destination, job.host, job.name, made.newest_good, job.signers)
    except UnsignedError as exc:  # anybody may have put it there: judge by what is left
        rest = [copy for copy in there if copy.id != made.newest_good]
        made = (
            _judged(job, destination, rest, now, proved, left - 1)
            if left
            else replace(made, newest_good="")
        )
        told = f"{made.reason}; {exc}"
        return replace(made, state=CRITICAL, reason=told, next=f"lifeboat verify {job.name}")
    except LifeboatError as exc:  # its bytes are right, and it cannot be restored
        return replace(made, state=CRITICAL, reason=f"{made.reason}; {exc}")
    return replace(made, size_bytes=sum(one.size_bytes for one in manifest.archives))


def restores(job: Job, journals: Sequence[Journal], holder: str) -> list[Standing]:
    """Restores that were cut off (critical), are not decided (warning), were undone, or run now.

    `holder`: who has the job's lock; "" if nobody.
    """
    return [_restore(job.name, one, holder) for one in journals]


def worst(found: list[Standing]) -> int:
    """0 good, 1 warning, 2 critical: the monitoring plugins' convention. Nothing at all is critical."""
    return max((ORDER.index(one.state) for one in found), default=2)


def _restore(job: str, journal: Journal, holder: str) -> Standing:
    of, confirm = f"the restore of {journal.backup_id}", f"lifeboat confirm {job}"
    if journal.open and holder:
        return Standing(job, "", GOOD, f"{of} is {journal.step} now ({holder})")
    if journal.open:
        recover = f"lifeboat recover {job}"
        why = (
            f"{of} was cut off while {journal.step}; `{recover}` ends it, and says what is in place"
        )
        return Standing(job, "", CRITICAL, why, next=recover)
    if journal.step == SWAPPED:
        why = f"{of} is neither confirmed nor undone: `{confirm}`, or `lifeboat undo {job}`"
        return Standing(job, "", WARNING, why, next=confirm)
    return Standing(
        job, "", GOOD, f"{of} was undone; `{confirm}` lets go of what it brought", next=confirm
    )


def _one(
    job: Job, destination: str, there: list[Copy], now: datetime, proved: Collection[str]
) -> Standing:
    past = [copy for copy in there if copy.taken_at <= now + SKEW]
    committed = [copy for copy in past if copy.committed]
    # In cold storage nobody can read a copy back: it is fresh where the same backup was, elsewhere.
    good = [copy for copy in committed if copy.good or (_cold(copy) and copy.id in proved)]
    state, reason, shown = GOOD, "", None
    for schedule in job.schedules or (Schedule("daily", ""),):
        # a run of some sources says nothing of the others
        fitting = [
            copy
            for copy in good
            if not copy.subset or (schedule.sources and copy.type == schedule.type)
        ]
        judged, why = _age(fitting, schedule.type, now)
        if shown is None or ORDER.index(judged) > ORDER.index(state):
            state, reason, shown = judged, why, fitting[0] if fitting else None
    if len(past) < len(there):
        reason += "; some are dated in the future and do not count: see the clock"
        state = max(state, WARNING, key=ORDER.index)
    if any(map(_cold, committed)) and not any(copy.good for copy in committed):
        count = sum(map(_cold, committed))
        reason += f"; {count} are archived: accepted there, and read back by nobody"
    if shown is None:
        return Standing(job.name, destination, state, reason, copies=len(committed))
    newest = committed[0]
    if newest not in good:
        reason += f"; the newest, {newest.id}, is {newest.state}"
        state = max(state, WARNING, key=ORDER.index)
    if claims(committed)["restorable"] is None:
        reason += "; never drilled"
    stranger = disputed(there, now)
    if stranger:
        reason += f"; {two_hosts(stranger)}: see `lifeboat prune {job.name}`"
        state = max(state, WARNING, key=ORDER.index)
    held = undecided(there, now)
    if held:
        reason += f"; nothing is pruned: {held}"
        state = max(state, WARNING, key=ORDER.index)
    late = overdue(job, destination, there, now, limits(job)[1])
    pruning = said(job, destination, late)
    if pruning:
        reason += f"; {pruning}"
    if late:
        state = max(state, WARNING, key=ORDER.index)
    age_s = int((now - shown.taken_at).total_seconds())
    return Standing(job.name, destination, state, reason, shown.id, age_s, len(committed))


def _age(fitting: list[Copy], type_: str, now: datetime) -> tuple[str, str]:
    """(state, in words) of the newest good copy that counts for a schedule."""
    if not fitting:
        return CRITICAL, "there is no good backup"
    age = now - fitting[0].taken_at
    warning, critical = _LIMITS.get(type_, _LIMITS["daily"])
    state = CRITICAL if age >= critical else WARNING if age >= warning else GOOD
    what = "newest good" if fitting[0].good else "newest, good elsewhere,"
    return state, f"{what} is {human_duration(max(age, timedelta(0)))} old"


def _cold(copy: Copy) -> bool:
    return copy.state == "archived"
