# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up: read each source once, store it at every destination, commit with the manifest.

One pass: source -> pump -> filters -> spool, with uploads that follow the spool. Manifest last.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import revision, signing, trend
from ..errors import DestinationError, LifeboatError, SourceAbsent, SourceError, SpoolError
from ..files import free_bytes, make_private, remove, workspace
from ..job import Job
from ..manifest import encode
from ..model import Archive, Manifest, Mark, SourceRecord, Stream, Workspace
from ..naming import archive_name, archives_prefix, backup_id, catalog_prefix, check_tag
from ..packages import beside
from ..pipeline import Pipeline
from ..ports import Dump, Source
from ..progress import Event, Listener, silent
from ..spool import Spool
from ..stopped import notes
from ..version import VERSION
from .lanes import Lane, Outcome, lanes

_REPORT_EVERY = 8 << 20


@dataclass(frozen=True)
class Request:
    """What this run is for. `suffix`: four random hexadecimal digits of the id."""

    type: str
    suffix: str
    sources: tuple[str, ...] = ()  # empty = all
    tags: tuple[str, ...] = ()
    pin: bool = False
    history: Sequence[Mapping[str, int]] = ()  # {source: plain bytes} of good runs, oldest first
    expected: Mapping[str, int] = field(
        default_factory=dict
    )  # {archive name: stored bytes} last time


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
    _sweep_uploads(job, clock(), listener)  # not `begun`: a run may be killed within its second
    code = _code(job, listener)
    carrying = lanes(job.destinations, job.host, job.name, id_, clock, listener)
    for lane in carrying:
        lane.prepare()
    records: list[SourceRecord] = []
    archives: list[Archive] = []
    ended = False
    try:
        if all(lane.lost for lane in carrying):  # before anything is dumped
            ended = True
            return Report(id_, None, _give_up(carrying), ())
        with workspace(spool, make_private(runtime)) as work:
            for source in sources:
                writer = _Writer(job, source, spool, work, carrying, request, listener)
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


def plain_sizes(manifest: Manifest) -> dict[str, int]:
    """{source: plain bytes}, what the trend is judged by."""
    sizes: dict[str, int] = {}
    for archive in manifest.archives:
        if archive.part not in ("inventory", "facts"):
            sizes[archive.source] = sizes.get(archive.source, 0) + archive.plain_bytes
    return sizes


