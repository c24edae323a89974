"""A host that stands well says so: doctor, drills by their unit, and nothing that is left over."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.lab.hosts import lifeboat, on, told


def test_a_drill_by_its_unit_passes_with_the_host_s_own_key(db: Host) -> None:
    db.check_output("systemctl start 'lifeboat-drill@shop:weekly.service'")
    lines = db.check_output("cat /var/log/lifeboat/history.jsonl").splitlines()
    drills = [one for one in map(json.loads, lines) if one["event"] == "drill"]
    assert drills
    assert (drills[-1]["passed"], drills[-1]["restorable"]) == (True, True)


def test_doctor_finds_nothing_critical(db: Host) -> None:
    ran = lifeboat("db", "doctor")
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr


def test_nothing_is_left_over(db: Host) -> None:
    assert told("db", "recover") == []
    assert db.check_output("ls -A /srv/shop/data").split()[0] == "app.db"
    query = r"SELECT datname FROM pg_database WHERE datname LIKE '%\_lb\_%'"
    ran = on("db", "runuser", "-u", "postgres", "--", "psql", "-XqAtc", query)
    assert ran.stdout == ""
