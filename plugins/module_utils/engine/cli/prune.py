# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune the jobs of this host, or as their pruner those of others: the plan, then exactly that.

Also used by modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from ..errors import LifeboatError, PruneRefused, UsageError
from ..files import lock
from ..job import Job
from ..operations.copies import twins
from ..operations.restore import settle
from ..operations.restore.journal import SWAPPED, journals
from ..operations.upkeep import drill_keeping, prune
from ..operations.upkeep.prune import Planned
from ..operations.upkeep.pruning import Pruned, name_of
from ..policy import Keep
from ..progress import Listener, silent
from ..retention import two_hosts
from ..units import human_duration
from . import watch
from .output import Output
from .session import Session, now, remember
from .strangers import known

_OUTDATED = f"older than {human_duration(drill_keeping.KEPT_FOR)}, and newer ones are there"
_TOLD = 5  # backups that are not sound, in notes; the plan lists all


@dataclass(frozen=True)
class Duty:
    """One job whose backups this process may delete, and the host that makes them."""

    host: str
    job: Job
    own: bool  # a job of this host; else this host is its pruner

    @property
    def name(self) -> str:
        return self.job.name if self.own else f"{self.host}/{self.job.name}"


@dataclass
class _Ended:
    """How it went; the first failure wins."""

    failed: int = 0
    refused: int = 0


def prune_(session: Session, asked: Any, out: Output) -> int:
    """The plan of one job or of many; with --apply, exactly that plan."""
    ended = _Ended()
    told = _told(session, asked, out, duties(session, asked), ended)
    if out.as_json:
        out.results(told)
    else:
        out.lines(chain.from_iterable(told), "nothing to prune")
    return ended.failed or (PruneRefused.exit_code if ended.refused else 0)


def _told(
    session: Session, asked: Any, out: Output, chosen: Sequence[Duty], ended: _Ended
) -> Iterator[Any]:
    """Of each job and destination what is told of it, a mapping or lines. One at a time, and none is held
    here (so does map): there may be 100,000 backups at each."""
    listener = watch.listener(quiet=asked.quiet)
    for one in chosen:
        prefix = f"{one.name} at " if len(chosen) > 1 or not one.own else ""
        try:
            if asked.apply:
                with hold(session, one, listener):
                    done = carry_out(session, one, out, listener, limit=not asked.no_limit)
                yield from (_pruned(here, one, prefix, out.as_json, ended) for here in done)
            else:
                tell = partial(_planned, duty=one, prefix=prefix, as_json=out.as_json, ended=ended)
                yield from map(tell, plan(session, one))
        except LifeboatError as exc:
            if len(chosen) == 1:
                raise
            out.note(f"{one.name}: {exc}" + (f" ({exc.hint})" if exc.hint else ""))
            ended.failed = ended.failed or exc.exit_code


def _planned(here: Planned, duty: Duty, prefix: str, as_json: bool, ended: _Ended) -> Any:
    ended.failed = ended.failed or int(bool(here.failure))
    if as_json:
        return dict(planned_mapping(here, duty.job), job=duty.name)
    return planned_lines(here, duty, prefix)


def _pruned(here: Pruned, duty: Duty, prefix: str, as_json: bool, ended: _Ended) -> Any:
    ended.failed = ended.failed or int(bool(here.failure))
    ended.refused = ended.refused or int(bool(here.excess or here.stranger))
    if as_json:
        return dict(pruned_mapping(here), job=duty.name)
    return [prefix + line for line in pruned_lines(here)]


def duties(session: Session, asked: Any) -> list[Duty]:
    """The jobs that the arguments name. Raises UsageError for what is not this host's to prune."""
    configuration = session.configuration
    if asked.all_hosts and (asked.from_host or asked.job):
        raise UsageError("--all-hosts names every host and job already", hint="leave one out")
    if asked.all_hosts:
        return [Duty(host, job, False) for host, jobs in sorted(configuration.prunes.items())
                for job in jobs.values()]  # fmt: skip
    if asked.from_host:
        jobs = configuration.prunes.get(asked.from_host)
        if jobs is None:
            raise UsageError(
                f"this host does not prune for {asked.from_host!r}",
                hint="it does for: " + (", ".join(sorted(configuration.prunes)) or "no other host"),
            )
        if asked.job and asked.job not in jobs:
            raise UsageError(
                f"nothing of job {asked.job!r} of {asked.from_host} is pruned here",
                hint="these jobs are: " + ", ".join(sorted(jobs)),
            )
        return [Duty(asked.from_host, job, False) for name, job in sorted(jobs.items())
                if asked.job in (None, name)]  # fmt: skip
    own = [session.job(asked.job)] if asked.job else list(configuration.jobs.values())
    return [Duty(job.host, job, True) for job in own]


