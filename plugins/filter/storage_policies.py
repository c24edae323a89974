# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that each identity gets at AWS, as policies: pure functions of names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.engine.naming import REPORT

_ARN = "arn:{partition}:s3:::"
# Without these an upload in parts cannot be taken up again, or away. They touch nothing that is stored.
_UPLOADS = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
_READ = ["s3:GetObject", "s3:GetObjectVersion"]
# What is asked before a delete: it would hide what is locked, and say nothing.
_LOCKS = ["s3:GetObjectRetention", "s3:GetObjectLegalHold"]
_CATALOG = "catalog"
_ALL = [f"{_CATALOG}/*", "archives/*"]
# What a drill says beside a backup: docs/format.md#marks.
_DRILL_MARKS = ("drilled", "bad", REPORT)
# Of a managed policy, without white space: "IAM and AWS STS quotas" in IAM's guide.
_LONGEST = 6144

Statement = dict[str, Any]


def storage_identity_policy(
    destination: Mapping[str, Any],
    identity: str,
    host: str = "",
    partition: str = "aws",
    drilled: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """The policy of one identity at one destination of type s3: its least rights, as a mapping.

    drilled: {host: its jobs} that a drill host restores from there.
    """
    if identity not in _IDENTITIES:
        raise AnsibleFilterError(
            f"storage_identity_policy: {identity!r} is none of {', '.join(sorted(_IDENTITIES))}"
        )
    if identity == "append_only" and not host:
        raise AnsibleFilterError("storage_identity_policy: append_only needs the host's name")
    if identity == "drill" and not drilled:
        raise AnsibleFilterError("storage_identity_policy: drill needs the jobs that are drilled")
    place = _Place(destination, partition, host, drilled or {})
    statements = [*_IDENTITIES[identity](place), *_kms(destination, identity)]
    return {"Version": "2012-10-17", "Statement": statements}


def storage_drill_policies(
    destination: Mapping[str, Any], drilled: Mapping[str, list[str]], partition: str = "aws"
) -> list[dict[str, Any]]:
    """The policies of a drill host at one destination: together exactly its rights, each no longer than a
    managed policy of IAM may be. None without jobs."""
    made: list[dict[str, Any]] = []
    held: dict[str, list[str]] = {}
    for host, job in ((name, job) for name in sorted(drilled) for job in sorted(drilled[name])):
        more = {**held, host: [*held.get(host, []), job]}
        policy = storage_identity_policy(destination, "drill", "", partition, more)
        if held and _length(policy) > _LONGEST:
            more = {host: [job]}
            policy = storage_identity_policy(destination, "drill", "", partition, more)
            made.append(policy)
        elif held:
            made[-1] = policy
        else:
            made = [policy]
        if _length(policy) > _LONGEST:
            raise AnsibleFilterError(
                f"storage_drill_policies: the names of job {job} of host {host}, its bucket and its prefix are"
                f" so long that its policy takes more than the {_LONGEST} characters that IAM allows: give"
                " the destination a shorter prefix"
            )
        held = more
    return made


def _length(policy: Mapping[str, Any]) -> int:
    """As IAM counts it."""
    return len(json.dumps(policy, separators=(",", ":")))


def storage_bucket_policy(bucket: str, tls: bool = True, partition: str = "aws") -> dict[str, Any]:
    """What holds for everybody, whatever their own policies say: no request without TLS."""
    arn = _ARN.format(partition=partition) + bucket
    denied = {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [denied] if tls else []}


class _Place:
    """Names of one destination as policies have them."""

    def __init__(
        self,
        destination: Mapping[str, Any],
        partition: str,
        host: str,
        drilled: Mapping[str, list[str]],
    ) -> None:
        self.bucket = _ARN.format(partition=partition) + str(destination["bucket"])
        prefix = str(destination.get("prefix") or "").strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.tags, self.locks = destination.get("tags"), destination.get("object_lock")
        self.own = [f"catalog/{host}/*", f"archives/{host}/*"]
        self.drilled = [
            f"{host}/{job}" for host in sorted(drilled) for job in sorted(drilled[host])
        ]

    def keys(self, names: list[str]) -> list[str]:
        return [f"{self.bucket}/{self.prefix}{name}" for name in names]

    def lists(self, names: list[str]) -> list[Statement]:
        """Listing of these names alone, with their versions. Open uploads cannot be told apart by their names."""
        below = {"StringLike": {"s3:prefix": [self.prefix + name for name in names]}}
        return [
            _allow("List", ["s3:ListBucket", "s3:ListBucketVersions"], [self.bucket], below),
            _allow("ListUploads", ["s3:ListBucketMultipartUploads"], [self.bucket]),
        ]

    def adds(self, names: list[str]) -> list[Statement]:
        """Writing of new names: what completes an object must say `If-None-Match`, and the server then
        refuses a name that is there. What only begins or fills an upload cannot say it."""
        keys, absent = self.keys(names), {"Null": {"s3:if-none-match": "false"}}
        parts = {"Bool": {"s3:ObjectCreationOperation": "false"}}
        return [
            _allow("Add", ["s3:PutObject"], keys, absent),
            _allow("AddParts", ["s3:PutObject"], keys, parts),
            _allow("Uploads", _UPLOADS, keys),
            *self.terms(names),
        ]

    def terms(self, names: list[str]) -> list[Statement]:
        """What the destination's own options ask for: tags, and a lock that can only be made longer."""
        keys, made = self.keys(names), []
        if self.tags:
            made.append(_allow("Tag", ["s3:PutObjectTagging"], keys))
        if self.locks:
            made.append(_allow("Lock", ["s3:PutObjectRetention", "s3:GetObjectRetention"], keys))
            made.append(_allow("Locks", ["s3:GetBucketObjectLockConfiguration"], [self.bucket]))
        return made


def _append_only(place: _Place) -> list[Statement]:
    return [
        *place.lists(place.own),
        _allow("Read", _READ, place.keys(place.own)),
        *place.adds(place.own),
    ]


def _standard(place: _Place) -> list[Statement]:
    lists = ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"]
    objects = [*_READ, "s3:PutObject", "s3:DeleteObject"]
    return [
        _allow("List", lists, [place.bucket]),
        _allow("Objects", [*objects, *_UPLOADS], place.keys(["*"])),
        *place.terms(["*"]),
        *([_allow("Holds", ["s3:GetObjectLegalHold"], place.keys(["*"]))] if place.locks else []),
    ]


def _pruner(place: _Place) -> list[Statement]:
    catalog = place.keys(["catalog/*"])
    return [
        *place.lists(_ALL),
        _allow("Read", _READ, catalog),
        _allow("Mark", ["s3:PutObject"], catalog, {"Null": {"s3:if-none-match": "false"}}),
        _allow("Delete", ["s3:DeleteObject", "s3:AbortMultipartUpload"], place.keys(_ALL)),
        # A delete of what is locked is no error: it hides it. So the lock is asked for first.
        *([_allow("Locks", _LOCKS, place.keys(_ALL))] if place.locks else []),
    ]


def _restorer(place: _Place) -> list[Statement]:
    return [
        *place.lists(_ALL)[:1],
        _allow("Read", [*_READ, "s3:RestoreObject"], place.keys(_ALL)),
    ]


def _drill(place: _Place) -> list[Statement]:
    """Reads what it drills. Of what it writes, a name is all that there is room for: what a drill told."""
    read = [f"{part}/{job}/*" for part in (_CATALOG, "archives") for job in place.drilled]
    told = [f"{_CATALOG}/{job}/*.{mark}-*" for mark in _DRILL_MARKS for job in place.drilled]
    absent = {"Null": {"s3:if-none-match": "false"}}
    made = [
        *place.lists(read)[:1],
        _allow("Read", _READ, place.keys(read)),
        _allow("Tell", ["s3:PutObject"], place.keys(told), absent),
    ]
    return [*made, *place.terms(told)]


_IDENTITIES: dict[str, Callable[[_Place], list[Statement]]] = {
    "append_only": _append_only,
    "standard": _standard,
    "pruner": _pruner,
    "restorer": _restorer,
    "drill": _drill,
}


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: Mapping[str, Any] | None = None
) -> Statement:
    made: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**made, "Condition": dict(condition)} if condition else made


def _kms(destination: Mapping[str, Any], identity: str) -> list[Statement]:
    """Use of the key that objects are encrypted with; writing in parts needs both."""
    key = str(destination.get("kms_key_id") or "")
    if not key.startswith("arn:"):
        return []
    actions = ["kms:Decrypt"] if identity == "restorer" else ["kms:Decrypt", "kms:GenerateDataKey"]
    return [_allow("Key", actions, [key])]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "storage_identity_policy": storage_identity_policy,
            "storage_drill_policies": storage_drill_policies,
            "storage_bucket_policy": storage_bucket_policy,
        }
