# SPDX-License-Identifier: GPL-3.0-or-later
"""Locked objects and the pruner that the role makes: they are not hidden behind a delete marker."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from lifeboat.destinations.s3.destination import S3
from lifeboat.naming import archive_key, backup_id, manifest_key

from tests.integration.s3.conftest import Bucket, s3_at
from tests.integration.storage.conftest import gateway, on_a_gateway  # noqa: F401
from tests.lab import s3 as lab

LOCK = {"mode": "governance", "for": "2d"}
WHO = {"host": ("append_only", "db1"), "pruner": ("pruner", "")}
ID = backup_id(datetime.now(timezone.utc), "daily", "0001")
KEYS = [
    archive_key("db1", "shop", ID, "db.database.sqlite.zst"),
    manifest_key("db1", "shop", ID),
]


def stored(bucket: Bucket) -> S3:
    """Two locked objects; the destination as the pruner."""
    place = s3_at(bucket, object_lock=LOCK)
    for key in KEYS:
        place.put(key, b"{}")
    return s3_at(bucket, bucket.others["pruner"], object_lock=LOCK)


@pytest.fixture
def bucket(gateway: lab.Server) -> Bucket:  # noqa: F811
    return on_a_gateway(gateway, WHO, lock=LOCK)


def hidden(bucket: Bucket) -> list[str]:
    listed = bucket.owner.list_object_versions(Bucket=bucket.name).get("DeleteMarkers", [])
    return [one["Key"] for one in listed]


def test_the_pruner_that_the_role_makes_sees_the_locks(bucket: Bucket) -> None:
    stay = stored(bucket).delete_many(KEYS)
    assert sorted(stay) == sorted(KEYS)
    assert all(why.startswith("locked until ") for why in stay.values())
    assert hidden(bucket) == []


def test_what_a_pruner_may_not_ask_about_stays(bucket: Bucket) -> None:
    place = stored(bucket)
    policy = bucket.owner.get_bucket_policy(Bucket=bucket.name)["Policy"]
    assert "s3:GetObjectRetention" in policy
    weaker = policy.replace("s3:GetObjectRetention", "s3:GetObjectTagging")
    bucket.owner.put_bucket_policy(Bucket=bucket.name, Policy=weaker)
    stay = place.delete_many(KEYS)
    assert sorted(stay) == sorted(KEYS)
    assert all(why.startswith("its lock cannot be read: ") for why in stay.values())
    assert hidden(bucket) == []


def test_what_is_under_a_legal_hold_stays_and_is_not_hidden(bucket: Bucket) -> None:
    place = s3_at(bucket)  # as before locks were configured: nothing but the hold keeps it
    for key in KEYS:
        place.put(key, b"{}")
    bucket.owner.put_object_legal_hold(Bucket=bucket.name, Key=KEYS[0], LegalHold={"Status": "ON"})
    pruner = s3_at(bucket, bucket.others["pruner"], object_lock=LOCK)
    assert pruner.locked(KEYS) == {KEYS[0]: "under a legal hold"}
    assert pruner.delete_many(KEYS) == {KEYS[0]: "under a legal hold"}
    assert hidden(bucket) == [KEYS[1]]
    bucket.owner.put_object_legal_hold(Bucket=bucket.name, Key=KEYS[0], LegalHold={"Status": "OFF"})
    assert pruner.delete_many(KEYS[:1]) == {}


def test_the_host_reads_its_lock_back_and_can_delete_no_locked_version(bucket: Bucket) -> None:
    place = s3_at(bucket, object_lock=LOCK)  # the host's own identity
    for key in KEYS:
        place.put(key, b"{}")
    told = place.protection(KEYS)
    assert told.problems == ()
    assert told.locked_until is not None
    left = told.locked_until - datetime.now(timezone.utc)
    assert timedelta(days=1, hours=23) < left <= timedelta(days=2)
    host = lab.client(bucket.endpoint, bucket.others["host"])
    listed = bucket.owner.list_object_versions(Bucket=bucket.name)["Versions"]
    versions = {one["Key"]: one["VersionId"] for one in listed}
    at = {"Bucket": bucket.name, "Key": KEYS[0], "VersionId": versions[KEYS[0]]}
    with pytest.raises(ClientError, match="AccessDenied"):  # by its policy
        host.delete_object(**at)
    everything = {
        "Effect": "Allow",
        "Principal": {"AWS": [lab.principal(bucket.endpoint, bucket.others["host"]["access_key"])]},
        "Action": ["s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        "Resource": [f"arn:aws:s3:::{bucket.name}/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    bucket.owner.put_bucket_policy(Bucket=bucket.name, Policy=document)
    with pytest.raises(
        ClientError, match=r"Object.*[Ll]ock|WORM|AccessDenied"
    ):  # by the lock itself
        host.delete_object(**at)
    assert bucket.owner.get_object(**at)["Body"].read() == b"{}"
