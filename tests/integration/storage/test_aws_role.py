# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on moto, which enforces IAM: bucket, identity and key are made, used, and replaced.

moto passes over the conditions of policies, so a bucket policy that refuses what is not TLS would
refuse everything here: its text is asserted in tests/unit/filter_plugins, and the role goes without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.integration.rescue.host import Host
from tests.integration.roles.inventory import RECIPIENT, ROOT, Ran, Site, job
from tests.integration.s3.conftest import client_of
from tests.integration.s3.test_s3_terms import metadata_service
from tests.lab import s3 as lab

BUCKET = "acme-backups"


@pytest.fixture(scope="module")
def collections() -> str:
    try:
        found = subprocess.run(
            [ROOT / "tests" / "lab" / "collections"], check=True, stdout=subprocess.PIPE, text=True
        )
    except subprocess.CalledProcessError:
        pytest.skip("the collections of AWS could not be fetched")
    return found.stdout.strip()


@pytest.fixture
def site(tmp_path: Path, moto: str, moto_root: dict[str, str], collections: str) -> Site:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "motd").write_text("hello")
    place = {"type": "s3", "bucket": BUCKET, "region": "us-east-1", "mode": "append_only"}
    variables = {
        "lifeboat_scope": "user",
        "lifeboat_root": str(tmp_path / "root"),
        "lifeboat_encryption": {"age_recipients": [RECIPIENT]},
        "lifeboat_destinations": {"offsite": {**place, "endpoint": moto, "credential": "acme_s3"}},
        "lifeboat_jobs": {"shop": job(tmp_path, "offsite")},
        "backup_storage_manage": True,
        "backup_storage_aws": {
            "endpoint_url": moto,
            "access_key": moto_root["access_key"],
            "secret_key": moto_root["secret_key"],
        },
        "backup_storage_tls": False,
        "backup_storage_archive_days": 30,
        "backup_storage_archive_class": "GLACIER",
        "backup_agent_python": sys.executable,
        "backup_agent_cache": str(ROOT / ".cache" / "vendor"),
    }
    return Site(tmp_path, variables, ["db1"], collections)


@pytest.fixture
def aws(moto: str, moto_root: dict[str, str]) -> dict[str, Any]:
    return {name: client_of(name, moto, moto_root) for name in ("iam", "s3")}


def provisioned(site: Site, *roles: str, **variables: Any) -> Ran:
    ran = site.run(list(roles) or ["backup_storage"], **variables)
    assert ran.status == 0, ran.output[-4000:]
    return ran


def keys_alone(site: Site) -> None:
    ran = site.run(["backup_storage"], "--tags", "backup_storage_keys")
    assert ran.status == 0, ran.output[-4000:]


def held(site: Site) -> dict[str, str]:
    """The key on the host."""
    stored = site.root / "config" / "credentials" / "acme_s3"
    assert stored.stat().st_mode & 0o077 == 0
    found: dict[str, str] = json.loads(stored.read_text())
    return found


def keys(aws: dict[str, Any]) -> dict[str, str]:
    listed = aws["iam"].list_access_keys(UserName="lifeboat-db1-acme_s3")["AccessKeyMetadata"]
    return {one["AccessKeyId"]: one["Status"] for one in listed}


