"""One backup of five stores, with one description; verified, the newest and a named one; carried away."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.hosts import MONGODB, lifeboat, told, wait_for, watched

STORES = {"patients", "billing", "sessions", "documents"} | ({"records"} if MONGODB else set())
CATALOG = "/var/backups/lifeboat/catalog/{host}/medisecure/{id}.json"
UNIT = "lifeboat-run@medisecure:daily.service"
TIMER = "lifeboat-run@medisecure:daily.timer"
DROP_IN = f"/run/systemd/system/{TIMER}.d/zz-now.conf"
SECRETS = ["sessions-secret", "dumps-secret", "offsite-secret", "root-secret", "AGE-SECRET-KEY-1"]

Key = Callable[[str], str]


def manifest(name: str, id_: str) -> dict[str, object]:
    read = hosts.on(name, "cat", CATALOG.format(host=name, id=id_))
    assert read.returncode == 0, read.stderr
    found: dict[str, object] = json.loads(read.stdout)
    return found


@pytest.fixture(scope="module")
def backup(prod: Host) -> str:
    """A backup of production, in whose making no process showed a secret."""
    ran, programs = watched("med-prod", "run", "medisecure", "--json", secrets=SECRETS)
    assert ran.returncode == 0, ran.stderr
    assert {"mariadb-dump", "pg_dump", "redis-cli", "mongodump", "zstd", "age"} & programs
    return str(json.loads(ran.stdout)["id"])


def test_all_five_are_in_one_backup_with_one_description(prod: Host, backup: str) -> None:
    found = manifest("med-prod", backup)
    assert (found["host"], found["environment"]) == ("med-prod", "production")
    at = datetime.strptime(str(found["taken_at"]), "%Y-%m-%dT%H:%M:%S%z")  # …Z, which is UTC
    age = datetime.now(timezone.utc) - at
    assert 0 <= age.total_seconds() < 120
    assert {one["name"]: one["status"] for one in found["sources"]} == dict.fromkeys(STORES, "good")
    commit = prod.check_output("cat /srv/medisecure/current/.git/refs/heads/main")
    assert found["repository"]["commit"] == commit
    assert found["complete"]


def test_where_there_is_no_mariadb_that_is_no_failure() -> None:
    newest = told("med-staging", "list", "medisecure")[0]
    found = manifest("med-staging", newest["id"])
    states = {one["name"]: one["status"] for one in found["sources"]}
    assert states == {**dict.fromkeys(STORES, "good"), "billing": "absent"}
    assert (found["environment"], newest["good"]) == ("staging", True)


def test_the_environment_says_how_long_backups_are_kept(guide: Guide) -> None:
    assert "policy  within 30d, minimum 3" in guide.on_host("med-prod", "Look", 2)
    assert "policy  within 7d" in guide.on_host("med-staging", "Look", 2)


def test_the_newest_is_verified_and_with_a_key_every_dump_in_it(
    guide: Guide, backup: str, key: Key
) -> None:
    shown = guide.on_host("med-prod", "Look", 0, codes=(0, 1))  # status: nothing is drilled yet
    assert "intact" in shown
    shown = guide.on_host("med-prod", "Look", 1, {"paste the private key": key("escrow")})
    assert backup in shown
    assert "readable" in shown
    assert all(one in shown for one in STORES)


def test_a_named_backup_with_one_bad_byte_is_not_valid(prod: Host, backup: str) -> None:
    assert lifeboat("med-prod", "verify", backup).returncode == 0
    folder = f"/var/backups/lifeboat/archives/med-prod/medisecure/{backup}"
    (spoilt,) = prod.check_output(f"ls {folder}/patients.database.*").split()
    prod.check_output(
        f"cp -a {spoilt} /srv/kept && printf X | dd of={spoilt} bs=1 seek=300 conv=notrunc"
    )
    found = lifeboat("med-prod", "verify", backup)
    prod.check_output(f"sleep 1.1; cp -a /srv/kept {spoilt}")
    assert found.returncode == 1
    assert "corrupt" in found.stdout
    assert lifeboat("med-prod", "verify", backup).returncode == 0


def test_one_file_with_its_checksum_holds_all_of_it(guide: Guide, prod: Host) -> None:
    shown = guide.on_host("med-prod", "Carry one away")
    assert "medisecure.tar: OK" in shown
    prod.check_output("rm /var/tmp/medisecure.tar*")


def test_the_timer_fires_and_what_it_starts_is_a_good_backup(staging: Host) -> None:
    assert "02:00" in hosts.property_of(staging, TIMER, "NextElapseUSecRealtime")
    script = f"mkdir -p $(dirname '{DROP_IN}'); cat >'{DROP_IN}'; systemctl daemon-reload"
    soon = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/5\n"  # nobody here waits until two
    assert hosts.on("med-staging", "sh", "-c", script, stdin=soon).returncode == 0
    fired = wait_for(lambda: "UTC" in hosts.property_of(staging, TIMER, "LastTriggerUSec"), 20)
    staging.check_output(f"rm '{DROP_IN}' && systemctl daemon-reload")
    assert fired
    assert wait_for(lambda: hosts.property_of(staging, UNIT, "ActiveState") == "inactive", 60)
    newest = told("med-staging", "list", "medisecure")[0]
    assert (newest["type"], newest["good"]) == ("daily", True)


def test_a_drill_measures_how_long_a_restore_takes(guide: Guide, key: Key) -> None:
    shown = guide.on_host("med-prod", "Look", 3, {"paste the private key": key("escrow")})
    assert "passed" in shown
    assert shown.count("RTO 5m met") == 2
