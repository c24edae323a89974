# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up: read each source once, store it at every destination, commit with the manifest.

One pass: source -> pump -> filters -> spool, with uploads that follow the spool. Manifest last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ... import revision, signing, trend
from ...errors import LifeboatError, SpoolError
from ...files import free_bytes, make_private, remove, workspace
from ...job import Job
from ...manifest import encode
from ...model import Archive, Manifest, SourceRecord
from ...naming import archives_prefix, backup_id, catalog_prefix, check_tag
from ...progress import Event, Listener, silent
from ...stopped import notes
from ...stored import Mark
from ...units import human_size
from ...version import VERSION
from ..copies.twins import twins
from .archiving import Writer
from .lanes import Lane, Outcome, lanes

_COUNTED = ("rows", "keys", "files", "hardlinks", "symlinks", "objects", "documents")


@dataclass(frozen=True)
class Request:
    """What this run is for. `suffix`: four random hexadecimal digits of the id."""

    type: str
    suffix: str
    sources: tuple[str, ...] = ()  # empty = all
    tags: tuple[str, ...] = ()
    pin: bool = False
    history: Sequence[Mapping[str, int]] = ()  # {source: plain bytes} of good runs, oldest first
    counted: Sequence[Mapping[str, int]] = ()  # {source: rows, keys, files or objects} of these
    expected: Mapping[str, int] = field(
        default_factory=dict
    )  # {archive name: stored bytes} last time
    begun: Callable[[str], None] = lambda _id: None  # told the id before anything is stored


@dataclass(frozen=True)
class Report:
    """What a run did. `manifest` is None when there is nothing worth committing."""

    id: str
    manifest: Manifest | None
    outcomes: tuple[Outcome, ...]
    sources: tuple[SourceRecord, ...]
    odd: tuple[str, ...] = ()  # why it is suspect

    @property
    def exit_code(self) -> int:
        """0 done; 1 nothing is saved; 4 a copy read back wrong; 3 a source or destination was lost."""
        states = [outcome.state for outcome in self.outcomes]
        there = ("intact", "stored", "archived")
        if self.manifest is None or not any(state in there for state in states):
            return 4 if "bad" in states else 1
        if "bad" in states:
            return 4
        if "lost" in states or not self.manifest.complete:
            return 3
        return 0 if all(outcome.done for outcome in self.outcomes) else 4


def run(
    job: Job,
    request: Request,
    spool: Path,
    runtime: Path,
    clock: Callable[[], datetime],
    listener: Listener = silent,
) -> Report:
    """One backup of `job`. The caller holds the job's lock. `spool` is this job's own directory: what
    an earlier, killed run left there is removed. `runtime` is for secrets, in memory where it can be.
    """
    for tag in request.tags:
        check_tag(tag)
    for one in job.filters:
        one.check()  # an expired key is found now, and not after an hour of dumping
    if job.signing_key is not None:
        signing.prove(job.signing_key, job.signers)
    empty(spool)
    sources = [job.source(name) for name in request.sources] or list(job.sources)
    _check_room(spool, request)
    begun = clock().astimezone(timezone.utc).replace(microsecond=0)
    id_ = backup_id(begun, request.type, request.suffix)
    request.begun(id_)
    _sweep_uploads(job, clock(), listener)  # not `begun`: a run may be killed within its second
    code = _code(job, listener)
    carrying = lanes(job.destinations, job.host, job.name, id_, clock, listener)
    same = twins(job.destinations)
    for index, lane in enumerate(carrying):
        lane.prepare(same.get(index, ""))
    records: list[SourceRecord] = []
    archives: list[Archive] = []
    ended = False
    try:
        if all(lane.lost for lane in carrying):  # before anything is dumped
            ended = True
            return Report(id_, None, _give_up(carrying), ())
        with workspace(spool, make_private(runtime)) as work:
            for source in sources:
                writer = Writer(job, source, spool, work, carrying, request.expected, listener)
                record, made = writer.run()
                records.append(record)
                archives += made
        manifest = Manifest(
            id=id_,
            host=job.host,
            job=job.name,
            type=request.type,
            environment=job.environment,
            taken_at=begun,
            finished_at=clock().astimezone(timezone.utc).replace(microsecond=0),
            tool=f"lifeboat {VERSION}",
            complete=all(record.status != "failed" for record in records),
            sources=tuple(records),
            archives=tuple(archives),
            tags=request.tags,
            repository=code,
        )
        if not archives:
            ended = True
            return Report(id_, None, _give_up(carrying), tuple(records))
        absent = [record.name for record in records if record.status == "absent"]
        odd = trend.oddities(request.history, plain_sizes(manifest), absent)
        odd += trend.emptied(request.counted, counts(records))
        whole = {one.name for one in records if one.status != "failed"} >= {
            source.name for source in job.sources
        }
        marks = _marks(manifest, request, bool(odd), whole)
        document, signature = encode(manifest), None
        if job.signing_key is not None:
            signature = signing.sign(document, job.signing_key)
        for lane in carrying:
            lane.commit(manifest, marks, document, signature)
        ended = True
        outcomes = tuple(lane.outcome() for lane in carrying)
        return Report(id_, manifest, outcomes, tuple(records), tuple(odd))
    finally:
        if not ended:
            _give_up(carrying)
        empty(spool)