def test_bucket_identity_and_key_are_made_used_and_replaced(
    site: Site, aws: dict[str, Any], moto: str
) -> None:
    ran = provisioned(site, "backup_storage", "backup_agent")
    first = held(site)
    assert first["secret_access_key"] not in ran.output
    assert keys(aws) == {first["access_key_id"]: "Active"}

    # -- the bucket
    s3 = aws["s3"]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    encrypted = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]
    assert "AES256" in json.dumps(encrypted)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    by_name = {rule["ID"]: rule for rule in rules}
    archives = by_name["lifeboat-offsite-archives"]
    assert archives["Filter"]["Prefix"] == "archives/"
    assert archives["Transitions"] == [{"Days": 30, "StorageClass": "GLACIER"}]
    rest = by_name["lifeboat-offsite-rest"]
    assert rest["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rest["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 3

    # -- the identity: its own rights, and no console
    with pytest.raises(ClientError, match="NoSuchEntity"):
        aws["iam"].get_login_profile(UserName="lifeboat-db1-acme_s3")
    names = aws["iam"].list_user_policies(UserName="lifeboat-db1-acme_s3")["PolicyNames"]
    assert names == ["lifeboat-offsite"]
    assert (
        aws["iam"].list_attached_user_policies(UserName="lifeboat-db1-acme_s3")["AttachedPolicies"]
        == []
    )
    client = lab.client(
        moto, {"access_key": first["access_key_id"], "secret_key": first["secret_access_key"]}
    )
    client.put_object(Bucket=BUCKET, Key="catalog/db1/shop/x", Body=b"", IfNoneMatch="*")
    for request in (
        lambda: client.delete_object(Bucket=BUCKET, Key="catalog/db1/shop/x"),
        lambda: client.put_object(Bucket=BUCKET, Key="catalog/db2/shop/x", Body=b""),
        lambda: client.list_buckets(),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            request()
    aws["iam"].get_user(UserName="lifeboat-restorer-offsite")
    assert (
        aws["iam"].list_access_keys(UserName="lifeboat-restorer-offsite")["AccessKeyMetadata"] == []
    )

    # -- it is used, and the second time nothing changes, or is lost
    done = subprocess.run(
        [str(site.root / "bin" / "lifeboat"), "run", "shop", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    again = provisioned(site)
    assert again.unchanged, again.output[-3000:]
    assert held(site) == first

    # -- it is replaced: both work, then the old one does not, then it is gone
    site.variables["backup_storage_key_days"] = -1
    keys_alone(site)
    second = held(site)
    assert second["access_key_id"] != first["access_key_id"]
    assert keys(aws) == {first["access_key_id"]: "Active", second["access_key_id"]: "Active"}
    site.variables["backup_storage_key_days"] = 90
    site.variables["backup_storage_key_overlap_days"] = 0
    keys_alone(site)
    assert keys(aws) == {first["access_key_id"]: "Inactive", second["access_key_id"]: "Active"}
    assert held(site) == second

    # -- a host that lost its key gets another one, for which what is inactive makes room
    (site.root / "config" / "credentials" / "acme_s3").unlink()
    keys_alone(site)
    third = held(site)["access_key_id"]
    assert keys(aws) == {second["access_key_id"]: "Active", third: "Active"}


def test_a_drill_host_gets_an_identity_and_drills_with_it_what_another_host_backed_up(
    site: Site, tmp_path: Path, aws: dict[str, Any], moto_root: dict[str, str]
) -> None:
    place = site.variables["lifeboat_destinations"]["offsite"]
    place["bucket"] = "acme-drilled"
    jobs = site.variables.pop("lifeboat_jobs")
    site.hosts.append("drill1")
    site.variables.update(
        lifeboat_drill_host="drill1",
        lifeboat_jobs="{{ {} if inventory_hostname == 'drill1' else theirs }}",
        theirs=jobs,
        lifeboat_root=str(tmp_path / "{{ inventory_hostname }}"),
    )

    ran = site.run(["backup_storage"], "--limit", "drill1")

    assert ran.status == 0, ran.output[-4000:]
    user = "lifeboat-drill1-acme_s3"
    attached = aws["iam"].list_attached_user_policies(UserName=user)["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == [f"{user}-offsite-drill"]
    assert aws["iam"].list_user_policies(UserName=user)["PolicyNames"] == []
    hosts = {name: Host(tmp_path, name) for name in ("db1", "drill1")}
    for host in hosts.values():
        host.configuration["destinations"] = {"offsite": place}
        host.configuration["jobs"] = jobs
    root = {"access_key_id": moto_root["access_key"], "secret_access_key": moto_root["secret_key"]}
    keep(hosts["db1"], "acme_s3", root)
    hosts["db1"].configure()
    made = hosts["db1"].run()
    jobs["shop"]["drill"] = {"hosts": ["db1"], "identity": {"credential": "drill_key"}}
    keep(hosts["drill1"], "drill_key", hosts["db1"].key.read_text())
    hosts["drill1"].configure()
    done = hosts["drill1"].lifeboat("drill", "shop", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["host"], told["id"], told["mark"]) == ("db1", made, "drilled")
    (line,) = [
        one
        for one in json.loads(hosts["db1"].lifeboat("status", "--json").stdout)
        if one["source"] == "drill"
    ]
    assert line["reason"].startswith(f"drill1, {made} from offsite: the last passed")
    again = site.run(["backup_storage"], "--tags", "backup_storage_keys", "--limit", "drill1")
    assert again.unchanged, again.output[-3000:]


@pytest.mark.nightly
def test_a_drill_host_of_many_jobs_has_rights_to_each_of_them_and_to_nothing_else(
    site: Site, aws: dict[str, Any], moto: str
) -> None:
    site.variables["lifeboat_destinations"]["offsite"]["bucket"] = "acme-many"
    body = next(iter(site.variables.pop("lifeboat_jobs").values()))
    site.hosts.append("drill2")
    site.variables.update(
        lifeboat_drill_host="drill2",
        lifeboat_jobs="{{ {} if inventory_hostname == 'drill2' else theirs }}",
        lifeboat_root=str(site.folder / "{{ inventory_hostname }}"),
        theirs={f"job{number:02}": body for number in range(40)},
    )
    iam, user = aws["iam"], "lifeboat-drill2-acme_s3"
    words = ("--limit", "drill2", "--tags", "backup_storage_keys")
    aws["s3"].create_bucket(Bucket="acme-many")
    names = [f"{user}-offsite-drill", f"{user}-offsite-drill-2", f"{user}-offsite-drill-3"]

    def attached() -> list[str]:
        listed = iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        return sorted(one["PolicyName"] for one in listed)

    # -- more than IAM holds: refused before anything is there
    refused = site.run(["backup_storage"], *words, backup_storage_drill_policies=2)
    assert refused.status != 0
    for told in (f"{user} would need 3 policies for the 40 jobs", "6144", "Nothing was changed"):
        assert told in refused.output
    assert user not in [one["UserName"] for one in iam.list_users()["Users"]]

    # -- divided, and enforced
    ran = site.run(["backup_storage"], *words)
    assert ran.status == 0, ran.output[-4000:]
    assert attached() == names
    key = json.loads((site.folder / "drill2/config/credentials/acme_s3").read_text())
    client = lab.client(
        moto, {"access_key": key["access_key_id"], "secret_key": key["secret_access_key"]}
    )
    for name in ("job00", "job39"):
        aws["s3"].put_object(Bucket="acme-many", Key=f"archives/db1/{name}/x", Body=b"x")
        assert (
            client.get_object(Bucket="acme-many", Key=f"archives/db1/{name}/x")["Body"].read()
            == b"x"
        )
        client.put_object(
            Bucket="acme-many", Key=f"catalog/db1/{name}/x.drilled-1", Body=b"", IfNoneMatch="*"
        )
    aws["s3"].put_object(Bucket="acme-many", Key="archives/db1/job40/x", Body=b"x")
    for request in (
        lambda: client.get_object(Bucket="acme-many", Key="archives/db1/job40/x"),
        lambda: client.put_object(Bucket="acme-many", Key="catalog/db1/job39/x.intact-1", Body=b""),
        lambda: client.delete_object(Bucket="acme-many", Key="archives/db1/job39/x"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            request()

    # -- what others gave it is said, and taken away; what they wrote is said; what is over is deleted
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    by_hand = iam.create_policy(PolicyName="everything", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user, PolicyArn=by_hand)
    iam.put_user_policy(UserName=user, PolicyName="mine", PolicyDocument=document)
    site.variables["theirs"] = dict(list(site.variables["theirs"].items())[:20])
    said = (f"detached from {user}, for this role alone gives it rights: {by_hand}.", "mine.")
    looked = site.run(["backup_storage"], *words, "--check")
    assert looked.status == 0, looked.output[-3000:]
    assert all(one in looked.output for one in said)
    assert attached() == sorted(["everything", *names])
    ran = site.run(["backup_storage"], *words)
    assert ran.status == 0, ran.output[-3000:]
    assert all(one in ran.output for one in said)
    assert attached() == names[:2]
    ours = [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]]
    assert names[2] not in ours
    assert "everything" in ours
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["mine"]
    iam.delete_user_policy(UserName=user, PolicyName="mine")
    again = site.run(["backup_storage"], *words)
    assert again.unchanged, again.output[-3000:]
    assert "Say what was attached by hand" in again.output
    assert "detached from" not in again.output


def keep(host: Host, name: str, secret: Any) -> None:
    folder = host.root / "config" / "credentials"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(secret))
    (folder / name).chmod(0o600)


def lifeboat(site: Site, *words: str, **environment: str) -> Any:
    done = subprocess.run(
        [str(site.root / "bin" / "lifeboat"), *words, "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.nightly
def test_a_bucket_with_object_lock_and_a_key_of_ones_own_keeps_what_the_host_stores(
    site: Site, aws: dict[str, Any], moto: str, moto_root: dict[str, str]
) -> None:
    """moto keeps locks and keys, and refuses to delete what is locked. It cannot be asked for the retention
    of an object (it answers 500), so the lock is the bucket's own here, not the destination's: that one
    is read back in s3/test_s3_terms.py and in test_locked_s3.py."""
    kms = client_of("kms", moto, moto_root)
    key = kms.create_key(Description="backups")["KeyMetadata"]["Arn"]
    place = site.variables["lifeboat_destinations"]["offsite"]
    place.update(
        bucket="acme-locked",
        server_side_encryption="aws:kms",
        checksums="when_supported",  # as moto demands where the bucket locks by itself
        kms_key_id=key,
    )
    site.variables.update(
        backup_storage_lock_mode="GOVERNANCE",
        backup_storage_lock_days=1,
    )
    provisioned(site, "backup_storage", "backup_agent")

    # -- the bucket
    s3 = aws["s3"]
    lock = s3.get_object_lock_configuration(Bucket="acme-locked")["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"
    by_default = lock["Rule"]["DefaultRetention"]
    assert (by_default["Mode"], by_default["Days"]) == ("GOVERNANCE", 1)
    held_by = s3.get_bucket_encryption(Bucket="acme-locked")["ServerSideEncryptionConfiguration"]
    by_default = held_by["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    assert by_default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}

    # -- the identity: it may use that key, and loosen no lock
    document = aws["iam"].get_user_policy(
        UserName="lifeboat-db1-acme_s3", PolicyName="lifeboat-offsite"
    )["PolicyDocument"]
    by_name = {one["Sid"]: one for one in document["Statement"]}
    assert by_name["Key"]["Resource"] == [key]
    assert by_name["Key"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    actions = {action for one in document["Statement"] for action in one["Action"]}
    assert "s3:BypassGovernanceRetention" not in actions
    assert "s3:DeleteObjectVersion" not in actions

    # -- what the host stores is locked, and encrypted so, as the engine itself has read back
    lifeboat(site, "run", "shop")
    (told,) = lifeboat(site, "list", "shop")
    assert told["copies"] == {"offsite": "intact"}
    stored = s3.list_objects_v2(Bucket="acme-locked", Prefix="archives/")["Contents"]
    archive = next(one["Key"] for one in stored if one["Key"].endswith(".age"))
    head = s3.head_object(Bucket="acme-locked", Key=archive)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    left = head["ObjectLockRetainUntilDate"] - datetime.now(timezone.utc)
    assert timedelta(hours=23) < left <= timedelta(days=1)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="acme-locked", Key=archive, VersionId=head["VersionId"])
    assert s3.head_object(Bucket="acme-locked", Key=archive)["VersionId"] == head["VersionId"]
    # not provisioned again: moto tells of `Years: 0` besides, which the module takes for another lock


@pytest.mark.nightly
def test_a_destination_without_credential_is_used_by_the_instance_role(
    site: Site, aws: dict[str, Any], moto: str, moto_root: dict[str, str]
) -> None:
    """Role and profile are on the server, and their key's rights are enforced; that the instance's own
    metadata service hands it out is played."""
    place = site.variables["lifeboat_destinations"]["offsite"]
    place.update(bucket="acme-by-role")
    del place["credential"]

    provisioned(site, "backup_storage", "backup_agent")

    profile = aws["iam"].get_instance_profile(InstanceProfileName="lifeboat-db1")["InstanceProfile"]
    (role,) = profile["Roles"]
    assert role["RoleName"] == "lifeboat-db1"
    trusted = role["AssumeRolePolicyDocument"]["Statement"]
    assert [one["Principal"] for one in trusted] == [{"Service": "ec2.amazonaws.com"}]
    # moto fails over a service as the principal of a trust: so it hears another one from here on
    trusted[0]["Principal"] = {"AWS": "*"}
    aws["iam"].update_assume_role_policy(
        RoleName="lifeboat-db1",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trusted}),
    )
    given = client_of("sts", moto, moto_root).assume_role(
        RoleArn=role["Arn"], RoleSessionName="i-1"
    )["Credentials"]
    with metadata_service(given) as endpoint:
        lifeboat(
            site,
            "run",
            "shop",
            AWS_EC2_METADATA_DISABLED="false",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoint,
        )
    listed = aws["s3"].list_objects_v2(Bucket="acme-by-role", Prefix="catalog/db1/shop/")
    assert any(one["Key"].endswith(".json") for one in listed["Contents"])
    client = boto3.client(
        "s3",
        endpoint_url=moto,
        region_name=lab.REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    for request in (
        lambda: client.delete_object(Bucket="acme-by-role", Key=listed["Contents"][0]["Key"]),
        lambda: client.put_object(Bucket="acme-by-role", Key="catalog/db2/shop/x", Body=b""),
        lambda: client.put_bucket_policy(Bucket="acme-by-role", Policy="{}"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            request()


def test_nothing_is_touched_unless_it_is_asked_for(site: Site, aws: dict[str, Any]) -> None:
    site.variables["backup_storage_manage"] = False
    site.variables["lifeboat_destinations"]["offsite"]["bucket"] = "not-asked-for"
    assert provisioned(site).unchanged
    assert "not-asked-for" not in [one["Name"] for one in aws["s3"].list_buckets()["Buckets"]]


def test_without_the_collections_it_says_how_to_get_them(site: Site) -> None:
    site.collections = ""
    ran = site.run(["backup_storage"])
    assert ran.status != 0
    assert "ansible-galaxy collection install amazon.aws community.aws" in ran.output
    assert "changed=0" in ran.output
