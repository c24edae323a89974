# SPDX-License-Identifier: GPL-3.0-or-later
"""One bucket's objects, below one prefix: the single requests that the S3 destination is made of."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, BinaryIO

from ...errors import DestinationError
from ...s3_client import Connection, Denied, Unsupported

_BLOCK = 1 << 20
_WRITES = ("PutObject", "CompleteMultipartUpload")


class Bucket:
    """Keys are without the prefix. Every write says `If-None-Match: *` while `conditional` is true."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.conditional = True
        self.versions: dict[str, str] = {}  # key -> the version that we stored, where there are any
        self._made: Any = None
        self._making = threading.Lock()

    @property
    def client(self) -> Any:
        with self._making:
            if self._made is None:
                client = self.connection.client()
                for (
                    operation
                ) in _WRITES:  # by an event: the library's uploads do not take the header
                    client.meta.events.register(
                        f"before-parameter-build.s3.{operation}", self._only_if_absent
                    )
                    client.meta.events.register(f"after-call.s3.{operation}", self._remember)
                self._made = client
            return self._made

    def at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.connection.bucket, "Key": self.connection.prefix + key}

    def head(self, key: str, version: str = "") -> Mapping[str, Any]:
        with self.connection.faults("look at", key):
            found: Mapping[str, Any] = self.client.head_object(**self.at(key), **_of(version))
            return found

    def size(self, key: str) -> int:
        return int(self.head(key)["ContentLength"])

    def lock_enabled(self) -> bool:
        """Whether the bucket was made with Object Lock."""
        try:
            with self.connection.faults("ask for the lock of"):
                found = self.client.get_object_lock_configuration(Bucket=self.connection.bucket)
        except DestinationError as exc:
            if exc.missing:
                return False
            raise
        return bool(found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")

    def retention(self, key: str, version: str) -> tuple[str, datetime | None]:
        """(mode, until) of this very version; ("", None) where none is set."""
        try:
            with self.connection.faults("read the lock of", key):
                found = self.client.get_object_retention(**self.at(key), **_of(version))
        except DestinationError as exc:
            if exc.missing:
                return "", None
            raise
        kept = found.get("Retention", {})
        return str(kept.get("Mode", "")), kept.get("RetainUntilDate")

    def retain(self, key: str, version: str, mode: str, until: datetime) -> None:
        kept = {"Mode": mode, "RetainUntilDate": until}
        with self.connection.faults("lock", key):
            self.client.put_object_retention(**self.at(key), **_of(version), Retention=kept)

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        named = [{"Key": name, "Value": value} for name, value in tags.items()]
        with self.connection.faults("tag", key):
            self.client.put_object_tagging(**self.at(key), Tagging={"TagSet": named})

    def on_hold(self, key: str) -> bool:
        """Whether somebody has put a legal hold on it, which no date ends. An identity that may not ask
        sees none, nor does one at a server that knows none."""
        try:
            with self.connection.faults("read the legal hold of", key):
                found = self.client.get_object_legal_hold(**self.at(key))
        except (Denied, Unsupported):
            return False
        except DestinationError as exc:
            if exc.missing:
                return False
            raise
        return bool(found.get("LegalHold", {}).get("Status") == "ON")

    def put(self, key: str, content: bytes, extra: Mapping[str, Any]) -> None:
        with self.connection.faults("store", key):
            self.client.put_object(**self.at(key), Body=content, **extra)

    @contextmanager
    def open(self, key: str, version: str = "", offset: int = 0) -> Iterator[BinaryIO]:
        part = {"Range": f"bytes={offset}-"} if offset else {}
        with self.connection.faults("read", key):
            body = self.client.get_object(**self.at(key), **_of(version), **part)["Body"]
        with closing(body), io.BufferedReader(_Reader(self.connection, key, body), _BLOCK) as read:
            yield read

    def objects(self, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(key, {"Size", "LastModified"}) of each, in the order of the keys."""
        return self._pages("list_objects_v2", prefix, "Contents")

    def older(self, key: str, size: int | None) -> list[str]:
        """The versions of one object (of this size) that are not the current one, the first one first."""
        found = [
            str(version["VersionId"])
            for name, version in self._pages("list_object_versions", key, "Versions")
            if name == key and not version.get("IsLatest") and size in (None, version["Size"])
        ]
        return found[::-1]

    def uploads(self, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(key, {"UploadId", "Initiated"}) of each multipart upload that is still open."""
        return self._pages("list_multipart_uploads", prefix, "Uploads")

    def delete(self, key: str) -> None:
        try:
            with self.connection.faults("delete", key):
                self.client.delete_object(**self.at(key))
        except DestinationError as exc:
            if not exc.missing:
                raise

    def delete_many(self, keys: Sequence[str]) -> dict[str, DestinationError]:
        """Delete up to 1000 in one request; {key: error} of those that stay. What is gone is no error."""
        objects = [{"Key": self.at(key)["Key"]} for key in keys]
        with self.connection.faults("delete", "%d objects" % len(keys)):
            told = self.client.delete_objects(
                Bucket=self.connection.bucket, Delete={"Objects": objects, "Quiet": True}
            )
        stay = {}
        for error in told.get("Errors", []):
            key = error["Key"][len(self.connection.prefix) :]
            refusal = self.connection.refused("delete", key, error)
            if not refusal.missing:
                stay[key] = refusal
        return stay

    def abort(self, key: str, upload: str) -> None:
        try:
            with self.connection.faults("abort the upload of", key):
                self.client.abort_multipart_upload(**self.at(key), UploadId=upload)
        except DestinationError as exc:
            if not exc.missing:
                raise

    def _pages(
        self, operation: str, prefix: str, member: str
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        ours = self.connection.prefix
        with self.connection.faults("list", prefix):
            pages = self.client.get_paginator(operation).paginate(
                Bucket=self.connection.bucket, Prefix=ours + prefix
            )
            for page in pages:
                for found in page.get(member, []):
                    yield found["Key"][len(ours) :], found

    def _only_if_absent(
        self, params: dict[str, Any], context: dict[str, Any], **_event: Any
    ) -> None:
        if self.conditional:
            params["IfNoneMatch"] = "*"
        context["lifeboat_key"] = str(params["Key"])[len(self.connection.prefix) :]

    def _remember(self, parsed: Mapping[str, Any], context: dict[str, Any], **_event: Any) -> None:
        version = parsed.get("VersionId")
        if version and "lifeboat_key" in context:
            self.versions[context["lifeboat_key"]] = str(version)


def _of(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}


class _Reader(io.RawIOBase):
    """An object's bytes; what goes wrong on the way names the destination."""

    def __init__(self, connection: Connection, key: str, body: Any) -> None:
        super().__init__()
        self._connection = connection
        self._key = key
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        with self._connection.faults("read", self._key):
            block = self._body.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)
