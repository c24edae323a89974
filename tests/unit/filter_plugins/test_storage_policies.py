# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies, word for word: test servers pass over some of their conditions, so the text is the proof."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

policies = importlib.import_module(
    "ansible_collections.lifeboat.backup.plugins.filter.storage_policies"
)
PLACE = {"type": "s3", "bucket": "acme", "prefix": "/fleet/"}
BUCKET = "arn:aws:s3:::acme"
OWN = [f"{BUCKET}/fleet/catalog/db1/*", f"{BUCKET}/fleet/archives/db1/*"]


def of(identity: str, place: dict[str, Any] = PLACE, **words: Any) -> list[dict[str, Any]]:
    made = policies.storage_identity_policy(place, identity, **words)
    assert made["Version"] == "2012-10-17"
    statements: list[dict[str, Any]] = made["Statement"]
    assert {one["Effect"] for one in statements} == {"Allow"}
    return statements


def test_an_append_only_host_lists_reads_and_adds_below_its_own_prefixes() -> None:
    assert of("append_only", host="db1") == [
        {
            "Sid": "List",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": [BUCKET],
            "Condition": {
                "StringLike": {"s3:prefix": ["fleet/catalog/db1/*", "fleet/archives/db1/*"]}
            },
        },
        {
            "Sid": "ListUploads",
            "Effect": "Allow",
            "Action": ["s3:ListBucketMultipartUploads"],
            "Resource": [BUCKET],
        },
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": OWN,
        },
        {
            "Sid": "Add",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": OWN,
            "Condition": {"Null": {"s3:if-none-match": "false"}},
        },
        {
            "Sid": "AddParts",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": OWN,
            "Condition": {"Bool": {"s3:ObjectCreationOperation": "false"}},
        },
        {
            "Sid": "Uploads",
            "Effect": "Allow",
            "Action": ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            "Resource": OWN,
        },
    ]


def test_a_standard_host_has_the_classic_rights_on_the_one_bucket() -> None:
    assert of("standard", {"bucket": "acme"}) == [
        {
            "Sid": "List",
            "Effect": "Allow",
            "Action": [
                "s3:ListBucket",
                "s3:ListBucketVersions",
                "s3:ListBucketMultipartUploads",
            ],
            "Resource": [BUCKET],
        },
        {
            "Sid": "Objects",
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            "Resource": [f"{BUCKET}/*"],
        },
    ]


def actions(identity: str, **words: Any) -> dict[str, list[str]]:
    """{action: what it may be done to}"""
    return {action: one["Resource"] for one in of(identity, **words) for action in one["Action"]}


def test_the_pruner_deletes_everywhere_and_reads_no_archive() -> None:
    allowed = actions("pruner")
    both = [f"{BUCKET}/fleet/catalog/*", f"{BUCKET}/fleet/archives/*"]
    assert allowed == {
        "s3:ListBucket": [BUCKET],
        "s3:ListBucketVersions": [BUCKET],
        "s3:ListBucketMultipartUploads": [BUCKET],
        "s3:GetObject": both[:1],
        "s3:GetObjectVersion": both[:1],
        "s3:PutObject": both[:1],
        "s3:DeleteObject": both,
        "s3:AbortMultipartUpload": both,
    }


def test_the_pruner_reads_the_locks_that_hold_it_back() -> None:
    place = {**PLACE, "object_lock": {"mode": "compliance", "for": "30d"}}
    assert of("pruner", place)[-1] == {
        "Sid": "Locks",
        "Effect": "Allow",
        "Action": ["s3:GetObjectRetention", "s3:GetObjectLegalHold"],
        "Resource": [f"{BUCKET}/fleet/catalog/*", f"{BUCKET}/fleet/archives/*"],
    }


def test_the_restorer_reads_everything_and_changes_nothing() -> None:
    assert set(actions("restorer")) == {
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:RestoreObject",
    }


def test_a_drill_host_reads_what_it_drills_and_adds_what_the_drills_told() -> None:
    drilled = {"db2": ["shop"], "db1": ["wiki", "shop"]}
    jobs = ["db1/shop", "db1/wiki", "db2/shop"]
    read = [f"fleet/{part}/{job}/*" for part in ("catalog", "archives") for job in jobs]
    told = [
        f"{BUCKET}/fleet/catalog/{job}/*.{mark}-*"
        for mark in ("drilled", "bad", "report")
        for job in jobs
    ]
    assert of("drill", drilled=drilled) == [
        {
            "Sid": "List",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": [BUCKET],
            "Condition": {"StringLike": {"s3:prefix": read}},
        },
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{BUCKET}/{one}" for one in read],
        },
        {
            "Sid": "Tell",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": told,
            "Condition": {"Null": {"s3:if-none-match": "false"}},
        },
    ]


def test_the_rights_of_a_few_drills_are_one_policy() -> None:
    drilled = {"db2": ["shop"], "db1": ["wiki", "shop"]}
    whole = policies.storage_identity_policy(PLACE, "drill", drilled=drilled)
    assert policies.storage_drill_policies(PLACE, drilled) == [whole]
    assert policies.storage_drill_policies(PLACE, {}) == []


