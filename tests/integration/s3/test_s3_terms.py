"""What objects are stored with in S3 (lock, class, encryption, tags), asked again of real servers."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lifeboat.destinations.s3.destination import S3
from lifeboat.errors import DestinationError
from lifeboat.model import Secret
from lifeboat.s3_client import Denied

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import MIB, Bucket, client_of, moto_at, s3_at
from tests.lab import s3 as lab
from tests.unit.contracts.destination_contract import ARCHIVE, BLOCK, MANIFEST, TAG, finished

LOCK = {"mode": "governance", "for": "30d"}
# A server that answers 200 to a lock and keeps none; the ones at hand refuse, or keep it.
DEAF = """
from lifeboat.destinations.s3.bucket import Bucket
heard = Bucket._only_if_absent
def deaf(self, params, **event):
    heard(self, params, **event)
    for name in ("ObjectLockMode", "ObjectLockRetainUntilDate"):
        params.pop(name, None)
Bucket._only_if_absent = deaf
"""


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture
def locking(gateway: lab.Server) -> Bucket:
    """A bucket with Object Lock, and its owner's key."""
    return bucket_at(gateway, ObjectLockEnabledForBucket=True)


@pytest.fixture
def plain(gateway: lab.Server) -> Bucket:
    return bucket_at(gateway)


def bucket_at(gateway: lab.Server, **how: Any) -> Bucket:
    name, owner = "b-" + secrets.token_hex(6), lab.client(gateway.endpoint, gateway.root)
    owner.create_bucket(Bucket=name, **how)
    return Bucket(gateway.endpoint, name, gateway.root, owner)


def a_host(tmp_path: Path, bucket: Bucket, **options: Any) -> Host:
    host = Host(tmp_path)
    host.fill(50)
    host.configuration["destinations"]["offsite"] = {
        "type": "s3",
        "bucket": bucket.name,
        "endpoint": bucket.endpoint,
        "credential": "s3",
        **options,
    }
    host.job["destinations"] = ["disk", "offsite"]
    host.configure()
    credentials = host.root / "config" / "credentials"
    credentials.mkdir(mode=0o700, exist_ok=True)
    (credentials / "s3").touch(mode=0o600)
    keys = {
        "access_key_id": bucket.host["access_key"],
        "secret_access_key": bucket.host["secret_key"],
    }
    (credentials / "s3").write_text(json.dumps(keys))
    return host


def listed(host: Host) -> dict[str, Any]:
    (one,) = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    return dict(one)


# -- Object Lock


@pytest.mark.parametrize("blocks", [1, 24], ids=["one object", "in parts"])
def test_an_archive_is_locked_for_as_long_as_was_asked(
    locking: Bucket, tmp_path: Path, blocks: int
) -> None:
    place = s3_at(locking, object_lock=LOCK, part_size=5 * MIB)
    place.prepare()
    place.store(ARCHIVE, finished(tmp_path, BLOCK * blocks))
    place.put(MANIFEST, b"{}")
    place.put(TAG, b"")
    kept = place.protection([ARCHIVE, MANIFEST])
    assert kept.problems == ()
    assert kept.locked_until is not None
    assert abs(kept.locked_until - now() - timedelta(days=30)) < timedelta(minutes=5)
    (version,) = locking.owner.list_object_versions(Bucket=locking.name, Prefix=ARCHIVE)["Versions"]
    with pytest.raises(Exception, match="AccessDenied"):
        locking.owner.delete_object(
            Bucket=locking.name, Key=ARCHIVE, VersionId=version["VersionId"]
        )
    marks = locking.owner.head_object(Bucket=locking.name, Key=TAG)
    assert "ObjectLockMode" not in marks


def test_a_run_says_until_when_its_copy_is_locked(locking: Bucket, tmp_path: Path) -> None:
    host = a_host(tmp_path, locking, object_lock=LOCK)
    host.run()
    until = datetime.fromisoformat(listed(host)["locked_until"]["offsite"].replace("Z", "+00:00"))
    assert abs(until - now() - timedelta(days=30)) < timedelta(minutes=5)
    assert "offsite:intact (locked)" in host.lifeboat("list", "shop").stdout


def test_a_bucket_that_cannot_lock_is_told_before_anything_is_dumped(
    plain: Bucket, tmp_path: Path
) -> None:
    host = a_host(tmp_path, plain, object_lock=LOCK)
    host.job["destinations"] = ["offsite"]
    host.configure()
    before = "from lifeboat.sources.sqlite.source import SQLite\nSQLite.open = None\n"  # may not be asked
    done = host.lifeboat("run", "shop", before=before)
    assert done.returncode == 1
    assert "it was made without Object Lock" in done.stderr
    assert plain.owner.list_objects_v2(Bucket=plain.name)["KeyCount"] == 0


