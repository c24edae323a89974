# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep copies in an S3 bucket, at AWS or any server that speaks its language; nothing is replaced."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO

from ...copies import domain_of
from ...errors import ConfigError, DestinationError
from ...model import Needs, Option, Secret
from ...ports import PROTECTION_PROBE, Growing
from ...s3_client import Connection, Denied, Taken, Unsupported, unusable
from ...s3_identity import Identity
from ...stored import Cold, Place, Protection, Stored
from .bucket import Bucket
from .cold import cold, thaw
from .exposure import exposure
from .providers import PROVIDERS
from .terms import terms
from .upload import MAX_PART, MIN_PART, Plan, TooManyParts, send_finished, send_growing

log = logging.getLogger(__name__)

_PROBE = ".probe-"
_BLOCK = 1 << 20
_CHECKSUM_HINT = "set checksums: when_required; some servers store them in the object"
_PREFIX = re.compile(r"^[A-Za-z0-9_=+@-][A-Za-z0-9_.=+@-]*(/[A-Za-z0-9_=+@-][A-Za-z0-9_.=+@-]*)*$")


class S3:
    """ports.Guarded on a bucket, below `prefix`. Without a credential the SDK's own chain is used.

    provider: a row of s3_providers, which sets what is not given; "aws" without an endpoint, else
    "other". part_size: 0 = from the expected size.
    """

    kind = "s3"
    options = (
        Option("bucket", required=True),
        Option("prefix", default=""),
        Option("provider", choices=tuple(PROVIDERS)),
        Option("region"),
        Option("endpoint"),
        Option("credential", "secret"),
        Option("profile"),
        Option("role_arn"),
        Option("web_identity_token_file"),
        Option("sts_endpoint"),
        Option("storage_class"),
        Option("object_lock", "mapping"),
        Option("tags", "mapping"),
        Option("server_side_encryption", choices=("AES256", "aws:kms")),
        Option("kms_key_id"),
        Option("path_style", "boolean"),
        Option("checksums", default="auto", choices=("auto", "when_supported", "when_required")),
        Option("ca_bundle"),
        Option("part_size", "size", default=0),
        Option("max_parts", "integer"),
        Option("max_concurrency", "integer", default=4),
        Option("connect_timeout", "duration", default=timedelta(seconds=10)),
        Option("read_timeout", "duration", default=timedelta(seconds=60)),
    )

    def __init__(
        self,
        name: str,
        bucket: str,
        prefix: str = "",
        provider: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        credential: Secret | None = None,
        profile: str | None = None,
        role_arn: str | None = None,
        web_identity_token_file: str | None = None,
        sts_endpoint: str | None = None,
        storage_class: str | None = None,
        object_lock: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        server_side_encryption: str | None = None,
        kms_key_id: str | None = None,
        path_style: bool | None = None,
        checksums: str = "auto",
        ca_bundle: str | None = None,
        part_size: int = 0,
        max_parts: int | None = None,
        max_concurrency: int = 4,
        connect_timeout: timedelta = timedelta(seconds=10),
        read_timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        self.name = name
        trimmed = prefix.strip("/")
        kind = provider or ("other" if endpoint else "aws")
        profiled = PROVIDERS[kind]
        parts = profiled.max_parts if max_parts is None else max_parts
        self._check_options(trimmed, endpoint, sts_endpoint, part_size, parts, max_concurrency)
        if not endpoint and kind != "aws":
            raise ConfigError(f"destinations.{name}.endpoint: missing; {kind} is reached by it")
        if web_identity_token_file and not role_arn:
            raise ConfigError(
                f"destinations.{name}.role_arn: missing; the token is exchanged for it"
            )
        if credential is not None and (profile or web_identity_token_file):
            raise ConfigError(
                f"destinations.{name}.credential: one identity only, not profile or a token as well"
            )
        checksums = profiled.checksums if checksums == "auto" else checksums
        connection = Connection(
            whose=f"destination {name}",
            bucket=bucket,
            prefix=trimmed + "/" if trimmed else "",
            region=region,
            endpoint=endpoint,
            credential=credential,
            path_style=profiled.path_style if path_style is None else path_style,
            checksums=checksums,
            ca_bundle=ca_bundle,
            connections=max_concurrency + 4,
            connect_timeout_s=connect_timeout.total_seconds(),
            read_timeout_s=read_timeout.total_seconds(),
            identity=Identity(
                profile or "", role_arn or "", web_identity_token_file or "", sts_endpoint or ""
            ),
        )
        self._bucket = Bucket(connection)
        self._error = connection.error
        self._plan = Plan(part_size, parts, max_concurrency)
        self._written: dict[str, Mapping[str, Any]] = {}  # key -> what we asked for
        self._put_on = not profiled.in_parts  # once it is there
        self._untagged: list[str] = []
        self._terms = terms(
            f"destinations.{name}",
            kind,
            profiled,
            storage_class=storage_class,
            encryption=server_side_encryption,
            kms_key_id=kms_key_id,
            tags=tags or {},
            object_lock=object_lock,
            checksums=checksums,
        )

    def prepare(self) -> None:
        self._terms.prepare(self._bucket)

    def protection(self, keys: Sequence[str]) -> Protection:
        found = self._terms.protection(self._bucket, self._written, keys)
        for key in keys:
            self._written.pop(key, None)
        told, self._untagged = tuple(self._untagged), []
        return replace(found, remarks=(*found.remarks, *told))

    def cold(self, keys: Sequence[str], tier: str) -> Sequence[Cold]:
        return cold(self._bucket, keys, tier)

    def thaw(self, one: Cold, tier: str, days: int) -> None:
        thaw(self._bucket, one, tier, days)

    def older(self, key: str, size: int | None) -> Iterator[AbstractContextManager[BinaryIO]]:
        try:
            versions = self._bucket.older(key, size)
        except (Denied, Unsupported) as exc:
            log.info("destination=%s versions are not told: %s", self.name, exc)
            return
        for version in versions:
            yield self._bucket.open(key, version)

    def needs(self) -> Needs:
        one = self._bucket.connection
        endpoint = (one.endpoint or "").rstrip("/")
        return Needs(bucket=f"{endpoint} {one.bucket}/{one.prefix}")

    def place(self) -> Place:
        one = self._bucket.connection
        domain = domain_of(one.endpoint) if one.endpoint else f"aws {one.region or ''}".strip()
        return Place(domain, f"object storage of {domain}")

    def check(self, prefix: str = "catalog/") -> None:
        key = f"{prefix}{_PROBE}{secrets.token_hex(8)}"
        content = key.encode()
        self.put(key, content)
        with self.open(key) as stored:
            if stored.read(len(content) + 1) != content:
                why = "what is read back is not what was written"
                raise self._error("cannot use the bucket", why, hint=_CHECKSUM_HINT)
        try:
            self.delete(key)
        except Denied as exc:
            log.info("destination=%s a probe stays, as append-only wants it: %s", self.name, exc)

    def store(self, key: str, growing: Growing) -> None:
        finished = False
        for _attempt in range(3):
            try:
                self._refuse_if_there(key)
                with self._explained(key):
                    self._send(key, growing, finished)
                break
            except TooManyParts as exc:
                log.info("destination=%s key=%s starts again: %s", self.name, key, exc)
                finished = True
            except Unsupported:
                if not self._bucket.conditional:
                    raise
                self._bucket.conditional, finished = False, True  # looking first must do
            except Taken:
                # an answer that was lost makes the library ask again, and meet its own object; or an
                # attempt that was cut off got this far
                if not self._holds(key, growing):
                    raise
                self._found(key)
                break
        head, size = self._bucket.head(key), growing.wait()
        stored = int(head["ContentLength"])
        if stored != size:
            with suppress(DestinationError):
                self.delete(key)
            why = f"{size} bytes were sent, {stored} are there"
            raise self._error(f"cannot store {key}", why, hint=_CHECKSUM_HINT)
        if self._put_on and "-" in head.get("ETag", ""):
            wanted = self._terms.headers(key, datetime.now(timezone.utc))
            problem = self._terms.put_on(self._bucket, key, wanted)
            self._untagged += [problem] if problem else []

    def put(self, key: str, content: bytes) -> None:
        try:
            self._refuse_if_there(key)
            try:
                with self._explained(key):
                    self._bucket.put(key, content, self._headers(key))
            except Unsupported:
                if not self._bucket.conditional:
                    raise
                self._bucket.conditional = False
                self._bucket.put(key, content, self._headers(key))
        except Taken:
            with self.open(key) as there:
                if there.read(len(content) + 1) != content:
                    raise
            self._found(key)

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self._bucket.open(key)

    def open_at(self, key: str, offset: int) -> AbstractContextManager[BinaryIO]:
        return self._bucket.open(key, offset=offset)

    def list(self, prefix: str) -> Iterator[Stored]:
        for key, found in self._bucket.objects(prefix):
            if not key.rsplit("/", 1)[-1].startswith(".") and not key.endswith("/"):
                yield Stored(key, found["Size"], found["LastModified"])

    def delete(self, key: str) -> None:
        self._bucket.delete(key)

    def locked(self, keys: Sequence[str]) -> Mapping[str, str]:
        """{key: until when} of those that a lock holds now, as the server tells."""
        return self._terms.still_locked(self._bucket, keys, datetime.now(timezone.utc))

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, str]:
        """{key: why} of those that stay: denied, or locked, which a delete marker would only hide."""
        stay = self._terms.still_locked(self._bucket, keys, datetime.now(timezone.utc))
        going = [key for key in keys if key not in stay]
        refused: dict[str, DestinationError] = {}
        try:
            refused = self._bucket.delete_many(going) if going else {}
        except (Denied, Unsupported):  # Ceph wants a right on the bucket itself for many at once
            for key in going:
                try:
                    self.delete(key)
                except DestinationError as exc:
                    if not exc.permanent:  # the next one would be waited for as long
                        raise
                    refused[key] = exc
        for key, refusal in refused.items():
            if not refusal.permanent:
                raise refusal
            stay[key] = str(refusal)
        return stay

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        removed = []
        for key, upload in self._bucket.uploads(prefix):
            if upload["Initiated"] < before:
                self._bucket.abort(key, upload["UploadId"])
                removed.append(key)
        for key, found in self._bucket.objects(prefix):
            if key.rsplit("/", 1)[-1].startswith(_PROBE) and found["LastModified"] < before:
                self.delete(key)
                removed.append(key)
        return removed

    def exposed(self, prefix: str) -> str:
        return exposure(self._bucket, prefix + PROTECTION_PROBE)

    def _refuse_if_there(self, key: str) -> None:
        """Look first: some servers ignore the condition of a write, and overwrite.

        Not every identity may look, and a refusal of a look has no text: the write says it better.
        """
        try:
            self._bucket.size(key)
        except DestinationError as exc:
            if exc.missing or exc.permanent:
                return
            raise
        raise self._bucket.connection.taken(f"cannot store {key}")

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Ceph refuses with a bare InvalidArgument what it does not have."""
        try:
            yield
        except DestinationError as exc:
            asked = self._terms.asked(key)
            if exc.permanent and not exc.hint and asked:
                exc.hint = f"see whether this server has what is asked for by {asked}"
            raise

    def _send(self, key: str, growing: Growing, finished: bool) -> None:
        extra = dict(self._headers(key))
        if finished:
            growing.wait()
            rate = getattr(growing, "bytes_per_second", None)  # of what is read past its reader
            send_finished(self._bucket, key, extra, growing.path, self._plan, rate)
        else:
            send_growing(self._bucket, key, extra, growing, self._plan)

    def _headers(self, key: str) -> Mapping[str, Any]:
        self._written[key] = self._terms.headers(key, datetime.now(timezone.utc))
        return self._written[key]

    def _found(self, key: str) -> None:
        """Ask of an object that was there already for a lock, too, though not for one that begins now."""
        if key not in self._written:
            now = datetime.now(timezone.utc)
            wanted = dict(self._terms.headers(key, now))
            if "ObjectLockRetainUntilDate" in wanted:
                wanted["ObjectLockRetainUntilDate"] = now
            self._written[key] = wanted

    def _holds(self, key: str, growing: Growing) -> bool:
        """Whether exactly the archive's bytes lie under `key`."""
        growing.wait()
        with self.open(key) as there, growing.reader() as ours:
            block = ours.read(_BLOCK)
            while block and there.read(len(block)) == block:
                block = ours.read(_BLOCK)
            return not block and not there.read(1)

    def _check_options(
        self,
        prefix: str,
        endpoint: str | None,
        sts_endpoint: str | None,
        part_size: int,
        max_parts: int,
        concurrency: int,
    ) -> None:
        wrong = ""
        if prefix and not _PREFIX.match(prefix):
            wrong = f"prefix {prefix!r} holds what servers refuse or rename"
        elif unusable(endpoint):
            wrong = f"endpoint {unusable(endpoint)}"
        elif unusable(sts_endpoint):
            wrong = f"sts_endpoint {unusable(sts_endpoint)}"
        elif part_size and not MIN_PART <= part_size <= MAX_PART:
            wrong = "part_size is not between 5 MiB and 5 GiB"
        elif not 1 <= max_parts <= 10000 or not 1 <= concurrency <= 64:
            wrong = "max_parts is not in 1..10000, or max_concurrency not in 1..64"
        if wrong:
            raise ConfigError(f"destination {self.name}: {wrong}", hint="correct that option")
