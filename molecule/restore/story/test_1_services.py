"""A restore stops what uses the data and starts it again; what does not work then takes everything back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import PHRASE, lifeboat, on, playbook, said, told
from tests.lab.shop import UNITS, books, fill, instant, log, orders, spoil

CONFIRMED = ("--confirm", PHRASE, "--target-host", "db")
KILL = Path(__file__).resolve().parent.parent / "files" / "kill_restore.py"


@pytest.fixture(scope="module")
def backup(db: Host) -> str:
    assert (books(db), orders(db)) == ("500", "2000")
    return str(told("db", "run", "shop")["id"])


def restore(backup: str, keys: Path, *more: str) -> Any:
    words = ["-e", "job=shop", "-e", f"backup={backup}", "--limit", "db"]
    words += ["-e", f"restore_identity_file={keys / 'operator.key'}"]
    return playbook("restore", *words, "-e", json.dumps({"restore_confirm": PHRASE}), *more)


def test_services_stop_in_order_and_start_again_and_all_works(
    db: Host, backup: str, keys: Path
) -> None:
    spoil(db)
    since = instant(db)
    ran = restore(backup, keys)
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert (books(db), orders(db)) == ("500", "2000")
    assert log(db, since) == [
        *(f"stop {one}" for one in UNITS),
        *(f"start {one}" for one in reversed(UNITS)),
    ]


def test_undo_stops_and_starts_them_too(db: Host, backup: str) -> None:
    since = instant(db)
    undone = lifeboat("db", "undo", "shop", backup, *CONFIRMED)
    assert undone.returncode == 0, undone.stderr
    assert (books(db), orders(db)) == ("7", "7")
    assert len(log(db, since)) == 4
    assert lifeboat("db", "confirm", "shop").returncode == 0


def test_an_application_that_does_not_work_with_it_gets_the_old_state_back(
    db: Host, keys: Path
) -> None:
    fill(db, 0)
    empty = told("db", "run", "shop", "--tag", "empty")["id"]
    assert lifeboat("db", "accept", empty).returncode in (0, 2)
    spoil(db, 9)
    ran = restore(empty, keys)
    assert ran.returncode != 0
    assert "the health check web" in said(ran)
    assert "the old state is in place" in said(ran)
    assert books(db) == "9"
    assert f"restore {empty} FAILED" in db.check_output("cat /var/log/lifeboat/lifeboat.log")


def kill_between_stop_and_start(backup: str, keys: Path) -> None:
    ran = on(
        *("db", "python3", "-c", KILL.read_text(), "shop", backup, "--identity", "-", *CONFIRMED),
        stdin=(keys / "operator.key").read_text(),
    )
    assert ran.returncode == 0, ran.stderr


def test_killed_between_stop_and_start_recover_starts_them(
    db: Host, backup: str, keys: Path
) -> None:
    spoil(db, 9)
    kill_between_stop_and_start(backup, keys)
    assert not db.service(UNITS[0]).is_running
    recovered = told("db", "recover")
    assert "state is in place" in recovered[0]
    assert all(db.service(unit).is_running for unit in UNITS)
    assert books(db) == ("500" if "new" in recovered[0] else "9")


def test_a_boot_does_it_before_the_application_starts(db: Host, backup: str, keys: Path) -> None:
    lifeboat("db", "confirm", "shop")
    spoil(db, 11)
    kill_between_stop_and_start(backup, keys)
    before = hosts.property_of(db, "lifeboat-recover.service", "Before")
    assert set(UNITS) <= set(before.split())

    hosts.reboot("db")

    assert books(db) in ("11", "500")
    assert hosts.property_of(db, "lifeboat-recover.service", "Result") == "success"
    assert all(db.service(unit).is_running for unit in UNITS)
    ended = int(hosts.property_of(db, "lifeboat-recover.service", "ExecMainExitTimestampMonotonic"))
    began = int(hosts.property_of(db, "shop-web.service", "ExecMainStartTimestampMonotonic"))
    assert 0 < ended <= began
    assert told("db", "recover") == []
    assert re.search("state is in place", db.check_output("cat /var/log/lifeboat/lifeboat.log"))