class _Writer:
    """Turn one source into archives."""

    def __init__(
        self,
        job: Job,
        source: Source,
        spool: Path,
        work: Workspace,
        carrying: Sequence[Lane],
        request: Request,
        listener: Listener,
    ) -> None:
        self._job, self._source, self._spool, self._work = job, source, spool, work
        self._lanes, self._request, self._listener = carrying, request, listener

    def run(self) -> tuple[SourceRecord, list[Archive]]:
        """The source's record and archives; a source that fails leaves none, and others go on."""
        source = self._source
        record = SourceRecord(source.name, source.kind, "failed")
        try:
            try:
                return self._dump(record)
            except LifeboatError as exc:
                if not self._may_go_well(exc):
                    raise
                problem = f"{exc}; begun anew, once"
                self._listener(Event("dump", source.name, problem=problem))
                return self._dump(record)
        except SourceAbsent as exc:
            status = "absent" if source.optional else "failed"
            self._listener(Event("dump", source.name, ended=True, problem=str(exc)))
            return replace(record, status=status, error=_one_line(exc)), []
        except LifeboatError as exc:
            return self._failed(record, exc)
        except OSError as exc:  # most often a full disk: the other sources go on
            return self._failed(record, _refused(source.name, exc))

    def _failed(
        self, record: SourceRecord, failure: LifeboatError
    ) -> tuple[SourceRecord, list[Archive]]:
        self._listener(Event("dump", record.name, ended=True, problem="\n".join(failure.lines())))
        return replace(record, error=_one_line(failure)), []

    def _dump(self, record: SourceRecord) -> tuple[SourceRecord, list[Archive]]:
        source = self._source
        with source.open(self._work) as dump:
            packages = self._packages(dump.facts)
            archives = [self._archive(stream) for stream in dump.streams()]
            record = replace(record, taken_at=dump.taken_at, facts=dict(dump.facts))
            record, archives = self._count(dump, record, archives)
        if not archives:
            raise SourceError(f"source {source.name} gave no data")
        if found := packages():
            record = replace(record, facts={**record.facts, "packages": found})
        return replace(record, status="good"), archives

    def _packages(self, facts: Mapping[str, Any]) -> Callable[[], dict[str, str]]:
        """Those that a bare host needs to take it, asked for beside the dump: nobody waits for them."""
        belongings = getattr(self._source, "belongings", None)
        return beside(belongings(facts) if belongings else ())

    def _may_go_well(self, failure: LifeboatError) -> bool:
        """Whether the source says that the same dump, begun anew, may not fail (`Source.again`)."""
        again = getattr(self._source, "again", None)
        return again is not None and bool(again(failure))

    def _count(
        self, dump: Dump, record: SourceRecord, archives: list[Archive]
    ) -> tuple[SourceRecord, list[Archive]]:
        private = dict(getattr(dump, "private", {}))
        if private:  # for a restore, and for no other reader of the destination
            path = self._work.bulk / f"{record.name}.facts.json"
            path.write_text(json.dumps(private, sort_keys=True), encoding="utf-8")
            facts = Stream("facts", "json", path, lambda _head, _tail, _size: "")
            archives = [*archives, self._archive(facts)]
        inventory = dump.inventory()
        if inventory is None:
            return record, archives
        stream = Stream("inventory", "jsonl", inventory.path, lambda _head, _tail, _size: "")
        counted = replace(record, totals=inventory.totals, inventory_digest=inventory.digest)
        return counted, archives + [self._archive(stream)]

    def _archive(self, stream: Stream) -> Archive:
        filters = self._job.filters
        suffixes = [one.suffix for one in filters]
        name = archive_name(self._source.name, stream.part, stream.extension, suffixes)
        spool = Spool(
            self._spool / name,
            size_hint=self._request.expected.get(name, 0),
            cap_bytes=self._job.spool_cap_bytes,
            sampled=any(lane.samples_above is not None for lane in self._lanes),
        )
        holders = Holders(spool, len(self._lanes) + 1)  # the lanes, and this writer
        for lane in self._lanes:
            lane.take(name, spool, holders.release)
        try:
            encoders = [one.encode() for one in filters]
            with Pipeline(
                stream.feed,
                encoders,
                tap=stream.tap,
                surplus=stream.surplus,
                stall_timeout_s=self._job.stall_timeout_s,
            ) as flow:
                self._pass(name, flow, spool)
                flow.check()
            warnings = _judge(stream, flow, f"{stream.part} of source {self._source.name}")
            spool.commit()
        except BaseException as exc:
            spool.abort(str(exc) or type(exc).__name__)
            raise
        finally:
            holders.release()
        self._listener(Event("dump", name, flow.plain_bytes, flow.plain_bytes, ended=True))
        return Archive(
            name=name,
            source=self._source.name,
            part=stream.part,
            format=stream.extension,
            filters=tuple(one.record() for one in filters),
            size_bytes=spool.size_bytes,
            plain_bytes=flow.plain_bytes,
            sha256=spool.sha256,
            warnings=warnings,
            by_hand=stream.by_hand,
        )

    def _pass(self, name: str, flow: Pipeline, spool: Spool) -> None:
        told = 0
        self._listener(Event("dump", name))
        for block in flow.blocks():
            if all(lane.lost for lane in self._lanes):
                raise DestinationError(
                    "every destination is lost, so there is nowhere to store this"
                )
            spool.write(block)
            if flow.plain_bytes - told >= _REPORT_EVERY:
                told = flow.plain_bytes
                self._listener(Event("dump", name, told))


def _refused(source: str, exc: OSError) -> SourceError:
    place = f"{exc.filename}: " if exc.filename else ""
    hint = "make room, or set spool_path to a larger disk" if exc.errno == errno.ENOSPC else ""
    return SourceError(f"source {source}: {place}{exc.strerror or exc}", hint=hint)


def _one_line(exc: LifeboatError) -> str:
    """What failed and what to do, for the manifest and the report."""
    return f"{exc} ({exc.hint})" if exc.hint else str(exc)


class Holders:
    """Give a spool's disk space back when the last lane is done with it."""

    def __init__(self, spool: Spool, count: int) -> None:
        self._spool, self._left, self._guard = spool, count, threading.Lock()

    def release(self) -> None:
        with self._guard:
            self._left -= 1
            done = self._left == 0
        if done:
            self._spool.remove()


def _judge(stream: Stream, flow: Pipeline, what: str) -> tuple[str, ...]:
    """Warnings of a stream whose programs all ended well; raises SourceError if it is not whole."""
    if flow.plain_bytes == 0 and stream.part != "inventory":
        raise SourceError(f"{what} is empty: the program ended well and wrote nothing")
    complaint = stream.complaint(flow.head, flow.tail, flow.plain_bytes)
    if complaint:
        raise SourceError(f"{what} is not whole: {complaint}", detail=flow.feed_said)
    return stream.finish(flow.feed_status, flow.feed_said) if stream.finish else ()


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
            "the spool %s has %d bytes free, the last backup needed %d" % (spool, free, needed),
            hint="make room there, or set spool_path to a larger disk",
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
