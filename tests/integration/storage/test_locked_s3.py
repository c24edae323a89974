# SPDX-License-Identifier: GPL-3.0-or-later
"""Locked objects and the pruner that the role makes: they are not hidden behind a delete marker."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from lifeboat.destinations.s3 import S3
from lifeboat.naming import archive_key, backup_id, manifest_key

from tests.integration.s3.conftest import Bucket, s3_at
from tests.integration.storage.conftest import gateway, on_versitygw  # noqa: F401
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
    return on_versitygw(gateway, WHO, lock=LOCK)


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
