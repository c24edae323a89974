# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn one source into archives: its streams through the filters into the spool, where the lanes follow."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import DestinationError, LifeboatError, SourceAbsent, SourceError
from ...job import Job
from ...model import Archive, SourceRecord, Stream, Workspace
from ...naming import archive_name
from ...packages import beside
from ...pipeline import Pipeline
from ...ports import Dump, Source
from ...progress import Event, Listener
from ...spool import Spool
from .lanes import Lane

_REPORT_EVERY = 8 << 20


class Writer:
    """One source of one run. `expected`: {archive name: stored bytes} last time."""

    def __init__(
        self,
        job: Job,
        source: Source,
        spool: Path,
        work: Workspace,
        carrying: Sequence[Lane],
        expected: Mapping[str, int],
        listener: Listener,
    ) -> None:
        self._job, self._source, self._spool, self._work = job, source, spool, work
        self._lanes, self._expected, self._listener = carrying, expected, listener

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
            size_hint=self._expected.get(name, 0),
            cap_bytes=self._job.spool_cap_bytes,
            sampled=any(lane.samples_above is not None for lane in self._lanes),
        )
        with followed(spool, name, self._lanes):
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


@contextmanager
def followed(spool: Spool, name: str, carrying: Sequence[Lane]) -> Iterator[None]:
    """Write the whole archive `name` to its spool within: the lanes store what comes, and complete it only
    after the block has ended well. Its room is given back when the last of all has done with it."""
    holders = _Holders(spool, len(carrying) + 1)  # the lanes, and the writer
    for lane in carrying:
        lane.take(name, spool, holders.release)
    try:
        yield
        spool.commit()
    except BaseException as exc:
        spool.abort(str(exc) or type(exc).__name__)
        raise
    finally:
        holders.release()


class _Holders:
    """Count who has not done with a spool yet."""

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
