# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the bucket that a source protects: list, read, write, delete, one request each.

A key is a name in the bucket and nothing else: it never becomes a path of this machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlencode

from ...errors import DestinationError, SourceAbsent, SourceError
from ...s3_client import Connection, NoBucket, Taken, Unsupported
from .records import Gone, Listed, Passing, Record, headers_of, metadata_of, oldest_first

MIB = 1 << 20
BLOCK = MIB
_ATTEMPTS = 4
_UPLOAD_PART = 8 * MIB
_IN_PARTS = 16 * MIB  # a larger object is written in parts; S3 takes 5 GiB in one
_Result = TypeVar("_Result")


class Objects:
    """Errors are SourceErrors that begin with the source's name."""

    def __init__(self, connection: Connection, tags: bool) -> None:
        self.connection = connection
        self.tagged = tags
        self._made: Any = None
        self._making = threading.Lock()

    @property
    def client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self.connection.client()
            return self._made

    @contextmanager
    def faults(self, verb: str, key: str = "") -> Iterator[None]:
        try:
            with self.connection.faults(verb, repr(key) if key else ""):
                yield
        except NoBucket as exc:
            raise SourceAbsent(exc.message, detail=exc.detail, hint=exc.hint) from exc
        except DestinationError as exc:
            family = Gone if exc.missing else SourceError if exc.permanent else Passing
            raise family(exc.message, detail=exc.detail, hint=exc.hint) from exc

    # -- listings

    def reach(self) -> Listed | None:
        """The first object, or None; raises when the bucket cannot be listed."""
        return next(self.current(page=1), None)

    def current(self, page: int = 1000) -> Iterator[Listed]:
        with self.faults("list"):
            for one in self._pages("list_objects_v2", page):
                for found in one.get("Contents", []):
                    yield Listed(self._key(found), found["Size"], found["LastModified"])

    def versions(self) -> Iterator[Listed]:
        """Every version and delete marker; of each key the oldest first."""
        waiting: dict[str, tuple[list[Listed], list[Listed]]] = {}
        with self.faults("list the versions of"):
            for page in self._pages("list_object_versions", 1000):
                for kind, member in enumerate(("Versions", "DeleteMarkers")):
                    for found in page.get(member, []):
                        key = self._key(found)
                        waiting.setdefault(key, ([], []))[kind].append(
                            Listed(
                                key,
                                found.get("Size", 0),
                                found["LastModified"],
                                found["VersionId"],
                                found["IsLatest"],
                                deleted=bool(kind),
                            )
                        )
                last = page.get("NextKeyMarker") if page.get("IsTruncated") else None
                for key in [key for key in waiting if self.connection.prefix + key != last]:
                    yield from oldest_first(*waiting.pop(key))
        for both in waiting.values():
            yield from oldest_first(*both)

    def versioned(self) -> bool:
        with self.faults("ask for the versioning of"):
            found = self.client.get_bucket_versioning(Bucket=self.connection.bucket)
        return bool(found.get("Status") == "Enabled")

    def lists(self, listed: Listed) -> bool:
        """Whether a listing shows that object, or that version, now."""
        at = {"Bucket": self.connection.bucket, "Prefix": self.connection.prefix + listed.key}
        with self.faults("list"):
            if listed.version:
                page = self.client.list_object_versions(**at)
                there = {(one["Key"], one["VersionId"]) for one in page.get("Versions", [])}
                return (at["Prefix"], listed.version) in there
            page = self.client.list_objects_v2(**at, MaxKeys=1)  # the key itself comes first
            return any(one["Key"] == at["Prefix"] for one in page.get("Contents", []))

    # -- one object

    def get(self, listed: Listed) -> tuple[Record, Any]:
        """(record, body to be closed) of what is there now; raises Gone."""
        with self.faults("read", listed.key):
            found = self.client.get_object(**self._at(listed.key, listed.version))
        try:
            record = Record(
                key=listed.key,
                size_bytes=found["ContentLength"],
                modified_at=int(found["LastModified"].timestamp()),
                etag=found.get("ETag", "").strip('"'),
                version=listed.version,
                latest=listed.latest,
                headers=headers_of(found),
                metadata=metadata_of(found),
                tags=self._tags(listed),
            )
        except BaseException:
            found["Body"].close()
            raise
        return record, found["Body"]

    def content(self, record: Record, body: Any) -> Iterator[bytes]:
        """All bytes of an object that was opened by `get`, and of no other: a connection that breaks is
        made again where it broke, as long as the same object is there."""
        done, attempt = 0, 0
        while done < record.size_bytes:
            try:
                with self.faults("read", record.key):
                    block = body.read(BLOCK)
                if not block:
                    raise Passing(f"{record.key!r} ended {record.size_bytes - done} bytes early")
            except Passing as exc:
                attempt += 1
                if attempt >= _ATTEMPTS or "Checksum" in str(exc):  # what came is wrong
                    raise
                body.close()
                body = self._again_from(record, done)
                continue
            done += len(block)
            yield block
        with self.faults("read", record.key):
            body.read(1)  # at its end the library compares its checksum
        body.close()

    def put(self, record: Record, content: BinaryIO) -> None:
        """Write an object of `record.size_bytes` bytes with all that belongs to it."""
        extra: dict[str, Any] = dict(record.headers or {})
        if record.metadata:
            extra["Metadata"] = dict(record.metadata)
        if record.tags and self.tagged:
            extra["Tagging"] = urlencode(record.tags, quote_via=quote)  # to Ceph a + is a plus
        at = self._at(record.key)
        if record.size_bytes <= _IN_PARTS:
            body = content.read(record.size_bytes)
            with self.faults("write", record.key):
                self.client.put_object(**at, Body=body, **extra)
            return
        from s3transfer.manager import TransferConfig, TransferManager

        size = max(_UPLOAD_PART, -(-record.size_bytes // 9000))
        config = TransferConfig(
            multipart_threshold=size,
            multipart_chunksize=size,
            max_request_concurrency=2,
            max_submission_concurrency=1,
            max_in_memory_upload_chunks=2,
        )
        with self.faults("write", record.key), TransferManager(self.client, config) as manager:
            manager.upload(content, at["Bucket"], at["Key"], extra).result()
        if "Tagging" in extra:  # Ceph does not keep those that an upload in parts was begun with
            named = [{"Key": key, "Value": value} for key, value in (record.tags or {}).items()]
            with self.faults("tag", record.key):
                self.client.put_object_tagging(**at, Tagging={"TagSet": named})

    def delete(self, key: str) -> None:
        """Gone already is done."""
        try:
            with self.faults("delete", key):
                self.client.delete_object(**self._at(key))
        except Gone:
            pass

    # -- inside

    def _at(self, key: str, version: str = "") -> dict[str, str]:
        at = {"Bucket": self.connection.bucket, "Key": self.connection.prefix + key}
        return dict(at, VersionId=version) if version else at

    def _key(self, found: Mapping[str, Any]) -> str:
        return str(found["Key"])[len(self.connection.prefix) :]

    def _pages(self, operation: str, page: int) -> Iterator[Mapping[str, Any]]:
        pages = self.client.get_paginator(operation).paginate(
            Bucket=self.connection.bucket,
            Prefix=self.connection.prefix,
            PaginationConfig={"PageSize": page},
        )
        yield from pages

    def _again_from(self, record: Record, offset: int) -> Any:
        same = {} if record.version else {"IfMatch": f'"{record.etag}"'}
        at = self._at(record.key, record.version)
        with self.faults("read on", record.key):
            try:
                with self.connection.faults("read on", repr(record.key)):
                    return self.client.get_object(**at, **same, Range=f"bytes={offset}-")["Body"]
            except Taken as exc:  # the condition does not hold
                raise SourceError(
                    f"{self.connection.whose}: {record.key!r} was replaced while it was read, and the"
                    " connection was lost",
                    hint="run it again; nothing of this archive is kept",
                ) from exc

    def _tags(self, listed: Listed) -> dict[str, str]:
        """Asked for each object: that no number of them came with it may mean that it has none, or that this
        identity may not read them, and a policy may tell objects of one folder apart.
        """
        if not self.tagged:
            return {}
        try:
            with self.connection.faults("read the tags of", repr(listed.key)):
                found = self.client.get_object_tagging(**self._at(listed.key, listed.version))
        except Unsupported:
            self.tagged = False
            return {}
        except DestinationError as exc:
            if exc.missing:
                raise Gone(exc.message) from exc
            family = SourceError if exc.permanent else Passing
            raise family(exc.message, hint=exc.hint + "; or set tags: false") from exc
        return {one["Key"]: one["Value"] for one in found.get("TagSet", [])}


def again(action: Callable[[], _Result]) -> _Result:
    """`action()`, asked a few times while what fails is passing."""
    for _attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except Passing:
            continue
    return action()
