# SPDX-License-Identifier: GPL-3.0-or-later
"""Push copies that a destination misses, or holds corrupt, from any good copy that another one has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import FormatError, LifeboatError, UnsignedError, VerifyError
from ..job import Job
from ..operations.backup.lanes import Outcome
from ..operations.backup.replicate import Transfer, replicate
from ..operations.copies import catalog
from ..operations.standing.history import past
from ..operations.upkeep.mending import broken, donors, mend, sign_again, unsigned
from ..progress import Listener
from . import watch
from .output import Output
from .session import Session, now, remember

_DONE = ("intact", "archived", "stored")


def push(session: Session, asked: Any, out: Output) -> int:
    """Carry every good backup to the destinations that lack it, or whose copy proved bad; 3 when one still
    does. A job that cannot be asked does not keep the others waiting."""
    jobs = [session.job(asked.job)] if asked.job else list(session.configuration.jobs.values())
    listener = watch.listener(quiet=asked.quiet)
    told: list[dict[str, str]] = []
    for job in jobs:
        try:
            told += _push(session, job, listener, asked.missing, out)
        except LifeboatError as exc:
            if asked.job:
                raise
            told.append(_told(job, "", "", "lost", str(exc)))
    if out.as_json:
        out.results(told)
    else:
        out.lines(map(_line, told), "nothing is missing")
    return 0 if all(one["state"] in _DONE and not one["error"] for one in told) else 3


def _line(one: Mapping[str, str]) -> str:
    what = " ".join(word for word in (one["job"], one["id"], one["destination"]) if word)
    why = f", {one['error']}" if one["error"] else ""
    return f"{what}: " + ", ".join(filter(None, (one["state"], one["remark"]))) + why


def _push(
    session: Session, job: Job, listener: Listener, only_missing: bool, out: Output
) -> list[dict[str, str]]:
    with session.hold(job, "push", listener=listener):
        listed, lost = catalog.holdings(job, job.host)
        told = [_told(job, "", name, "lost", str(failure)) for name, failure in lost]
        unreachable = {name for name, _failure in lost}
        accepted = {one.get("id") for one in past(session.paths.history, job.name, "accept")}
        for holding in listed:
            if not only_missing and not holding.good:
                _tell_of_ruins(holding, out)
            said = holding.id in accepted
            for name in _missing(job, holding, unreachable):
                told.append(_one(session, job, holding, name, replicate, said, listener))
            for name in [] if only_missing else _broken(holding):
                told.append(_one(session, job, holding, name, mend, said, listener))
            for name in unsigned(holding):
                told.append(_one(session, job, holding, name, sign_again, said, listener))
        remember(session, listener, "push", job.name, outcomes=told)
    return told


def _tell_of_ruins(holding: catalog.Holding, out: Output) -> None:
    bad = [name for name, copy in holding.copies if copy.state == "corrupt"]
    if bad:
        out.note(
            f"{holding.id} is corrupt at {', '.join(bad)}, and good nowhere: it stays as it is"
        )


def _told(job: Job, id_: str, name: str, state: str, error: str) -> dict[str, str]:
    told = {"job": job.name, "id": id_, "destination": name, "state": state, "error": error}
    return dict(told, remark="")


def _missing(job: Job, holding: catalog.Holding, unreachable: set[str]) -> list[str]:
    """Destinations without this backup. One that pruned it does not miss it."""
    if not holding.good:
        return []
    known = {
        name
        for name, copy in holding.copies
        if copy.committed or copy.latest("pruned") is not None or broken(copy)
    }
    return [one.name for one in job.destinations if one.name not in known | unreachable]


def _broken(holding: catalog.Holding) -> list[str]:
    """Destinations where this backup proved bad, or lost its manifest, though another has it whole."""
    if not holding.good:
        return []
    return [name for name, copy in holding.copies if broken(copy)]


def _one(
    session: Session,
    job: Job,
    holding: catalog.Holding,
    name: str,
    carry: Callable[[Transfer], Outcome],
    accepted: bool,
    listener: Listener,
) -> dict[str, str]:
    told = _told(job, holding.id, name, "lost", "")
    spool = session.area(job, rescue=True).spool
    without = unsigned(holding) if carry is sign_again else ()
    for source in donors(holding.copies, without):
        from_, to = job.destination(source), job.destination(name)
        backup = (job.host, job.name, holding.id)
        try:
            outcome = carry(
                Transfer(from_, to, backup, spool, now, listener, job.signers, accepted)
            )
        except (UnsignedError, FormatError, VerifyError) as exc:  # another copy may be as it was
            told["error"] = told["error"] or str(exc)
        except LifeboatError as exc:
            return dict(told, error=str(exc))
        else:
            remark = ", ".join(outcome.remarks)
            return dict(told, state=outcome.state, error=outcome.error, remark=remark)
    return told