@contextmanager
def hold(session: Session, duty: Duty, listener: Listener = silent) -> Iterator[None]:
    """The lock of a job of this host; of another's, one that keeps two prunes here apart."""
    if duty.own:
        with session.hold(duty.job, "prune", listener=listener):
            yield
        return
    with lock(session.paths.job_lock(f"prune.{duty.host}.{duty.job.name}"), "prune", False):
        yield


def plan(session: Session, duty: Duty) -> Iterator[Planned]:
    """The plan at every destination, also where this host does not carry it out; each when it is asked for."""
    why_not = held(session, duty.job) if duty.own else ""
    same = twins.complaint(duty.job.destinations)
    why_not = why_not or (f"{same}: what goes at one would go at both" if same else "")
    ours = known(session.paths, duty.job.name) if duty.own else ()
    return prune.plan(duty.job, now(), held=why_not, host=duty.host, known=ours)


def carry_out(
    session: Session, duty: Duty, out: Output, listener: Listener, limit: bool = True
) -> list[Pruned]:
    """Make the plan and carry it out where this host prunes, under the job's lock; tell and remember."""
    job = duty.job

    def noted(planned: Planned) -> Planned:
        for id_, why in planned.unsound[:_TOLD]:
            out.note(f"{planned.destination}: {id_} takes no place: {why}")
        if len(planned.unsound) > _TOLD:
            out.note(f"{planned.destination}: {len(planned.unsound)} such: see the plan")
        for id_, why in planned.misdated[:_TOLD]:
            out.note(f"{planned.destination}: {id_}: {why}: it does not count, look who wrote it")
        return planned

    ours = filter(lambda one: one.destination in job.prunes, plan(session, duty))
    done = prune.apply(job, map(noted, ours), now, host=duty.host, limit=limit, listener=listener)
    for one in done:
        for id_, why in one.retained:
            out.note(f"{one.destination}: retained {id_}: {why}")
        if one.failure:
            out.note(f"{one.destination}: {one.failure}")
        if one.excess:
            out.note(f"{one.destination}: nothing was deleted: {one.excess}; {_anyway(duty)}")
        if one.stranger:
            out.note(f"{one.destination}: nothing was deleted: {refusal(one.stranger)}")
    for name in sorted({one.name for one in job.destinations} - set(job.prunes)):
        out.note(f"{name}: append only, {_by_whom(job)}")
    remember_prune(session, duty, done, listener)
    return done


def remember_prune(
    session: Session, duty: Duty, done: Sequence[Pruned], listener: Listener = silent
) -> None:
    """One line of history: `status` of a pruner reads off it when it pruned last."""
    pruned = {one.destination: one.pruned for one in done}
    problems = {
        one.destination: one.failure or one.excess or (one.stranger and refusal(one.stranger))
        for one in done
    }
    failures = {name: problem for name, problem in problems.items() if problem}
    remember(session, listener, "prune", duty.name, pruned=pruned, failures=failures)


def held(session: Session, job: Job) -> str:
    """A restore that is not confirmed holds retention: what it came from must stay."""
    waiting = [one for one in journals(session.paths.journals, job.name) if one.step == SWAPPED]
    recent = [one for one in waiting if now() - one.begun_at < settle.KEPT_FOR]
    if recent:
        return f"the restore of {recent[-1].backup_id} is neither confirmed nor undone"
    return ""


def planned_mapping(one: Planned, job: Job) -> dict[str, Any]:
    """A plan for one destination, as --json prints it and retention_prune returns it."""
    made = one.plan
    return {
        "destination": one.destination,
        "failure": one.failure,
        "policy": policy(job, one.destination),
        "held": made.held if made else "",
        "excess": one.excess,
        "kept": [{"id": copy.id, "why": list(why)} for copy, why in made.kept] if made else [],
        "expired": [{"id": copy.id, "why": why} for copy, why in made.expired] if made else [],
        "deferred": [{"id": copy.id, "why": why} for copy, why in made.deferred] if made else [],
        "sweeps": [{"id": sweep.id, "why": sweep.why} for sweep in one.sweeps],
        "reports": [{"id": name_of(key), "why": _OUTDATED} for key in one.reports],
        "misdated": [{"id": id_, "why": why} for id_, why in one.misdated],
    }


