# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what people have to be told: what is new, what goes on, what is over. Pure: no clock, no network.

docs/monitoring.md#notifications has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from ...units import human_duration
from ..standing.status import CRITICAL, GOOD, ORDER, WARNING

HOST = ""  # the job of a problem that concerns no job
DRILL_EVERY_S = 35 * 86400.0  # a drill that is monthly has been missed
KEY_ENDS_S = 30 * 86400.0
_FULL = 0.05  # of a disk: what is left
_NEWS = {"new": "", "worse": "worse: ", "still": "still: ", "over": "recovered: "}


@dataclass(frozen=True)
class Problem:
    """Something that is wrong now. `key` stays the same for as long as it is."""

    key: str
    job: str
    severity: str  # status.WARNING or status.CRITICAL
    text: str


@dataclass(frozen=True)
class Known:
    """A problem that people were told of. Instants are seconds since 1970."""

    job: str
    severity: str
    text: str
    since: float
    told_at: float


@dataclass(frozen=True)
class News:
    """One line to tell. kind: "new", "worse", "still" or "over"."""

    kind: str
    severity: str
    text: str


@dataclass(frozen=True)
class Message:
    """What goes out, to every URL in `to`; those that took it are taken off."""

    title: str
    body: str
    severity: str
    at: float
    to: tuple[str, ...] = field(default=())


def problems(seen: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with one job, of its observation."""
    job = seen["job"]
    for one in seen["standings"]:
        place = one["destination"] or one["source"] or "restore"
        if one["state"] != GOOD:
            text = f"{job} at {place}: {one['reason']}" if one["destination"] else one["reason"]
            text = text if one["destination"] else f"{job}: {place}: {text}"
            yield Problem(f"{job}/{place}", job, one["state"], text)
    run = seen["run"]
    if run and run["exit_code"] != 0:
        why = "; ".join(run["errors"]) or ", ".join(f"{one} lost" for one in run["lost"])
        severity = WARNING if run["exit_code"] == 3 else CRITICAL
        yield Problem(
            f"{job}:run", job, severity, f"{job}: the last run failed: {why or 'see its log'}"
        )
    drill = seen["drill"]
    if drill and not drill["good"]:
        why = drill["error"] or "see its log"
        yield Problem(f"{job}:drill", job, CRITICAL, f"{job}: the last drill failed: {why}")
    drilled = [
        one["proved"]["restorable"] for one in seen["standings"] if "restorable" in one["proved"]
    ]
    if drilled and seen["at"] - max(drilled) > DRILL_EVERY_S:
        ago = human_duration(timedelta(seconds=seen["at"] - max(drilled)))
        yield Problem(
            f"{job}:drilled", job, WARNING, f"{job}: drill missed: the last was {ago} ago"
        )
    encryption = seen["encryption"]
    if not encryption["ok"]:
        text = f"{job}: nothing can be encrypted: {encryption['error']}"
        yield Problem(f"{job}:encryption", job, CRITICAL, text)
    ends = encryption["expires_at"]
    if ends is not None and ends - seen["at"] < KEY_ENDS_S:
        left = human_duration(timedelta(seconds=max(0.0, ends - seen["at"])))
        yield Problem(f"{job}:key", job, WARNING, f"{job}: a key ends in {left}")
    for one in seen["disks"]:
        if one["free_bytes"] < one["size_bytes"] * _FULL:
            text = f"{job}: little room is left on the disk of {one['place']}"
            yield Problem(f"{job}:disk:{one['place']}", job, WARNING, text)
    for type_, enabled in seen["timers"].items():
        if not enabled:
            text = f"{job}: the timer of its {type_} backups is off"
            yield Problem(f"{job}:timer:{type_}", job, WARNING, text)
    for one in seen["destinations"]:
        if one.get("unsigned"):
            text = f"{job} at {one['name']}: nobody signed {one['unsigned'][0]}: somebody else wrote there"
            yield Problem(f"{job}:unsigned:{one['name']}", job, CRITICAL, text)
    if seen["exposed"]:
        text = f"{job}: other users of this host may read or change {', '.join(seen['exposed'])}"
        yield Problem(f"{job}:exposed", job, WARNING, text)
    if seen.get("refused"):
        text = f"{job}: the gate refused {seen['refused']} restores in 24 h"
        yield Problem(f"{job}:refused", job, WARNING, text)


def of_host(denied: Sequence[str], changed: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with no job of its own.

    denied: accesses, the newest last; changed: places in the audit log.
    """
    if denied:
        text = f"{len(denied)} accesses to files of lifeboat were denied in 24 h, the last one: {denied[-1]}"
        yield Problem(":denied", HOST, WARNING, text)
    if changed:
        text = f"the audit log is not as it was written: {changed[0]}"
        yield Problem(":audit", HOST, CRITICAL, text)


def decide(
    known: Mapping[str, Known],
    found: Iterable[Problem],
    jobs: Sequence[str],
    configured: Sequence[str],
    now: float,
    repeat_s: float,
) -> tuple[dict[str, Known], list[News]]:
    """(what is known from now on, what to tell) after looking at `jobs`.

    What is known of other jobs stays, unless they are not `configured` any more: of those nothing is
    told. A clock that was put back never silences anything for longer than it goes on repeating.
    """
    there = {one.key: one for one in found}
    after: dict[str, Known] = {}
    news: list[News] = []
    for key, old in known.items():
        if old.job not in configured:
            continue
        if old.job not in jobs:
            after[key] = old
        elif key not in there:
            news.append(News("over", GOOD, old.text))
    for key, one in there.items():
        before = known.get(key)
        if before is None:
            after[key] = Known(one.job, one.severity, one.text, now, now)
            news.append(News("new", one.severity, one.text))
            continue
        since, told_at = min(before.since, now), before.told_at
        worse = ORDER.index(one.severity) > ORDER.index(before.severity)
        still = not 0 <= now - told_at < repeat_s
        if worse or still:
            lasted = human_duration(timedelta(seconds=now - since))
            news.append(
                News("worse" if worse else "still", one.severity, f"{one.text} (for {lasted})")
            )
            told_at = now
        after[key] = Known(one.job, one.severity, one.text, since, told_at)
    return after, news


def message(host: str, news: Sequence[News], now: float, to: Sequence[str]) -> Message | None:
    """All the news of one check in one message; the worst first. None without news."""
    if not news:
        return None
    ordered = sorted(news, key=lambda one: (-ORDER.index(one.severity), one.kind))
    wrong = [one for one in ordered if one.kind != "over"]
    severity = ordered[0].severity
    title = f"lifeboat on {host}: {severity if wrong else 'recovered'}"
    body = "\n".join(_NEWS[one.kind] + one.text for one in ordered)
    return Message(title, body, severity, now, tuple(to))


def merged(waiting: Sequence[Message], most: int = 20) -> list[Message]:
    """Messages to the same recipients become one, so that a storm stays small; the newest lines stay."""
    found: dict[tuple[str, ...], Message] = {}
    for one in waiting:
        before = found.get(one.to)
        if before is None:
            found[one.to] = one
            continue
        worse = max(before, one, key=lambda some: ORDER.index(some.severity))
        found[one.to] = replace(worse, body=before.body + "\n" + one.body, at=one.at)
    return [replace(one, body=_cut(one.body, most)) for one in found.values() if one.to]


def _cut(body: str, most: int) -> str:
    lines = body.splitlines()
    if len(lines) <= most:
        return body
    return "\n".join([f"({len(lines) - most} more before these)", *lines[-most:]])
