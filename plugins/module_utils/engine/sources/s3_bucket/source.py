# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect the objects of an S3 bucket, with their properties and tags, and earlier versions on request."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from ...errors import ConfigError, SourceAbsent, VerifyError
from ...inventory import InventoryWriter
from ...model import Inventory, Needs, Option, Secret, SourceRecord, Swap, Target, Workspace
from ...placement import HERE, Placement
from ...ports import Plain
from ...s3_client import Connection, unusable
from .. import in_place
from . import load as s3_load
from . import tar as s3_tar
from .dump import PART, BucketDump
from .objects import Objects


class S3Bucket:
    """All objects of `bucket` below `prefix`. `credential` reads; `restore_credential`, or the same, writes.

    versions: "all" takes earlier ones and deletions too. tags: false where a server has none.
    """

    kind = "s3_bucket"
    options = (
        Option("bucket", required=True),
        Option("prefix", default=""),
        Option("region"),
        Option("endpoint"),
        Option("credential", "secret"),
        Option("restore_credential", "secret"),
        Option("versions", default="current", choices=("current", "all")),
        Option("tags", "boolean", default=True),
        Option("path_style", "boolean"),
        Option("checksums", default="auto", choices=("auto", "when_supported", "when_required")),
        Option("ca_bundle"),
        Option("max_concurrency", "integer", default=8),
        Option("connect_timeout", "duration", default=timedelta(seconds=10)),
        Option("read_timeout", "duration", default=timedelta(seconds=60)),
    )

    def __init__(
        self,
        *,
        name: str,
        bucket: str,
        prefix: str = "",
        region: str | None = None,
        endpoint: str | None = None,
        credential: Secret | None = None,
        restore_credential: Secret | None = None,
        versions: str = "current",
        tags: bool = True,
        path_style: bool | None = None,
        checksums: str = "auto",
        ca_bundle: str | None = None,
        max_concurrency: int = 8,
        connect_timeout: timedelta = timedelta(seconds=10),
        read_timeout: timedelta = timedelta(seconds=60),
        placement: Placement = HERE,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        wrong = ""
        if not placement.local:
            wrong = "placement: a bucket is reached from this host; give its endpoint"
        elif not bucket or "/" in bucket:
            wrong = f"bucket: {bucket!r} is not the name of a bucket"
        elif unusable(endpoint):
            wrong = f"endpoint: {unusable(endpoint)}"
        elif not 1 <= max_concurrency <= 64:
            wrong = "max_concurrency: write 1 to 64"
        if wrong:
            raise ConfigError(f"source {name}: {wrong}")
        self._place = _place(bucket, prefix)
        self._endpoint = endpoint
        self._history = versions == "all"
        self._tags = tags
        self._workers = max_concurrency
        self._keys = {False: credential, True: restore_credential or credential}
        if checksums == "auto":
            checksums = "when_required" if endpoint else "when_supported"
        self._how: dict[str, Any] = {
            "whose": f"source {name}",
            "region": region,
            "endpoint": endpoint,
            "path_style": bool(endpoint) if path_style is None else path_style,
            "checksums": checksums,
            "ca_bundle": ca_bundle,
            "connections": max_concurrency + 4,
            "connect_timeout_s": connect_timeout.total_seconds(),
            "read_timeout_s": read_timeout.total_seconds(),
        }

    def needs(self) -> Needs:
        return Needs(bucket=_where(self._endpoint, self._place))

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []  # what an identity of a bucket may do is for its owner to say

    # -- backup

    def check(self) -> Mapping[str, Any]:
        objects = self._objects(self._place)
        first = objects.reach()
        if first is not None:
            objects.get(first)[1].close()
        return self._facts(objects)

    @contextmanager
    def open(self, work: Workspace) -> Iterator[BucketDump]:
        objects = self._objects(self._place)
        objects.reach()
        with tempfile.TemporaryDirectory(prefix="bucket-", dir=work.bulk) as folder:
            lines = Path(folder) / "inventory.jsonl"
            facts = self._facts(objects)
            dump = BucketDump(objects, facts, self._history, self._workers, lines)
            try:
                yield dump
            finally:
                dump.close()

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        self._plain(plains).read(lambda stream: s3_tar.count(stream, None))

    # -- restore: in place, see in_place.py

    def target(self, record: SourceRecord, into: str | None) -> Target:
        bucket, _slash, prefix = (into or self._place).partition("/")
        place = _place(bucket, prefix)
        refusals = []
        size_bytes = found = 0
        try:
            for listed in self._objects(place, restore=True).current():
                found, size_bytes = found + 1, size_bytes + listed.size_bytes
        except SourceAbsent as exc:
            refusals.append(f"{exc}: create it, or restore into another")
        return Target(
            label=f"objects of {place} at {self._endpoint or 'AWS'}",
            name=place,
            exists=bool(found),
            size_bytes=size_bytes,
            totals={"objects": found, "size_bytes": size_bytes} if found else {},
            refusals=tuple(refusals),
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        return in_place.plan(self.name, target)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        in_place.make_folder(swap)
        try:
            self._plain(plains).save(Path(swap.side))
            with open(swap.side, "rb") as saved:
                s3_tar.count(saved, None)
        except BaseException:
            in_place.discard(swap)
            raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        descriptor, lines = tempfile.mkstemp(prefix="bucket-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        with open(swap.side, "rb") as saved:
            s3_tar.count(saved, writer)
        return writer.close()

    def swap(self, swap: Swap) -> None:
        in_place.swap(swap, self._store(swap))

    def swapped(self, swap: Swap) -> bool:
        if not in_place.swapped(swap):
            return False
        self._objects(swap.target, restore=True).reach()  # or it could not be taken back now
        return True

    def back(self, swap: Swap) -> None:
        in_place.back(swap, self._store(swap))

    def discard(self, swap: Swap) -> None:
        in_place.discard(swap)

    # -- inside

    def _objects(self, place: str, restore: bool = False) -> Objects:
        bucket, _slash, prefix = place.partition("/")
        connection = Connection(
            bucket=bucket, prefix=prefix, credential=self._keys[restore], **self._how
        )
        return Objects(connection, self._tags)

    def _store(self, swap: Swap) -> s3_load.Store:
        return s3_load.Store(self._objects(swap.target, restore=True), self._workers)

    def _facts(self, objects: Objects) -> dict[str, Any]:
        facts = {
            "bucket": objects.connection.bucket,
            "prefix": objects.connection.prefix,
            "endpoint": self._endpoint or "AWS",
            "consistency": "each object as of one instant, the bucket as a whole not",
            "tags": "with each object" if self._tags else "left out",
        }
        if self._history:
            facts["versions"] = "all" if objects.versioned() else "all, but the bucket keeps none"
        return facts

    def _plain(self, plains: Mapping[str, Plain]) -> Plain:
        if PART not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive {PART}")
        return plains[PART]


def _place(bucket: str, prefix: str) -> str:
    """bucket/ or bucket/prefix/"""
    trimmed = prefix.strip("/")
    return f"{bucket}/{trimmed}/" if trimmed else bucket + "/"


def _where(endpoint: str | None, place: str) -> str:
    return f"{(endpoint or '').rstrip('/')} {place}"