def pruned_mapping(one: Pruned) -> dict[str, Any]:
    retained = [{"id": id_, "why": why} for id_, why in one.retained]
    return dict(vars(one), retained=retained)


def planned_lines(one: Planned, duty: Duty, prefix: str) -> list[str]:
    made = one.plan
    lines = [f"{prefix}{one.destination}:"]
    lines += [f"  policy  {rule}" for rule in policy(duty.job, one.destination)]
    if one.failure:
        lines.append(f"  could not be asked: {one.failure}")
    if made and made.held:
        told = refusal(one.stranger) if one.stranger else made.held
        lines.append(f"  nothing is deleted: {told}")
    if one.excess:
        lines.append(f"  nothing is deleted: {one.excess}; {_anyway(duty)}")
    if made:
        lines += [f"  keep    {copy.id}  {', '.join(why)}" for copy, why in made.kept]
        lines += [f"  wait    {copy.id}  {why}" for copy, why in made.deferred]
        lines += [f"  delete  {copy.id}  {why}" for copy, why in made.expired]
    lines += [f"  sweep   {left.id}  {left.why}" for left in one.sweeps]
    if one.reports:
        lines.append(f"  forget  {len(one.reports)} reports of drills: {_OUTDATED}")
    lines += [f"  ignored {id_}  {why}" for id_, why in one.misdated]
    return lines


def pruned_lines(one: Pruned) -> list[str]:
    lines = [f"{one.destination}: pruned {id_}" for id_ in one.pruned]
    lines += [f"{one.destination}: removed archives of {id_}" for id_ in one.swept]
    lines += [f"{one.destination}: removed the unfinished {key}" for key in one.uploads]
    if one.reports:
        lines.append(f"{one.destination}: removed {len(one.reports)} reports of drills")
    return lines


def policy(job: Job, destination: str) -> list[str]:
    """What is kept there, in words: one line for the job, one for each type with rules of its own."""
    own = [(one.type, one.keep) for one in job.schedules if one.keep is not None]
    lines = [_rules(job.keep_for(destination))]
    return lines + [f"{type_}: {_rules(keep)}" for type_, keep in own]


def _rules(keep: Keep) -> str:
    said = []
    for name in [one.name for one in fields(Keep) if one.name not in ("minimum", "default_of")]:
        value = getattr(keep, name)
        if value is not None:
            text = human_duration(value) if isinstance(value, timedelta) else str(value)
            said.append(f"{name} {text}")
    if keep.unlimited:
        said.insert(0, "all")
    told = ", ".join([*said, f"minimum {keep.minimum}"])
    if keep.default_of:
        told += f" (what {keep.default_of} keeps, for no rule is given)"
    return told


def refused(planned: Sequence[Planned], limit: bool) -> PruneRefused | None:
    """Why a plan is not carried out somewhere, for a module; None = it is, or there it failed."""
    told = [f"{one.destination}: {refusal(one.stranger)}" for one in planned if one.stranger]
    if told:
        return PruneRefused("; ".join(told))
    told = [f"{one.destination}: {one.excess}" for one in planned if one.excess and limit]
    hint = "if that is right, set limit: false"
    return PruneRefused("; ".join(told), hint=hint) if told else None


def refusal(stranger: str) -> str:
    """Why nothing goes while two hosts have one name, and the way on."""
    return (
        f"{two_hosts(stranger)}; give one of them another (lifeboat_host), "
        f"then `lifeboat accept {stranger}` on the one that keeps it"
    )


def _anyway(duty: Duty) -> str:
    words = duty.job.name if duty.own else f"--from-host {duty.host} {duty.job.name}"
    return f"if that is right: `lifeboat prune {words} --apply --no-limit`"


def _by_whom(job: Job) -> str:
    if job.pruner:
        return f"pruned by {job.pruner}"
    return "and nothing prunes it: name a pruner host in lifeboat_pruner"
