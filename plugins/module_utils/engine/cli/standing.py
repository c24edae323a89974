# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell how jobs stand: each destination with what is proved there, each objective, each open restore."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ..job import Job
from ..operations.copies.claims import CLAIMS
from ..operations.drills import record as drill_record
from ..operations.drills import report as drill_report
from ..operations.drills import standing as drill_standing
from ..operations.standing import history, repository, status
from ..operations.standing.status import Standing
from ..operations.watching import objectives
from ..units import human_duration, parse_instant
from .listing import restores
from .output import Output, table
from .session import Session, now

_PRUNE_STALE = timedelta(days=3)  # its timer runs daily
_HEAD = ["JOB", "AT", "STATE", "COPIES", "INTACT", "READABLE", "RESTORABLE", "WHY"]


def status_(session: Session, asked: Any, out: Output) -> int:
    """good, warning or critical for each job's destinations, objectives and open restores."""
    jobs = [session.job(asked.job)] if asked.job else list(session.configuration.jobs.values())
    moment = now()
    found = [one for job in jobs for one in _asked(session, job, moment)]
    if not asked.job:
        found += of_pruner(session, moment)
    rows = [_row(one, moment) for one in found]
    out.result([vars(one) for one in found], table(_HEAD, rows))
    return status.worst(found)


def _asked(session: Session, job: Job, moment: datetime) -> list[Standing]:
    there = status.asked(job)
    return of_job(session, job, there, moment, drill_record.newest(job, there, moment))


def of_job(
    session: Session,
    job: Job,
    there: status.Told,
    moment: datetime,
    elsewhere: Mapping[str, Any] | None = None,
) -> list[Standing]:
    """All that is to be said of one job, whose destinations told what is `there`, and of its newest drill
    `elsewhere`: drill_record.newest."""
    drills = drill_report.drills(session.paths.history, job.name)
    if job.only_drilled:
        return drill_standing.standings(job, status.oldest(there), drills, moment)
    ours = drill_record.known(session.paths.history, job, elsewhere)
    measured = objectives.measure(job, status.every(there), ours, moment)
    return [
        *restores(session, job),
        *status.standings(job, there, moment),
        *objectives.standings(job.name, measured, moment),
        *repository.standings(job),
        *drill_standing.standings(job, status.oldest(there), drills, moment),
        *drill_standing.elsewhere(job, ours[-1] if ours else None, moment),
    ]


def of_pruner(session: Session, moment: datetime) -> list[Standing]:
    """On a pruner host, when it pruned each job of the others last."""
    told = []
    for host, jobs in sorted(session.configuration.prunes.items()):
        for name in jobs:
            done = [
                parse_instant(str(one["at"]))
                for one in history.past(session.paths.history, f"{host}/{name}", "prune")
                if not one.get("failures")
            ]
            age = moment - done[-1] if done else None
            why = f"pruned {human_duration(age)} ago" if age is not None else "never pruned"
            late = age is None or age > _PRUNE_STALE
            state = status.WARNING if late else status.GOOD
            by_hand = f"lifeboat prune --from-host {host} {name}" if late else ""
            why += f"; `{by_hand}` shows what is to do" if late else ""
            told.append(Standing(f"{host}/{name}", "", state, why, next=by_hand))
    return told


def _row(one: Standing, moment: datetime) -> list[str]:
    place = one.destination or one.source or "-"
    counted = str(one.copies) if one.destination else ""
    return [one.job, place, one.state, counted, *_ages(one, moment), one.reason]


def _ages(one: Standing, moment: datetime) -> list[str]:
    """How long ago each claim was proved last."""
    told = []
    for claim in CLAIMS:
        proof = one.claims.get(claim)
        if proof is None:
            told.append("never" if one.claims else "")
            continue
        age = max(moment - parse_instant(proof["at"]), timedelta(0))
        told.append(human_duration(age).split()[0])
    return told