def test_a_destination_that_cannot_lock_costs_itself_only(plain: Bucket, tmp_path: Path) -> None:
    host = a_host(tmp_path, plain, object_lock=LOCK)
    done = host.lifeboat("run", "shop")
    assert done.returncode == 3
    assert listed(host)["copies"] == {"disk": "intact"}


def test_a_server_that_ignores_the_lock_gives_no_copy_that_is_said_to_be_locked(
    locking: Bucket, tmp_path: Path
) -> None:
    host = a_host(tmp_path, locking, object_lock=LOCK)
    done = host.lifeboat("run", "shop", before=DEAF)
    assert done.returncode == 4
    assert "is not locked" in done.stderr
    told = listed(host)
    assert told["copies"] == {"disk": "intact", "offsite": "intact"}
    assert told["locked_until"] == {}


SHORT = """
from datetime import datetime, timedelta, timezone
from lifeboat.destinations.s3.bucket import Bucket
heard = Bucket._only_if_absent
def short(self, params, **event):
    heard(self, params, **event)
    if "ObjectLockRetainUntilDate" in params:
        params["ObjectLockRetainUntilDate"] = datetime.now(timezone.utc) + timedelta(days=2)
Bucket._only_if_absent = short
"""


def test_a_lock_that_is_shorter_than_was_asked_is_told(locking: Bucket, tmp_path: Path) -> None:
    host = a_host(tmp_path, locking, object_lock=LOCK)
    done = host.lifeboat("run", "shop", before=SHORT)
    assert done.returncode == 4
    until = (now() + timedelta(days=2)).strftime("%Y-%m-%d")
    assert f"kept one until {until}" in done.stderr
    assert listed(host)["locked_until"] == {}


# -- class, encryption, tags


def test_a_class_that_the_server_does_not_have_is_told(
    plain: Bucket, gateway: lab.Server, tmp_path: Path
) -> None:
    host = a_host(tmp_path, plain, storage_class="INTELLIGENT_TIERING")
    done = host.lifeboat("run", "shop")
    if gateway.kind == lab.RADOSGW:  # it refuses what others store as STANDARD
        assert done.returncode == 3
        assert "InvalidArgument" in done.stderr
        assert "has what is asked for by storage_class" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert "stored as STANDARD, not as INTELLIGENT_TIERING" in done.stderr


def test_a_class_that_the_server_has_is_not_remarked_on(
    moto_bucket: Bucket, tmp_path: Path
) -> None:
    place = s3_at(moto_bucket, storage_class="INTELLIGENT_TIERING")
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    assert place.protection([ARCHIVE]).remarks == ()


def test_a_server_that_does_not_encrypt_is_told(
    plain: Bucket, gateway: lab.Server, tmp_path: Path
) -> None:
    host = a_host(tmp_path, plain, server_side_encryption="AES256")
    done = host.lifeboat("run", "shop")
    if gateway.kind == lab.RADOSGW:  # it refuses, where it has no key
        assert done.returncode == 3
        assert "has what is asked for by server_side_encryption" in done.stderr
        return
    assert done.returncode == 4
    assert "is not encrypted by the server (none, not AES256)" in done.stderr


def test_encryption_by_a_key_of_ones_own_is_read_back(
    moto: str, moto_root: dict[str, str], moto_bucket: Bucket, tmp_path: Path
) -> None:
    kms = client_of("kms", moto, moto_root)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    place = s3_at(moto_bucket, server_side_encryption="aws:kms", kms_key_id=key)
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    place.put(MANIFEST, b"{}")
    assert place.protection([ARCHIVE, MANIFEST]).problems == ()
    other = s3_at(moto_bucket, server_side_encryption="aws:kms", kms_key_id="another")
    (problem,) = other.protection([ARCHIVE]).problems
    assert "another key" in problem


def test_tags_are_on_every_object(plain: Bucket, tmp_path: Path) -> None:
    place = s3_at(plain, tags={"team": "shop + co", "env": "production"}, part_size=5 * MIB)
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 24))
    place.put(MANIFEST, b"{}")
    for key in (ARCHIVE, MANIFEST):
        found = plain.owner.get_object_tagging(Bucket=plain.name, Key=key)["TagSet"]
        assert {one["Key"]: one["Value"] for one in found} == {
            "team": "shop + co",
            "env": "production",
        }


def forgetting(place: S3) -> S3:
    """As Ceph does: of what an upload in parts is begun with it keeps neither tags nor lock."""

    def forget(params: dict[str, Any], **_event: Any) -> None:
        for name in ("Tagging", "ObjectLockMode", "ObjectLockRetainUntilDate"):
            params.pop(name, None)

    events = place._bucket.client.meta.events
    events.register("before-parameter-build.s3.CreateMultipartUpload", forget)
    return place