def _code(job: Job, listener: Listener) -> dict[str, Any]:
    """Which commit of the application this backup belongs to; what is wrong with it fails no run."""
    if job.repository is None:
        return {}
    found = revision.look(job.repository)
    wrong = revision.complaint(found)
    if wrong:
        listener(Event("repository", job.name, problem=wrong))
    return found


def counts(records: Sequence[SourceRecord]) -> dict[str, int]:
    """{source: rows, keys, files and objects that it held}, of those that were counted to the end."""
    return {
        one.name: sum(one.totals.get(what, 0) for what in _COUNTED)
        for one in records
        if one.status == "good" and one.inventory_digest and not one.totals.get("uncounted")
    }


def plain_sizes(manifest: Manifest) -> dict[str, int]:
    """{source: plain bytes}, what the trend is judged by."""
    sizes: dict[str, int] = {}
    for archive in manifest.archives:
        if archive.part not in ("inventory", "facts"):
            sizes[archive.source] = sizes.get(archive.source, 0) + archive.plain_bytes
    return sizes


def _marks(manifest: Manifest, request: Request, suspect: bool, whole: bool) -> list[Mark]:
    at = manifest.finished_at
    marks = [Mark("tag", at, tag) for tag in request.tags]
    if request.pin:
        marks.append(Mark("pin", at))
    if not manifest.complete:
        marks.append(Mark("partial", at))
    if not whole:
        marks.append(Mark("subset", at))
    if suspect:
        marks.append(Mark("suspect", at))
    return marks


def _give_up(carrying: Sequence[Lane]) -> tuple[Outcome, ...]:
    """End the lanes without a commit; the outcomes of those that failed by themselves."""
    for lane in carrying:
        lane.give_up()
    return tuple(outcome for outcome in [lane.outcome() for lane in carrying] if outcome.error)


def empty(spool: Path) -> None:
    """Remove whatever lies in a job's spool; only under the job's lock."""
    make_private(spool)
    owed = notes(spool)
    for left in spool.iterdir():
        if left not in owed:  # containers to be started again: `resume` is done with them first
            remove(left)


def _check_room(spool: Path, request: Request) -> None:
    """Refuse before the dump rather than in its middle, when the last run tells what it will take."""
    needed = int(1.2 * sum(request.expected.values()))
    free = free_bytes(spool)
    if needed > free:
        raise SpoolError(
            "the spool %s has %s free, and the next backup takes about %s"
            % (spool, human_size(free), human_size(needed)),
            hint="make room there, or set lifeboat_spool_path to a larger disk",
        )


def _sweep_uploads(job: Job, before: datetime, listener: Listener) -> None:
    """Take away unfinished uploads of a killed run: under the job's lock nobody else has any."""
    prefixes = (archives_prefix(job.host, job.name), catalog_prefix(job.host, job.name))
    for destination in job.destinations:
        try:
            for what in (key for one in prefixes for key in destination.sweep(one, before)):
                listener(Event("clean", what, ended=True))
        except LifeboatError as exc:
            listener(Event("clean", destination.name, problem=str(exc)))
