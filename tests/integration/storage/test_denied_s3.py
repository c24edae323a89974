# SPDX-License-Identifier: GPL-3.0-or-later
"""What the identities of a bucket may not do is denied, by servers that enforce their policies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lifeboat.destinations.s3.destination import S3

from tests.integration.s3.conftest import Bucket, s3_at
from tests.integration.storage.conftest import DRILLED, on_a_gateway
from tests.lab import s3 as lab

OWN = "catalog/db1/shop/20261121T020000Z-daily-7f3a.json"
ARCHIVE = "archives/db1/shop/20261121T020000Z-daily-7f3a/db.database.pgdump"
OTHER = "catalog/db2/shop/20261121T020000Z-daily-0b17.json"
NEW = "catalog/db1/shop/20261122T020000Z-daily-0001.json"


@pytest.fixture(params=["gateway", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """With a backup of db1 and one of db2 in it, each written with its own host's identity."""
    made: Bucket = (
        request.getfixturevalue("kept")
        if request.param == "gateway"
        else request.getfixturevalue("on_moto")()
    )
    for who, key in (("db1", OWN), ("db1", ARCHIVE), ("db2", OTHER)):
        at(made, who).put(key, b"first")
    return made


def at(bucket: Bucket, who: str) -> S3:
    """The engine's own destination, with that identity."""
    return s3_at(bucket, bucket.others[who])


def refused(bucket: Bucket, who: str, operation: str, **request: Any) -> bool:
    """Whether the server refuses it for want of rights; anything else it may say is a failure."""
    client = lab.client(bucket.endpoint, bucket.others[who])
    try:
        getattr(client, operation)(**{"Bucket": bucket.name, **request})
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return True
    return False


def oldest(bucket: Bucket, key: str) -> tuple[str, bytes]:
    """(version, bytes) of what was first stored under a key."""
    versions = bucket.owner.list_object_versions(Bucket=bucket.name, Prefix=key)["Versions"]
    first = versions[-1]["VersionId"]  # the newest is listed first
    stored = bucket.owner.get_object(Bucket=bucket.name, Key=key, VersionId=first)
    return first, stored["Body"].read()


def test_a_host_works_with_its_own_backups(bucket: Bucket) -> None:
    place = at(bucket, "db1")
    place.put(NEW, b"new")
    with place.open(OWN) as stored:
        assert stored.read() == b"first"
    assert {one.key for one in place.list("catalog/db1/shop/")} == {OWN, NEW}
    place.sweep("archives/db1/shop/", datetime(2020, 1, 1, tzinfo=timezone.utc))


def test_a_host_deletes_nothing(bucket: Bucket) -> None:
    version, content = oldest(bucket, OWN)
    for key in (OWN, ARCHIVE, OTHER):
        assert refused(bucket, "db1", "delete_object", Key=key)
    assert refused(bucket, "db1", "delete_object", Key=OWN, VersionId=version)
    assert oldest(bucket, OWN) == (version, content)


def test_a_second_write_loses_nothing(bucket: Bucket) -> None:
    # AWS refuses this put, by the condition s3:if-none-match in the policy; the test servers pass
    # over it, so here it is the bucket's versions that keep what was there
    lab.client(bucket.endpoint, bucket.others["db1"]).put_object(
        Bucket=bucket.name, Key=OWN, Body=b"forged"
    )
    version, content = oldest(bucket, OWN)
    assert content == b"first"
    assert refused(bucket, "db1", "delete_object", Key=OWN, VersionId=version)


def test_a_host_sees_nothing_of_another(bucket: Bucket) -> None:
    assert refused(bucket, "db1", "get_object", Key=OTHER)
    assert refused(bucket, "db1", "put_object", Key=OTHER, Body=b"x")
    assert refused(bucket, "db1", "put_object", Key="elsewhere", Body=b"x")


def test_a_listing_shows_a_host_its_own_names_only(kept: Bucket) -> None:
    """On the gateway alone: moto passes over s3:prefix, and lists all or nothing."""
    assert not refused(kept, "db1", "list_objects_v2", Prefix="catalog/db1/shop/")
    assert refused(kept, "db1", "list_objects_v2", Prefix="catalog/db2/shop/")
    assert refused(kept, "db1", "list_objects_v2")


