# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `verify`: prove copies, and say of each what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from ..errors import UsageError
from ..job import Job
from ..operations.copies import catalog
from ..operations.upkeep import verify
from ..progress import Listener
from ..registry import FILTERS
from ..units import human_duration
from . import rescue, watch
from .incidents import used
from .output import Output, Rows
from .session import Session, now, remember
from .wanted import meant

_HEAD = ["ID", "DESTINATION", "STATE", "AGE", "SOURCES", "PROBLEM"]
_EACH = 1000  # findings that the history has one by one


def verify_(session: Session, asked: Any, out: Output) -> int:
    """Prove copies; whatever could not be proved is not valid."""
    identity = rescue.identity(asked.identity)
    if asked.level == "content" and identity is None:
        raise UsageError(
            "--level content needs the private key", hint="give it with --identity FILE or -"
        )
    listener = watch.listener(quiet=asked.quiet)
    findings = []
    for job, id_ in meant(session, asked.what):
        wanted = catalog.Wanted(id=id_, at=asked.at)
        area = session.area(job, rescue=True)
        content = (area, FILTERS, identity) if asked.level == "content" else None
        with session.hold(job, "verify", listener=listener):
            found = verify.verify(
                job,
                wanted,
                now,
                host=asked.from_host,
                every=asked.all,
                content=content,
                listener=listener,
            )
        remember_proofs(session, listener, job, found, identity)
        findings += found
    for one in findings:
        if one.hint and not one.valid:
            out.note(f"{one.id or 'all'} at {one.destination}: {one.hint}")
    if out.as_json:
        out.results(map(mapping, findings))
    else:
        out.rows(_HEAD, Rows(map(_row, findings)))
    return 0 if verify.worst(findings) else 1


def mapping(one: verify.Finding) -> dict[str, Any]:
    """One finding, as --json prints it and verify_archive returns it."""
    told = dict(one._asdict(), sources=dict(one.sources))
    del told["unreadable"]  # the state says it, and the problem why
    return told


def _row(one: verify.Finding) -> list[str]:
    return [
        one.id,
        one.destination,
        one.state,
        _age(one.age_s),
        ", ".join(one.sources),
        one.problem,
    ]


def remember_proofs(
    session: Session,
    listener: Listener,
    job: Job,
    found: Sequence[verify.Finding],
    key: bytes | None,
) -> None:
    """What was proved, and whether with a private key. Of very many, how many, and some that are not valid."""
    outcomes: dict[str, Any] = {}
    if len(found) > _EACH:
        outcomes = dict(Counter(f"{one.state} at {one.destination}" for one in found))
    each = (one for one in found if len(found) <= _EACH or not one.valid)
    outcomes.update((f"{one.id} at {one.destination}", one.state) for one in islice(each, _EACH))
    code = 0 if verify.worst(found) else 1
    remember(
        session, listener, "verify", job.name, outcomes=outcomes, key=used(key), exit_code=code
    )


def _age(seconds: int | None) -> str:
    return "" if seconds is None else human_duration(timedelta(seconds=seconds))
