"""Who may do what: the service nearly nothing, its files to nobody else, its S3 user no deletion."""

from __future__ import annotations

import json
import re
import time

import pytest
from botocore.exceptions import ClientError
from testinfra.host import Host

from tests.lab import s3
from tests.lab.hosts import lifeboat, property_of, told

BUCKET = "lifeboat"


@pytest.mark.parametrize(
    ("unit", "most"),
    [("lifeboat-run@audit:minutely.service", 2.0), ("lifeboat-run@shop:daily.service", 2.3)],
)
def test_the_service_is_locked_in(db: Host, unit: str, most: float) -> None:
    told = db.check_output(f"systemd-analyze security --no-pager '{unit}'")
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", told)
    assert exposure
    assert float(exposure.group(1)) <= most
    assert property_of(db, unit, "User") == "lifeboat"


def test_only_files_of_others_need_a_capability(db: Host) -> None:
    database = property_of(db, "lifeboat-run@audit:minutely.service", "CapabilityBoundingSet")
    with_files = property_of(db, "lifeboat-run@shop:daily.service", "CapabilityBoundingSet")
    assert (database, with_files) == ("", "cap_dac_read_search")


def test_configuration_and_credentials_are_for_those_who_need_them(db: Host) -> None:
    config = db.file("/etc/lifeboat/config.json")
    assert (config.user, config.group, config.mode) == ("root", "lifeboat", 0o640)
    folder = db.file("/etc/lifeboat/credentials")
    assert (folder.user, folder.mode, folder.listdir()) == ("root", 0o700, ["lab_s3.cred"])
    credential = db.file("/etc/lifeboat/credentials/lab_s3.cred")
    assert (credential.user, credential.mode) == ("root", 0o600)
    assert "secret" not in json.dumps(json.loads(config.content_string)["destinations"])


def test_backups_on_the_disk_are_not_for_everybody(db: Host) -> None:
    open_to_others = (
        "find /var/backups/lifeboat ! -user lifeboat -o -perm /o=rwx -o -type f -perm /037"
    )
    assert db.check_output(open_to_others) == ""
    assert int(db.check_output("find /var/backups/lifeboat -name '*.age' | wc -l")) > 10


def test_nothing_temporary_is_left(db: Host, fresh: Host) -> None:
    for host in (db, fresh):
        names = "-path '*spool*' -o -name '*.part' -o -name '*.part-*' -o -name '*.tmp' -o -name '.*lifeboat*'"
        found = host.check_output(
            f"find /var/lib/lifeboat /var/backups/lifeboat /srv/shop -type f \\( {names} \\)"
        )
        assert found.replace("/srv/shop/uploads/2026/left out.tmp", "") == ""
        assert host.check_output("find /run/lifeboat -type f ! -name '*.progress'") == ""
        assert "lifeboat" not in host.check_output(
            "systemctl list-units --failed --no-legend 'lifeboat*'"
        )


def test_the_database_role_may_only_read(db: Host) -> None:
    write = "psql -d shop -c 'DELETE FROM customers'"
    denied = db.run(f"runuser -u lifeboat -- {write}")
    assert denied.rc != 0
    forced = db.run(
        f"runuser -u lifeboat -- env PGOPTIONS='-c default_transaction_read_only=off' {write}"
    )
    assert "permission denied" in forced.stderr


def test_the_host_cannot_delete_offsite_what_it_wrote(s3_of_db: object) -> None:
    client = s3_of_db
    for prefix in ("catalog/db/shop/", "archives/db/shop/"):
        keys = [
            one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
        ]
        for key in (keys[0], keys[-1]):
            with pytest.raises(ClientError, match="AccessDenied"):
                client.delete_object(Bucket=BUCKET, Key=key)
            assert client.head_object(Bucket=BUCKET, Key=key)["ContentLength"] >= 0


def test_pruning_leaves_offsite_to_a_pruner(s3_of_db: object) -> None:
    def offsite() -> set[str]:
        listed = s3_of_db.list_objects_v2(Bucket=BUCKET, Prefix="catalog/db/shop/")
        return {one["Key"] for one in listed["Contents"]}

    before = offsite()
    ran = lifeboat("db", "prune", "shop", "--apply")
    assert ran.returncode == 0
    assert "offsite: append only, and nothing prunes it: name a pruner host" in ran.stderr
    assert offsite() == before


def test_the_disk_is_pruned_by_its_own_host(db: Host) -> None:
    for _more_than_are_kept in range(3):
        for _while_the_timer_runs_it in range(20):
            ran = lifeboat("db", "run", "audit", "--type", "minutely")
            if ran.returncode != 5:
                break
            time.sleep(1)
        assert ran.returncode == 0, ran.stderr
    listed = [one["copies"] for one in told("db", "list", "audit") if one["type"] == "minutely"]
    assert 2 <= len([copies for copies in listed if copies["disk"] == "intact"]) <= 3
    assert {copies["offsite"] for copies in listed} == {"intact"}
    planned = {one["destination"]: one for one in told("db", "prune", "audit")}
    assert len(planned["offsite"]["expired"]) >= 1


@pytest.fixture(scope="module")
def s3_of_db() -> object:
    """The server as the host db may use it."""
    from tests.lab.hosts import host

    address = host("s3").check_output("getent ahostsv4 s3").split()[0]
    credentials = {"access_key": "db", "secret_key": "db-secret-of-the-lab"}
    return s3.client(f"http://{address}:7070", credentials)