@pytest.mark.parametrize("who", ["db1", "pruner", "restorer"])
def test_nobody_reaches_another_bucket_or_changes_this_one(bucket: Bucket, who: str) -> None:
    other = f"x{bucket.name}"
    bucket.owner.create_bucket(Bucket=other)
    assert refused(bucket, who, "put_object", Bucket=other, Key=OWN, Body=b"x")
    assert refused(bucket, who, "list_objects_v2", Bucket=other)
    assert refused(bucket, who, "put_bucket_policy", Policy="{}")
    assert refused(
        bucket, who, "put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"}
    )
    assert refused(bucket, who, "delete_bucket")


def test_the_pruner_marks_and_deletes_and_reads_no_archive(bucket: Bucket) -> None:
    place = at(bucket, "pruner")
    place.put(OWN.replace(".json", ".pruned-20261201T020000Z"), b"")
    for key in (OWN, ARCHIVE):
        place.delete(key)
    assert {one.key for one in place.list("archives/")} == set()
    assert oldest(bucket, ARCHIVE)[1] == b"first"  # until its version expires
    assert refused(bucket, "pruner", "delete_object", Key=OWN, VersionId=oldest(bucket, OWN)[0])
    at(bucket, "db1").put(ARCHIVE.replace("7f3a", "7f3b"), b"secret")
    assert refused(bucket, "pruner", "get_object", Key=ARCHIVE.replace("7f3a", "7f3b"))
    assert refused(bucket, "pruner", "put_object", Key=ARCHIVE, Body=b"forged")


def test_the_restorer_reads_and_changes_nothing(bucket: Bucket) -> None:
    place = at(bucket, "restorer")
    for key in (OWN, ARCHIVE, OTHER):
        with place.open(key) as stored:
            assert stored.read() == b"first"
        assert refused(bucket, "restorer", "delete_object", Key=key)
        assert refused(bucket, "restorer", "put_object", Key=key, Body=b"x")


@pytest.mark.parametrize("server", ["gateway", "moto"])
def test_a_drill_host_reads_what_it_drills_and_adds_what_its_drills_told(
    server: str, request: pytest.FixtureRequest
) -> None:
    bucket: Bucket = (
        on_a_gateway(request.getfixturevalue("gateway"), DRILLED)
        if server == "gateway"
        else request.getfixturevalue("on_moto")(DRILLED)
    )
    other = OWN.replace("/shop/", "/wiki/")
    for key in (OWN, ARCHIVE, other):
        at(bucket, "db1").put(key, b"first")
    place = at(bucket, "drill")

    for key in (OWN, ARCHIVE):
        with place.open(key) as stored:
            assert stored.read() == b"first"
        assert refused(bucket, "drill", "delete_object", Key=key)
        assert refused(bucket, "drill", "put_object", Key=key, Body=b"forged")
    assert {one.key for one in place.list("catalog/db1/shop/")} == {OWN}
    for mark in ("drilled", "bad", "report"):
        place.put(OWN.replace(".json", f".{mark}-20261122T050000Z"), b"")
    for mark in ("intact", "pin", "pruned", "replaced"):
        key = OWN.replace(".json", f".{mark}-20261122T050000Z")
        assert refused(bucket, "drill", "put_object", Key=key, Body=b"")
    for key in (NEW, f"{OWN}.sig", "elsewhere", other):
        assert refused(bucket, "drill", "put_object", Key=key, Body=b"forged")
    assert refused(bucket, "drill", "get_object", Key=other)
    if server == "gateway":  # moto passes over s3:prefix
        assert refused(bucket, "drill", "list_objects_v2", Prefix="catalog/db1/wiki/")
        assert refused(bucket, "drill", "list_objects_v2")


def test_a_standard_host_uses_the_one_bucket_and_nothing_else(
    on_moto: Callable[..., Bucket],
) -> None:
    bucket = on_moto({"db1": ("standard", "")})
    place = at(bucket, "db1")
    place.put(OWN, b"first")
    place.delete(OWN)
    assert list(place.list("catalog/")) == []
    bucket.owner.create_bucket(Bucket=f"x{bucket.name}")
    assert refused(bucket, "db1", "list_objects_v2", Bucket=f"x{bucket.name}")
    assert refused(bucket, "db1", "put_object", Bucket=f"x{bucket.name}", Key=OWN, Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        lab.client(bucket.endpoint, bucket.others["db1"]).list_buckets()