def test_tags_and_lock_that_an_upload_in_parts_lost_are_set(
    locking: Bucket, tmp_path: Path
) -> None:
    options = {"tags": {"team": "a b"}, "object_lock": LOCK, "part_size": 5 * MIB}
    place = forgetting(s3_at(locking, **options))
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 24))
    kept = place.protection([ARCHIVE])
    assert (kept.problems, kept.remarks) == ((), ())
    assert kept.locked_until is not None
    found = locking.owner.get_object_tagging(Bucket=locking.name, Key=ARCHIVE)["TagSet"]
    assert found == [{"Key": "team", "Value": "a b"}]


def test_a_manifest_that_is_there_already_without_a_lock_is_told(locking: Bucket) -> None:
    """An attempt before this one was cut off, when no lock was asked for."""
    s3_at(locking).put(MANIFEST, b"{}")
    place = s3_at(locking, object_lock=LOCK)
    place.put(MANIFEST, b"{}")
    (problem,) = place.protection([MANIFEST]).problems
    assert "is not locked" in problem


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_an_upload_in_parts_is_locked_for_longer_than_the_rule_of_the_bucket(
    locking: Bucket, tmp_path: Path, mode: str
) -> None:
    """Ceph locks it by that rule, whatever the upload was begun with."""
    rule = {"DefaultRetention": {"Mode": mode.upper(), "Days": 1}}
    locking.owner.put_object_lock_configuration(
        Bucket=locking.name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    lock = {"mode": mode, "for": "2d"}
    place = forgetting(s3_at(locking, object_lock=lock, part_size=5 * MIB))
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 24))
    kept = place.protection([ARCHIVE])
    assert kept.problems == ()
    assert kept.locked_until is not None
    assert kept.locked_until > now() + timedelta(hours=47)


def test_tags_that_may_not_be_set_are_told(
    plain: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_key: str, _tags: Any) -> None:
        raise Denied("PutObjectTagging is denied")

    place = forgetting(s3_at(plain, tags={"team": "shop"}, part_size=5 * MIB))
    monkeypatch.setattr(place._bucket, "tag", denied)
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 24))
    assert place.protection([ARCHIVE]).remarks == (
        f"{ARCHIVE} has no tags: PutObjectTagging is denied",
    )


# -- what was replaced behind our back


def test_what_was_replaced_is_noticed_and_the_version_before_it_restores(
    locking: Bucket, tmp_path: Path
) -> None:
    host = a_host(tmp_path, locking)
    id_ = host.run()
    (archive,) = [
        one["Key"]
        for one in locking.owner.list_objects_v2(Bucket=locking.name, Prefix="archives/")[
            "Contents"
        ]
        if "db.database" in one["Key"]
    ]
    size = locking.owner.head_object(Bucket=locking.name, Key=archive)["ContentLength"]
    manifest = f"catalog/h1/shop/{id_}.json"
    locking.owner.put_object(Bucket=locking.name, Key=archive, Body=b"\0" * size)
    locking.owner.put_object(Bucket=locking.name, Key=manifest, Body=b"{}")
    done = host.lifeboat("verify", "shop", "--at", "offsite", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)
    assert "its SHA-256 differs" in finding["problem"]
    assert "uses the version before" in finding["hint"]
    host.database.unlink()
    back = host.restore(id_, "--at", "offsite")
    assert back.returncode == 0, back.stderr
    assert host.rows() == 50


def test_what_was_deleted_behind_a_marker_restores(locking: Bucket, tmp_path: Path) -> None:
    host = a_host(tmp_path, locking)
    id_ = host.run()
    for one in locking.owner.list_objects_v2(Bucket=locking.name, Prefix="archives/")["Contents"]:
        locking.owner.delete_object(Bucket=locking.name, Key=one["Key"])
    host.database.unlink()
    back = host.restore(id_, "--at", "offsite")
    assert back.returncode == 0, back.stderr
    assert host.rows() == 50


# -- identities


def test_a_role_is_assumed_with_the_credential(
    moto: str, moto_root: dict[str, str], moto_bucket: Bucket, tmp_path: Path
) -> None:
    role = role_for(moto, moto_root, moto_bucket.name)
    place = s3_at(moto_bucket, moto_root, role_arn=role, sts_endpoint=moto)
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    used = place._bucket.client._request_signer._credentials
    assert used.method == "assume-role"
    assert used.token


def test_a_key_of_a_session_is_taken_with_its_token(
    moto: str, moto_root: dict[str, str], moto_bucket: Bucket
) -> None:
    sts = client_of("sts", moto, moto_root)
    role = role_for(moto, moto_root, moto_bucket.name)
    given = sts.assume_role(RoleArn=role, RoleSessionName="by-hand")["Credentials"]
    key = {"access_key_id": given["AccessKeyId"], "secret_access_key": given["SecretAccessKey"]}

    def at(credential: dict[str, str]) -> S3:
        where = {"bucket": moto_bucket.name, "endpoint": moto, "region": lab.REGION}
        return S3(name="offsite", credential=Secret.of(credential), **where)

    at({**key, "session_token": given["SessionToken"]}).put(MANIFEST, b"{}")
    with pytest.raises(DestinationError) as caught:
        at(key).put(MANIFEST, b"{}")
    assert given["SessionToken"] not in "\n".join(caught.value.lines())


