# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning a bucket: many in one request, what is denied or locked is told and stays."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest
from lifeboat.destinations.s3.destination import S3
from lifeboat.errors import DestinationError
from lifeboat.job import Job
from lifeboat.listed import copies
from lifeboat.manifest import encode
from lifeboat.model import Manifest
from lifeboat.naming import archive_key, backup_id, manifest_key, mark_key, mended_key
from lifeboat.operations.upkeep import prune
from lifeboat.policy import Keep
from lifeboat.s3_client import Denied
from lifeboat.stored import Mark

from tests.integration.s3.conftest import Bucket, make_bucket, s3_at
from tests.lab import s3 as lab

NOW = datetime.now(timezone.utc).replace(microsecond=0)
DAY = timedelta(days=1)
OURS = ["catalog/db1/", "archives/db1/"]
MAY = {"read": OURS, "write": OURS}


@pytest.fixture
def shared(gateway: lab.Server) -> Bucket:
    """A bucket with a host that may only append, and its pruner."""
    return make_bucket(gateway, host=MAY, pruner={**MAY, "delete": OURS})


def sound(id_: str, at: datetime) -> Manifest:
    when = ("daily", "dev", at, at, "lifeboat 0.1.0", True)
    return Manifest(id_, "db1", "shop", *when, (), ())


def fill(bucket: Bucket, days: int) -> list[str]:
    """Good backups, one a day, newest first, put there as the host."""
    place = s3_at(bucket)
    ids = []
    for back in range(days):
        at = NOW - timedelta(hours=1) - DAY * back
        ids.append(backup_id(at, "daily", "%04x" % back))
        place.put(archive_key("db1", "shop", ids[-1], "db.database.sqlite.zst"), b"archive")
        place.put(manifest_key("db1", "shop", ids[-1]), encode(sound(ids[-1], at)))
        place.put(mark_key("db1", "shop", ids[-1], Mark("intact", at)), b"")
    return ids


def job(bucket: Bucket, who: str, **options: object) -> Job:
    place = s3_at(bucket, bucket.others[who], **options)
    return Job("shop", "db1", "dev", (), (), (place,), keep=Keep(last=3), prunes=("offsite",))


def report(bucket: Bucket, id_: str, days: int, **options: object) -> str:
    """The key of what a drill left beside a backup so many days ago, put there as the host."""
    key = mark_key("db1", "shop", id_, Mark("report", NOW - DAY * days))
    s3_at(bucket, **options).put(key, b"{}")
    return key


def test_a_pruner_lets_go_of_old_reports_of_drills_and_the_host_cannot(shared: Bucket) -> None:
    (id_,) = fill(shared, 1)
    old = [report(shared, id_, back) for back in (200, 199, *range(1, 6))][:2]
    host, pruner = job(shared, "host"), job(shared, "pruner")

    (denied,) = prune.apply(host, prune.plan(host, NOW), lambda: NOW)
    (done,) = prune.apply(pruner, prune.plan(pruner, NOW), lambda: NOW)

    assert denied.reports == ()
    assert [name for name, _why in denied.retained] == [key.rpartition("/")[2] for key in old]
    assert done.reports == tuple(old)
    assert len([one for one in pruner.destinations[0].list("catalog/") if "report" in one.key]) == 5


def there(made: Job) -> list[str]:
    (place,) = made.destinations
    return [one.id for one in copies(place.list("catalog/db1/shop/")) if one.committed]


def test_a_pruner_deletes_what_the_host_itself_cannot(shared: Bucket) -> None:
    ids = fill(shared, 6)
    host = job(shared, "host")
    (denied,) = prune.apply(host, prune.plan(host, NOW), lambda: NOW)
    assert denied.pruned == ()
    assert sorted(id_ for id_, _why in denied.retained) == sorted(ids[3:])
    assert all("is denied" in why for _id, why in denied.retained)
    assert there(host) == ids

    pruner = job(shared, "pruner")
    (done,) = prune.apply(pruner, prune.plan(pruner, NOW), lambda: NOW)
    assert sorted(done.pruned) == sorted(ids[3:])
    assert done.retained == ()
    assert there(pruner) == ids[:3]
    later = NOW + timedelta(hours=25)
    (swept,) = prune.apply(pruner, prune.plan(pruner, later), lambda: later)
    assert sorted(swept.swept) == sorted(ids[3:])
    listed = shared.owner.list_objects_v2(Bucket=shared.name, Prefix="archives/")["Contents"]
    assert len(listed) == 3


def test_what_is_gone_is_no_error_and_other_hosts_are_out_of_reach(shared: Bucket) -> None:
    place = s3_at(shared, shared.others["pruner"])
    place.put("catalog/db1/x", b"1")
    shared.owner.put_object(Bucket=shared.name, Key="catalog/db2/x", Body=b"2")
    stay = place.delete_many(["catalog/db1/x", "catalog/db1/never", "catalog/db2/x"])
    assert set(stay) <= {"catalog/db1/x", "catalog/db1/never", "catalog/db2/x"}
    assert "catalog/db2/x" in stay
    assert shared.owner.get_object(Bucket=shared.name, Key="catalog/db2/x")["Body"].read() == b"2"