def test_the_rights_of_hundreds_of_drills_are_divided_and_are_neither_more_nor_less() -> None:
    place = {**PLACE, "tags": {"team": "shop"}, "object_lock": {"mode": "compliance", "for": "30d"}}
    drilled = {f"db{host}": [f"job-{job}" for job in range(7)] for host in range(40)}
    whole = policies.storage_identity_policy(place, "drill", drilled=drilled)["Statement"]
    made = policies.storage_drill_policies(place, drilled)
    assert all(len(json.dumps(one, separators=(",", ":"))) <= 6144 for one in made)
    assert len(made) > 10
    for number, statement in enumerate(whole):
        parts = [one["Statement"][number] for one in made]
        fixed = {name: statement[name] for name in ("Sid", "Effect", "Action")}
        assert all(fixed.items() <= part.items() for part in parts)
        assert keys_of(*parts) == keys_of(statement)
    jobs = [len(one["Statement"][0]["Condition"]["StringLike"]["s3:prefix"]) for one in made]
    assert sum(jobs) == 2 * 280  # no job twice
    assert min(jobs[:-1]) >= max(jobs) - 2  # and each policy as full as it can be


def keys_of(*statements: dict[str, Any]) -> tuple[set[str], set[str], list[str]]:
    """(resources, prefixes, operators of conditions)"""
    conditions = [one.get("Condition", {}) for one in statements]
    prefixes = [one.get("StringLike", {}).get("s3:prefix", []) for one in conditions]
    return (
        {key for one in statements for key in one["Resource"]},
        {prefix for some in prefixes for prefix in some},
        sorted({operator for one in conditions for operator in one}),
    )


def test_fifteen_jobs_fit_into_a_policy_and_a_hundred_and_fifty_into_ten() -> None:
    place = {"bucket": "acme-backups"}
    drilled = {f"database{host}": ["orders", "wiki", "billing"] for host in range(50)}
    few = {host: drilled[host] for host in sorted(drilled)[:5]}
    assert len(policies.storage_drill_policies(place, few)) == 1
    assert len(policies.storage_drill_policies(place, drilled)) == 10


def test_a_job_whose_names_are_too_long_for_any_policy_is_refused_by_name() -> None:
    place = {"bucket": "acme", "prefix": "p" * 900}
    with pytest.raises(AnsibleFilterError, match=r"job shop of host db1.*6144.*shorter prefix"):
        policies.storage_drill_policies(place, {"db1": ["shop"]})


@pytest.mark.parametrize("identity", ["append_only", "standard", "pruner", "restorer", "drill"])
def test_nobody_may_take_versions_locks_or_the_bucket_away(identity: str) -> None:
    allowed = set(actions(identity, host="db1", drilled={"db1": ["shop"]}))
    assert not [one for one in allowed if "*" in one]
    for word in ("Version", "Bypass", "Retention", "LegalHold", "Lifecycle", "Policy"):
        assert not [
            one for one in allowed if word in one and not one.startswith(("s3:Get", "s3:List"))
        ]
    assert ("s3:DeleteObject" in allowed) is (identity in ("standard", "pruner"))


def test_tags_and_locks_that_the_destination_asks_for_may_be_set() -> None:
    place = {**PLACE, "tags": {"team": "shop"}, "object_lock": {"mode": "compliance", "for": "30d"}}
    assert of("append_only", place, host="db1")[-3:] == [
        {"Sid": "Tag", "Effect": "Allow", "Action": ["s3:PutObjectTagging"], "Resource": OWN},
        {
            "Sid": "Lock",
            "Effect": "Allow",
            "Action": ["s3:PutObjectRetention", "s3:GetObjectRetention"],
            "Resource": OWN,
        },
        {
            "Sid": "Locks",
            "Effect": "Allow",
            "Action": ["s3:GetBucketObjectLockConfiguration"],
            "Resource": [BUCKET],
        },
    ]


def test_a_key_of_kms_may_be_used() -> None:
    key = "arn:aws:kms:eu-west-3:111122223333:key/1"
    place = {**PLACE, "kms_key_id": key}
    assert of("append_only", place, host="db1")[-1]["Resource"] == [key]
    assert of("restorer", place)[-1]["Action"] == ["kms:Decrypt"]


def test_other_partitions_have_their_own_names() -> None:
    assert of("standard", partition="aws-cn")[0]["Resource"] == ["arn:aws-cn:s3:::acme"]


def test_a_host_without_a_name_is_refused() -> None:
    for words in (("append_only",), ("drill",), ("owner",)):
        with pytest.raises(AnsibleFilterError):
            policies.storage_identity_policy(PLACE, *words)


def test_the_bucket_takes_no_request_without_tls() -> None:
    assert policies.storage_bucket_policy("acme") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyByTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [BUCKET, f"{BUCKET}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