def test_a_web_identity_is_exchanged_for_a_role(tmp_path: Path) -> None:
    """On a moto that asks for no rights: with them it fails over the exchange, which nobody signs."""
    token = tmp_path / "token"
    token.write_text("a.b.c")
    with moto_at(tmp_path) as endpoint:
        owner = {"access_key": "owner", "secret_key": "owner"}
        lab.client(endpoint, owner).create_bucket(Bucket="b-web")
        place = S3(
            name="offsite",
            bucket="b-web",
            endpoint=endpoint,
            role_arn="arn:aws:iam::123456789012:role/backup",
            web_identity_token_file=str(token),
            sts_endpoint=endpoint,
        )
        place.put(MANIFEST, b"{}")
        assert [one.key for one in place.list("")] == [MANIFEST]
    assert place._bucket.client._request_signer._credentials.token


def test_a_host_with_an_instance_role_needs_no_credential(
    moto: str, moto_root: dict[str, str], moto_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud's own metadata service is played; what it hands out is a role's key."""
    sts = client_of("sts", moto, moto_root)
    role = role_for(moto, moto_root, moto_bucket.name)
    given = sts.assume_role(RoleArn=role, RoleSessionName="i-1")["Credentials"]
    with metadata_service(given) as endpoint:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
        place = s3_at(moto_bucket, credential=None)
        place.put(MANIFEST, b"{}")
    assert place._bucket.client._request_signer._credentials.method == "iam-role"


@contextmanager
def metadata_service(key: dict[str, Any]) -> Iterator[str]:
    roles = "/latest/meta-data/iam/security-credentials/"
    given = {
        "Code": "Success",
        "AccessKeyId": key["AccessKeyId"],
        "SecretAccessKey": key["SecretAccessKey"],
        "Token": key["SessionToken"],
        "Expiration": (now() + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

    class Answers(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.say(b"token")

        def do_GET(self) -> None:
            self.say(b"backup" if self.path == roles else json.dumps(given).encode())

        def say(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_role_that_may_not_be_assumed_is_told(bucket: Bucket, moto: str) -> None:
    """With a key that moto does not know."""
    place = s3_at(bucket, role_arn="arn:aws:iam::123456789012:role/backup", sts_endpoint=moto)
    with pytest.raises(DestinationError, match="access key or its secret is refused"):
        place.check()


def test_a_profile_that_is_not_there_is_told(bucket: Bucket) -> None:
    place = s3_at(bucket, credential=None, profile="nobody")
    with pytest.raises(DestinationError, match="profile \\(nobody\\) could not be found"):
        place.check()


def role_for(moto: str, root: dict[str, str], bucket: str) -> str:
    iam = client_of("iam", moto, root)
    name = "r-" + secrets.token_hex(4)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    allow = [{"Effect": "Allow", "Action": "s3:*", "Resource": resources}]
    iam.put_role_policy(
        RoleName=name,
        PolicyName="backup",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow}),
    )
    return str(made)


# -- cold storage


def test_a_copy_in_cold_storage_is_thawed_and_fetched(
    moto_bucket: Bucket, moto_root: dict[str, str], tmp_path: Path
) -> None:
    moto_bucket.host = moto_root
    host = a_host(tmp_path, moto_bucket, storage_class="DEEP_ARCHIVE")
    host.job["destinations"] = ["offsite"]
    host.configure()
    done = host.lifeboat("run", "shop")
    assert done.returncode == 0, done.stderr
    id_ = done.stdout.strip()
    assert listed(host)["copies"] == {"offsite": "archived"}
    assert not listed(host)["good"]
    fetch = ("fetch", id_, str(tmp_path / "rescue"))
    frozen = host.lifeboat(*fetch)
    assert frozen.returncode == 1
    assert "lie in cold storage" in frozen.stderr
    assert "12 hours" in frozen.stderr
    asked = host.lifeboat(*fetch, "--thaw", "--tier", "bulk")
    assert asked.returncode == 1
    assert "takes 48 hours" in asked.stderr
    there = host.lifeboat(*fetch, "--thaw")  # moto's hours are over at once
    assert there.returncode == 0, there.stderr
    assert (tmp_path / "rescue" / "SHA256SUMS").exists()
    host.database.unlink()
    back = host.restore(id_)
    assert back.returncode == 0, back.stderr
    assert host.rows() == 50
