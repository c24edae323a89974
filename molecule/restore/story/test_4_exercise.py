"""A whole loss is exercised on a staging host under systemd: lost, back, timed, and as it was before."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab.hosts import playbook, said, told
from tests.lab.shop import UNITS, books, fill, instant, log, orders, sql

SERVICES = [*(f"stop {one}" for one in UNITS), *(f"start {one}" for one in reversed(UNITS))]


def exercise(keys: Path, *words: str) -> Any:
    key = f"drill_identity_file={keys / 'operator.key'}"
    return playbook("exercise", "-e", key, *words)


def history(where: Host) -> list[dict[str, Any]]:
    lines = where.check_output("cat /var/log/lifeboat/history.jsonl").splitlines()
    told = [one for one in map(json.loads, lines) if one.get("job") == "trial"]
    return [one for one in told if one["event"] != "prune"]


@pytest.fixture(scope="module")
def before(fresh: Host) -> tuple[str, str]:
    """The state of the staging host, newer than any backup of it."""
    fill(fresh, 321)
    sql(fresh, "trial", "DELETE FROM orders WHERE id > 1234")
    return books(fresh), orders(fresh, "trial")


def test_a_whole_loss_of_a_staging_host_is_exercised_and_timed(
    fresh: Host, keys: Path, before: tuple[str, str]
) -> None:
    known = len(history(fresh))
    since, began = instant(fresh), time.monotonic()

    ran = exercise(keys, "--limit", "fresh")

    took = time.monotonic() - began
    assert ran.returncode == 0, ran.stdout[-4000:]
    happened = history(fresh)[known:]
    assert [one["event"] for one in happened] == ["backup", "drill", "restore", "undo"]
    backup = happened[0]["id"]
    measured = re.search(rf"was restored from backup {backup} in ([\d.]+) s", said(ran))
    assert measured, ran.stdout[-4000:]
    assert 5 <= float(measured.group(1)) < took  # the pause of the gate is in it
    assert "RTO met: 1800.0 s were promised" in said(ran)
    # the stand-ins were servers of their own; only the restore in place, and taking it back, stopped anything
    assert log(fresh, since) == SERVICES * 2
    (drill,) = [one for one in happened if one["event"] == "drill"]
    assert (drill["passed"], drill["restorable"]) == (True, True)
    assert {one["how"] for one in drill["sources"].values()} == {"restored"}


def test_nothing_is_lost_by_it_and_nothing_is_left_over(
    fresh: Host, before: tuple[str, str]
) -> None:
    assert (books(fresh), orders(fresh, "trial")) == before
    assert all(fresh.service(unit).is_running for unit in UNITS)
    assert told("fresh", "recover") == []
    assert fresh.run("pgrep -u lifeboat-drill").stdout == ""
    assert fresh.run("ls -A /var/lib/lifeboat/restores/drills").stdout == ""


def test_production_is_not_exercised(db: Host, keys: Path) -> None:
    since = instant(db)
    ran = exercise(keys, "--limit", "db", "-e", "job=shop")
    assert ran.returncode != 0
    assert "is production, where a loss is not simulated" in said(ran)
    assert log(db, since) == []
