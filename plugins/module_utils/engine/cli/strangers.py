# SPDX-License-Identifier: GPL-3.0-or-later
"""Notice that two hosts write under one name: a clone of a machine, or a name that was given twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import LifeboatError
from ..job import Job
from ..operations.backup.backup import Report
from ..operations.copies.catalog import copies_at


def told_of_strangers(job: Job, past: Sequence[Mapping[str, Any]], report: Report) -> Report:
    """The report, with a remark where a backup of this name and job is there that is younger than the last
    one in this host's own history, and is not in it. `past`: entries of that history, oldest first.

    Nothing is held back: a host that was built anew has no history, and must go on.
    """
    known = {str(entry.get("id", "")) for entry in past}
    if not any(known):
        return report
    outcomes = []
    for outcome in report.outcomes:
        strangers = _strangers(job, outcome.destination, known, report.id) if outcome.done else []
        if strangers:
            told = f"{strangers[0]} was not made here: do two hosts have the name {job.host}?"
            outcome = replace(outcome, remarks=(*outcome.remarks, told))
        outcomes.append(outcome)
    return replace(report, outcomes=tuple(outcomes))


def _strangers(job: Job, destination: str, known: set[str], ours: str) -> list[str]:
    try:
        copies = copies_at(job.destination(destination), job.host, job.name)
    except LifeboatError:
        return []  # a remark is not worth failing for
    since = _second(max(known))
    return [
        one.id
        for one in copies
        if one.committed and _second(one.id) >= since and one.id not in {*known, ours}
    ]


def _second(id_: str) -> str:
    """In which a backup began: what follows in its id tells not which of two was first."""
    return id_.partition("-")[0]
