"""Whoever has taken the host over, with all that lies on it, cannot undo the copies elsewhere."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from testinfra.host import Host

from tests.lab import s3, stored
from tests.lab.hosts import on, told

TREE = "/srv/lifeboat/db/backups"
BUCKET = "lifeboat"


@pytest.fixture(scope="module")
def newest(vault: Host) -> str:
    vault.check_output("systemctl start lifeboat-receiver-seal.service")
    return str(told("db", "list", "shop")[0]["id"])


@pytest.mark.parametrize(
    "attempt",
    [
        "rm {key}",
        "rename {key} {key}.x",
        "put /etc/hostname {key}",
        "chmod 600 {key}",
        "rename {folder} {folder}.x",
        "rmdir {folder}",
    ],
)
@pytest.mark.parametrize("where", ["catalog", "archives"])
def test_a_sealed_file_stays(
    vault: Host, taken_over: str, newest: str, attempt: str, where: str
) -> None:
    folder = {
        "catalog": "/backups/catalog/db/shop",
        "archives": f"/backups/archives/db/shop/{newest}",
    }[where]
    key = f"{folder}/{newest}.json" if where == "catalog" else f"{folder}/SHA256SUMS"
    there = f"/srv/lifeboat/db{key}"
    before = vault.check_output(f"sha256sum {there}")
    command = attempt.format(key=key, folder=folder)
    ran = on("db", "sh", "-c", f"sftp -b - {taken_over} db@vault", stdin=command + "\n")
    assert ran.returncode != 0
    assert "denied" in ran.stderr.lower() or "failure" in ran.stderr.lower(), ran.stderr
    assert vault.check_output(f"sha256sum {there}") == before


def test_the_key_opens_no_shell_and_no_tunnel(taken_over: str) -> None:
    ran = on("db", "sh", "-c", f"timeout 20 ssh {taken_over} db@vault id")
    assert "uid=" not in ran.stdout
    forward = (
        f"timeout 20 ssh {taken_over} -N -o ExitOnForwardFailure=yes -R 0:localhost:22 db@vault"
    )
    assert on("db", "sh", "-c", forward).returncode not in (0, 124)


def test_the_client_sees_nothing_but_its_own_directory(taken_over: str) -> None:
    ran = on(
        "db",
        "sh",
        "-c",
        f"sftp -b - {taken_over} db@vault",
        stdin="ls -1 /\nget /etc/passwd /tmp/x\n",
    )
    assert ran.returncode != 0
    assert [line for line in ran.stdout.splitlines() if line.startswith("/")] == ["/backups"]


def test_the_bucket_keeps_what_the_host_wrote(db: Host) -> None:
    client = as_db()
    for prefix in ("catalog/db/shop/", "archives/db/shop/"):
        key = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"][0]["Key"]
        version = client.head_object(Bucket=BUCKET, Key=key)["VersionId"]
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=BUCKET, Key=key)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
        ours = {"Bucket": BUCKET, "Key": key, "VersionId": version}
        first = client.get_object(**ours)["Body"].read()
        try:
            forged = client.put_object(Bucket=BUCKET, Key=key, Body=b"forged", IfNoneMatch="*")
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "PreconditionFailed":
                raise
        else:  # Ceph takes it where there are versions, and the first one stays
            forgery = {"Bucket": BUCKET, "Key": key, "VersionId": forged["VersionId"]}
            stored.owner().delete_object(**forgery)
        assert client.get_object(**ours)["Body"].read() == first
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=BUCKET, Key="catalog/fresh/x", Body=b"")


def test_the_pruners_key_is_on_the_pruner_alone(db: Host, vault: Host) -> None:
    folder = "/etc/lifeboat/credentials"
    assert vault.file(folder).listdir() == ["pruner.cred"]
    assert sorted(db.file(folder).listdir()) == ["lab_s3.cred", "vault_key.cred"]


def test_directories_of_backups_are_for_nobody_else_and_watched(db: Host) -> None:
    disk = db.file("/var/backups/lifeboat")
    assert (disk.user, disk.group, disk.mode) == ("lifeboat", "lifeboat", 0o750)
    assert db.check_output("find /var/backups/lifeboat -type f -perm /037") == ""
    rules = db.file("/etc/audit/rules.d/lifeboat.rules").content_string
    assert "-F dir=/var/backups/lifeboat -F perm=wa -F key=lifeboat" in rules


def test_no_unit_has_failed(db: Host, vault: Host) -> None:
    for host in (db, vault):
        assert host.check_output("systemctl list-units --failed --no-legend 'lifeboat*'") == ""


def as_db() -> object:
    """The S3 server as the host db may use it."""
    from tests.lab.hosts import host

    address = host("s3").check_output("getent ahostsv4 s3").split()[0]
    credentials = {"access_key": "db", "secret_key": "db-secret-of-the-lab"}
    return s3.client(f"http://{address}:7070", credentials)
