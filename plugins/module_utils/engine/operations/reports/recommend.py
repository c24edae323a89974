# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what to do next, by plain rules over one host's evidence: the most urgent first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...units import human_duration
from ..standing.status import CRITICAL, GOOD, WARNING
from .evidence import instant, number
from .report import full_in

ADVICE = "advice"
_ORDER = (CRITICAL, WARNING, ADVICE)
_ENOUGH = 0.98  # of a month's runs
_SOON, _NOW = timedelta(weeks=26), timedelta(weeks=4)  # until a disk is full
_OLD_DRILL = timedelta(days=35)
_NAMED = 5  # of many things
Told = Mapping[str, Any]


@dataclass(frozen=True)
class Recommendation:
    """level: critical, warning, or advice. what: what was measured. do: what to do about it."""

    level: str
    job: str  # "" = the whole host
    what: str
    do: str


def recommendations(evidence: Told, now: datetime) -> list[Recommendation]:
    """Everything that the evidence of one host calls for."""
    found: list[Recommendation] = []
    for told in evidence["jobs"]:
        for rule in _OF_A_JOB:
            found += [Recommendation(one[0], told["job"], *one[1:]) for one in rule(told, now)]
    found += _log(evidence["audit"])
    found += _disks(evidence)
    found += _bare(evidence["coverage"] or [])
    return sorted(found, key=lambda one: _ORDER.index(one.level))


def _runs(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    runs = told["runs"]
    failed = [one for one in runs if not one["good"]]
    if not runs and told["schedules"]:
        yield CRITICAL, "it has a schedule, and did not run in this month", "see `lifeboat doctor`"
    if runs and 1 - len(failed) / len(runs) < _ENOUGH:
        why = Counter(error for one in failed for error in one["errors"]).most_common(1)
        most = f"; most often: {why[0][0]}" if why else ""
        level = CRITICAL if len(failed) * 2 > len(runs) or not runs[-1]["good"] else WARNING
        do = f"`lifeboat history {told['job']} --event backup` shows each of them"
        yield level, f"{len(failed)} of {len(runs)} runs failed{most}", do


def _stands(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    sources = {one["name"] for one in told["sources"]}
    for one in told["standings"]:
        if one["state"] == GOOD or one["place"] in sources:
            continue  # objectives have a rule of their own
        do = f"`{one['next']}`" if one["next"] else "see `lifeboat doctor`"
        place = f"{one['place']}: " if one["place"] else ""
        yield one["state"], place + one["reason"], do


def _objectives(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    job = told["job"]
    promised = False
    for one in told["sources"]:
        name = one["name"]
        promised = promised or bool(one["rpo_s"] or one["rto_s"])
        if one["rpo_s"]:
            point = instant(one["point_at"])
            age = (now - point).total_seconds() if point else None
            if age is None or age > one["rpo_limit_s"]:
                so = f"the newest good backup of it is {_long(age)} old" if age else "there is none"
                what = f"RPO of {name} missed: {so}, {_long(one['rpo_s'])} was promised"
                yield (
                    CRITICAL,
                    what,
                    f"`lifeboat run {job}`, then give it a schedule that is tighter",
                )
        if one["rto_s"] and one["rto_measured_s"] is not None:
            if one["rto_measured_s"] > one["rto_s"]:
                took, may = _long(one["rto_measured_s"]), _long(one["rto_s"])
                do = "restore from a nearer copy, split the source, or promise what is true"
                yield CRITICAL, f"RTO of {name} missed: the last drill took {took} of {may}", do
        elif one["rto_s"]:
            do = f"`lifeboat drill {job} --identity FILE` measures it"
            yield WARNING, f"the RTO of {name} was never measured", do
    if told["sources"] and not promised:
        do = "say in `objectives` what may be lost and how long a restore may take"
        yield ADVICE, "nothing is promised: no RPO and no RTO", do


def _drilled(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    last, do = told["last_drill"], f"`lifeboat drill {told['job']} --identity FILE`"
    if last and not last.get("passed"):
        yield CRITICAL, f"the last drill failed: {last.get('error') or 'see the history'}", do
    elif not told["ever_restored"]:
        what = "never drilled: nobody knows whether it can be restored"
        yield WARNING, what, f"{do}; and give the job a `drill` schedule"
    elif last:
        at = instant(last.get("at"))
        if at and now - at > _OLD_DRILL:
            yield WARNING, f"the last drill was {_long((now - at).total_seconds())} ago", do


def _copies(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    for state, level, what, do in (
        (
            "corrupt",
            CRITICAL,
            "is corrupt",
            "`lifeboat push` makes it whole, where another copy is good",
        ),
        (
            "suspect",
            WARNING,
            "is suspect, and does not count",
            "look at it; `lifeboat accept ID` if it is right",
        ),
    ):
        ids = [
            one["id"]
            for one in told["backups"]
            if any(copy["state"] == state for copy in one["copies"])
        ]
        if ids:
            more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
            yield level, f"{ids[0]}{more} {what}", do
    there = told["destinations"]
    if there and all(one["deletable"] for one in there):
        what = "this host may delete every copy: so may whoever breaks into it"
        do = "give one destination `mode: append_only`, and a pruner"
        yield ADVICE if told["environment"] != "production" else WARNING, what, do


def _found(told: Told, now: datetime) -> Iterator[tuple[str, str, str]]:
    for one in told["findings"]:
        yield one["state"], one["told"], one["hint"]


_OF_A_JOB = (_runs, _stands, _objectives, _drilled, _copies, _found)


def _log(audit: Told) -> Iterator[Recommendation]:
    if audit["problems"]:
        what = f"the audit log is not as it was written: {audit['problems'][0]}"
        do = "compare with the system's log: `journalctl -t lifeboat`; ask who was on this host"
        yield Recommendation(CRITICAL, "", what, do)


def _disks(evidence: Told) -> Iterator[Recommendation]:
    for disk in evidence["disks"]:
        left = full_in(disk, evidence["jobs"])
        if left is not None and left < _SOON:
            weeks = int(left / timedelta(weeks=1))
            what = f"growth fills the disk of {', '.join(disk['places'])} in {weeks} weeks"
            do = "make room there, keep fewer backups, or add another destination"
            yield Recommendation(CRITICAL if left < _NOW else WARNING, "", what, do)
        if number(disk["free_bytes"]) < 0.05 * number(disk["size_bytes"]):
            what = f"less than 5 % is free on the disk of {', '.join(disk['places'])}"
            yield Recommendation(CRITICAL, "", what, "make room there")


def _bare(coverage: list[Told]) -> Iterator[Recommendation]:
    bare = [f"{one['kind']} {one['name']}" for one in coverage if not one["jobs"]]
    if bare:
        more = f", and {len(bare) - _NAMED} more" if len(bare) > _NAMED else ""
        what = f"no job protects: {', '.join(bare[:_NAMED])}{more}"
        do = "`lifeboat coverage --missing` shows them all; add sources for what matters"
        yield Recommendation(WARNING, "", what, do)


def _long(seconds: float | None) -> str:
    return human_duration(timedelta(seconds=max(0.0, seconds or 0.0)))
