# SPDX-License-Identifier: GPL-3.0-or-later
"""On which terms objects are stored in S3 (class, encryption, tags, lock), and whether the server kept them.

A server may answer 200 and do nothing of it: so all is asked again of the very version that was stored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from ...errors import ConfigError, DestinationError
from ...model import Option
from ...naming import ARCHIVES, CATALOG, MENDED, REPORT
from ...options import check_options
from ...s3_client import Denied, Unsupported
from ...stored import Protection
from .bucket import Bucket
from .providers import COLD, Provider

log = logging.getLogger(__name__)

_TAG = re.compile(r"[\w +=.:/@-]*")
LOCK = (
    Option("mode", required=True, choices=("compliance", "governance")),
    Option("for", "duration", required=True),
)
_REPORT = f".{REPORT}-"  # not locked by us, but the only mark that is ever deleted: the bucket may lock all


@dataclass(frozen=True)
class Terms:
    """What was asked for. lock_mode "" = no lock."""

    storage_class: str = ""
    encryption: str = ""  # "AES256", "aws:kms"
    kms_key_id: str = ""
    tagging: str = ""  # as in a query string
    lock_mode: str = ""  # "COMPLIANCE", "GOVERNANCE"
    lock_for: timedelta = timedelta()
    lock_checksum: str = ""  # AWS wants a checksum with every locked write

    @property
    def cold(self) -> bool:
        return self.storage_class in COLD

    def headers(self, key: str, now: datetime) -> dict[str, Any]:
        """What a write of `key` says. The catalog stays warm: it is small, and read after each listing.
        Marks are not locked, so that a clean-up that is due is not refused over an empty object."""
        key = key.partition(MENDED)[0]  # stored again, on the same terms
        wanted: dict[str, Any] = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key_id,
            "Tagging": self.tagging,
        }
        if key.startswith(ARCHIVES + "/") and not key.endswith(("/SHA256SUMS", "/RESTORE.md")):
            wanted["StorageClass"] = self.storage_class
        if self.lock_mode and _lockable(key):
            wanted["ObjectLockMode"] = self.lock_mode
            wanted["ObjectLockRetainUntilDate"] = now + self.lock_for
            wanted["ChecksumAlgorithm"] = self.lock_checksum
        return {name: value for name, value in wanted.items() if value}

    def asked(self, key: str) -> str:
        """The options that a write of `key` comes from, where they ask more than every server can do."""
        there = self.headers(key, datetime.min.replace(tzinfo=timezone.utc))
        options = {
            "storage_class": there.get("StorageClass"),
            "server_side_encryption": there.get("ServerSideEncryption"),
            "object_lock": there.get("ObjectLockMode"),
        }
        return ", ".join(name for name, value in options.items() if value)

    def put_on(self, bucket: Bucket, key: str, wanted: Mapping[str, Any]) -> str:
        """Set what some servers do not keep of an upload in parts: why not, or "". A lock that could not be set
        is told by `protection`."""
        problem = ""
        if wanted.get("Tagging"):
            try:
                bucket.tag(key, dict(parse_qsl(wanted["Tagging"], keep_blank_values=True)))
            except DestinationError as exc:
                problem = f"{key} has no tags: {exc}"
        if "ObjectLockMode" in wanted:
            version = bucket.versions.get(key, "")
            lock, until = wanted["ObjectLockMode"], wanted["ObjectLockRetainUntilDate"]
            try:  # the bucket may have a rule of its own, for less; another mode it does not let go
                mode, there = bucket.retention(key, version)
                if mode in ("", lock) and not _lasts(wanted, mode, there):
                    bucket.retain(key, version, lock, until)
            except DestinationError as exc:
                log.info("key=%s was not locked when it was there: %s", key, exc)
        return problem

    def prepare(self, bucket: Bucket) -> None:
        """Raise where the bucket cannot lock although that was asked for."""
        if not self.lock_mode:
            return
        try:
            enabled = bucket.lock_enabled()
        except Denied:
            return  # this identity may not ask; the retention of what is stored will tell
        except Unsupported:
            enabled = False
        if not enabled:
            connection = bucket.connection
            raise connection.error(
                f"cannot lock in bucket {connection.bucket}",
                "it was made without Object Lock",
                hint="make a bucket with Object Lock, or take object_lock out of the configuration",
            )

    def protection(
        self, bucket: Bucket, written: Mapping[str, Mapping[str, Any]], keys: Sequence[str]
    ) -> Protection:
        """How these objects are kept. `written`: what `headers` said when each was stored."""
        found = Protection(cold=self.cold)
        classes = set()
        for key in keys:
            version = bucket.versions.get(key, "")
            head, wanted = bucket.head(key, version), written.get(key, {})
            if wanted.get("StorageClass"):
                classes.add(str(head.get("StorageClass", "STANDARD")))
            found = _with(found, self._unencrypted(key, head))
            if "ObjectLockMode" in wanted:
                found = self._locked(found, bucket, key, version, wanted)
        other = sorted(classes - {self.storage_class})
        if other:
            told = f"stored as {', '.join(other)}, not as {self.storage_class}: the server chose"
            found = replace(found, remarks=(*found.remarks, told), cold=bool(set(other) & {*COLD}))
        return found

    def _unencrypted(self, key: str, head: Mapping[str, Any]) -> str:
        there = str(head.get("ServerSideEncryption", ""))
        if self.encryption and there != self.encryption:
            return (
                f"{key} is not encrypted by the server ({there or 'none'}, not {self.encryption})"
            )
        key_id = str(head.get("SSEKMSKeyId", ""))
        named = self.kms_key_id and "alias/" not in self.kms_key_id
        if named and key_id.rsplit("/", 1)[-1] != self.kms_key_id.rsplit("/", 1)[-1]:
            return f"{key} is encrypted with another key than kms_key_id ({key_id or 'none'})"
        return ""

    def still_locked(self, bucket: Bucket, keys: Sequence[str], now: datetime) -> dict[str, str]:
        """{key: why} of those whose lock is not over, or cannot be read; only asked where locks are configured."""
        stay = {}
        for key in keys if self.lock_mode else ():
            if not (_lockable(key) or _REPORT in key):
                continue
            try:
                mode, until = bucket.retention(key, "")
            except Unsupported:
                continue  # then the server decides
            except Denied as exc:  # a delete marker would hide it, whether it is locked or not
                stay[key] = f"its lock cannot be read: {exc}"
                continue
            if mode and until is not None and until > now:
                stay[key] = "locked until {}".format(until.strftime("%Y-%m-%d %H:%M UTC"))
            elif bucket.on_hold(key):
                stay[key] = "under a legal hold"
        return stay

    def _locked(
        self, found: Protection, bucket: Bucket, key: str, version: str, wanted: Mapping[str, Any]
    ) -> Protection:
        try:
            mode, until = bucket.retention(key, version)
        except DestinationError as exc:
            return _with(found, f"whether {key} is locked cannot be read: {exc}")
        if until is None or not _lasts(wanted, mode, until):
            kept = f"one until {until:%Y-%m-%d %H:%M} UTC only" if mode and until else "none"
            return _with(found, f"{key} is not locked: the server took the lock and kept {kept}")
        earlier = found.locked_until is None or until < found.locked_until
        return replace(found, locked_until=until) if earlier else found


def terms(
    where: str,
    provider_name: str,
    provider: Provider,
    *,
    storage_class: str | None,
    encryption: str | None,
    kms_key_id: str | None,
    tags: Mapping[str, Any],
    object_lock: Mapping[str, Any] | None,
    checksums: str,
) -> Terms:
    """Checked against what the provider has; raises ConfigError that names the option."""
    if storage_class and provider.classes and storage_class not in provider.classes:
        raise ConfigError(
            f"{where}.storage_class: {provider_name} has no class {storage_class!r}",
            hint="it has: " + ", ".join(provider.classes),
        )
    if kms_key_id and encryption != "aws:kms":
        raise ConfigError(
            f"{where}.kms_key_id: it is used with server_side_encryption: aws:kms only"
        )
    mode, length = "", timedelta()
    if object_lock is not None:
        given = check_options(f"{where}.object_lock", object_lock, LOCK)
        mode, length = str(given["mode"]).upper(), given["for"]
        if not provider.locks:
            raise ConfigError(
                f"{where}.object_lock: {provider_name} has no Object Lock for S3 clients",
                hint="set its own retention on the bucket, and take object_lock out",
            )
        if length < timedelta(days=1):
            raise ConfigError(f"{where}.object_lock.for: write at least 1d")
    return Terms(
        storage_class=storage_class or "",
        encryption=encryption or "",
        kms_key_id=kms_key_id or "",
        tagging=_tagging(where, tags),
        lock_mode=mode,
        lock_for=length,
        lock_checksum="CRC32" if mode and checksums == "when_required" else "",
    )


def _lasts(wanted: Mapping[str, Any], mode: str, until: datetime | None) -> bool:
    due = wanted["ObjectLockRetainUntilDate"].replace(microsecond=0)  # servers keep seconds
    return mode == wanted["ObjectLockMode"] and until is not None and until >= due


def _lockable(key: str) -> bool:
    key = key.partition(MENDED)[0]
    below_catalog = key.startswith(CATALOG + "/") and key.endswith((".json", ".json.sig"))
    return key.startswith(ARCHIVES + "/") or below_catalog


def _tagging(where: str, tags: Mapping[str, Any]) -> str:
    if len(tags) > 10:
        raise ConfigError(f"{where}.tags: S3 takes at most 10, not {len(tags)}")
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str) or not 0 < len(name) <= 128:
            raise ConfigError(f"{where}.tags: write texts, such as {{team: shop}}")
        if len(value) > 256 or name.startswith("aws:") or not _TAG.fullmatch(name + value):
            raise ConfigError(
                f"{where}.tags.{name}: S3 does not take it",
                hint="use letters, digits, spaces and + - = . _ : / @",
            )
    return urlencode(tags, quote_via=quote)  # to Ceph a + is a plus


def _with(found: Protection, problem: str) -> Protection:
    return replace(found, problems=(*found.problems, problem)) if problem else found