def test_a_thousand_go_in_one_request(bucket: Bucket, gateway: lab.Server) -> None:
    # Ceph lets only those do it who may delete in all of the bucket
    place = s3_at(bucket, gateway.root if gateway.kind == lab.RADOSGW else None)
    keys = [f"catalog/db1/{number:04}" for number in range(1000)]
    bucket.fill(keys)
    calls: list[str] = []
    client = place._bucket.client
    client.meta.events.register("before-call.s3", lambda model, **_event: calls.append(model.name))
    assert place.delete_many(keys) == {}
    assert calls == ["DeleteObjects"]
    assert list(place.list("catalog/")) == []


def deny_many(place: S3) -> None:
    def denied(_keys: object) -> None:
        raise Denied("DeleteObjects is denied")

    place._bucket.delete_many = denied  # type: ignore[assignment, method-assign]


def test_where_many_at_once_are_denied_they_go_one_by_one(bucket: Bucket) -> None:
    """Ceph wants a right on the whole bucket for it; a pruner has rights to its prefixes."""
    place = s3_at(bucket)
    keys = [f"catalog/db1/{number}" for number in range(3)]
    bucket.fill(keys)
    deny_many(place)
    assert place.delete_many(keys) == {}
    assert list(place.list("catalog/")) == []


def test_a_locked_object_is_retained_and_says_until_when(gateway: lab.Server) -> None:
    owner = lab.client(gateway.endpoint, gateway.root)
    owner.create_bucket(Bucket="locked-prune", ObjectLockEnabledForBucket=True)
    bucket = Bucket(gateway.endpoint, "locked-prune", gateway.root, owner)
    place = s3_at(bucket, object_lock={"mode": "governance", "for": "2d"})
    key = manifest_key("db1", "shop", backup_id(NOW, "daily", "0001"))
    place.put(key, b"{}")
    mark = mark_key("db1", "shop", backup_id(NOW, "daily", "0001"), Mark("intact", NOW))
    place.put(mark, b"")
    mended = mended_key(key, NOW)
    place.put(mended, b"{}")
    stay = place.delete_many([key, mark, mended])
    assert list(stay) == [key, mended]
    assert stay[key].startswith("locked until ")
    assert [one.key for one in place.list("catalog/")] == [key, mended]


def test_a_report_of_a_drill_that_is_locked_is_retained(gateway: lab.Server) -> None:
    owner = lab.client(gateway.endpoint, gateway.root)
    owner.create_bucket(Bucket="locked-reports", ObjectLockEnabledForBucket=True)
    bucket = Bucket(gateway.endpoint, "locked-reports", gateway.root, owner)
    bucket.others["pruner"] = gateway.root
    (id_,) = fill(bucket, 1)
    old = [report(bucket, id_, back) for back in (200, 199, *range(1, 6))][:2]
    until = {"Mode": "GOVERNANCE", "RetainUntilDate": NOW + 2 * DAY}
    for key in old:
        owner.put_object_retention(Bucket="locked-reports", Key=key, Retention=until)
    made = job(bucket, "pruner", object_lock={"mode": "governance", "for": "2d"})

    (done,) = prune.apply(made, prune.plan(made, NOW), lambda: NOW)

    assert done.reports == ()
    assert [name for name, _why in done.retained] == [key.rpartition("/")[2] for key in old]
    assert all(why.startswith("locked until ") for _name, why in done.retained)


def test_a_server_that_is_gone_is_an_error_and_not_a_refusal(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    with lab.Server(tmp_path_factory.mktemp("own")) as server:
        bucket = make_bucket(server, host={"read": [""], "write": [""], "delete": [""]})
        place = s3_at(
            bucket, connect_timeout=timedelta(seconds=1), read_timeout=timedelta(seconds=1)
        )
        place.put("catalog/db1/x", b"1")
    with pytest.raises(DestinationError) as caught:
        place.delete_many(["catalog/db1/x"])
    assert not caught.value.permanent


def test_a_server_that_hangs_is_waited_for_once_and_not_for_each_key(tmp_path: Path) -> None:
    """Where many at once are denied, as Ceph does to a pruner, a thousand would take days."""
    with lab.Server(tmp_path / "own") as server:
        bucket = make_bucket(server, host=MAY, pruner={**MAY, "delete": OURS})
        short = {"connect_timeout": timedelta(seconds=1), "read_timeout": timedelta(seconds=1)}
        place = s3_at(bucket, bucket.others["pruner"], **short)
        keys = [f"catalog/db1/{number}" for number in range(4)]
        bucket.fill(keys)
        asked: list[str] = []

        def asks(request: AWSPreparedRequest, **_event: object) -> None:
            asked.append(request.url)
            if len(asked) == 2:
                server.pause()

        place._bucket.client.meta.events.register("before-send.s3.DeleteObject", asks)
        deny_many(place)
        try:
            with pytest.raises(DestinationError, match="cannot be reached") as caught:
                place.delete_many(keys)
        finally:
            server.resume()
        assert not caught.value.permanent
        assert [url.rsplit("/", 1)[1] for url in dict.fromkeys(asked)] == ["0", "1"]
