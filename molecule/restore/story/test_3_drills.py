"""Drills under systemd: by their timers, in throw-away servers, timed; and a host that drills for another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import changed, lifeboat, on, playbook, property_of, said, told

OWN, OTHERS = "lifeboat-drill@shop:weekly", "lifeboat-drill@ledger:daily"
WATCH = Path(__file__).resolve().parent.parent / "files" / "watch_drill.py"
SERVER = {"user": "lifeboat-drill", "in_unit": True, "bound": True}


def fire(name: str, unit: str, *kill: str) -> Any:
    """The timer was asleep for longer than its calendar: systemd starts what it missed at once."""
    ran = on(name, "python3", "-c", WATCH.read_text(), unit, *kill)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def last_drill(where: Host) -> dict[str, Any]:
    lines = where.check_output("cat /var/log/lifeboat/history.jsonl").splitlines()
    drills = [one for one in map(json.loads, lines) if one["event"] == "drill"]
    found: dict[str, Any] = drills[-1]
    return found


def nothing_is_left(where: Host) -> None:
    assert where.run("pgrep -u lifeboat-drill").stdout == ""
    assert where.run("ls -A /var/lib/lifeboat/restores/drills").stdout == ""
    assert where.run("ls -d /tmp/lb-* /var/tmp/lifeboat-drills-*").stdout == ""


def test_its_timer_drills_in_throw_away_servers_within_the_sandbox(db: Host) -> None:
    timer = f"{OWN}.timer"
    assert db.check_output(f"systemctl is-enabled '{timer}'") == "enabled"
    assert property_of(db, timer, "ActiveState") == "active"
    live = db.check_output("runuser -u postgres -- psql -XqAtc 'SELECT datname FROM pg_database'")

    seen = fire("db", OWN)

    assert seen == {"result": "success", "servers": [SERVER]}
    assert property_of(db, f"{OWN}.service", "ProtectSystem") == "strict"
    assert "cap_sys_admin" not in property_of(db, f"{OWN}.service", "CapabilityBoundingSet")
    nothing_is_left(db)
    asked = "runuser -u postgres -- psql -XqAtc 'SELECT datname FROM pg_database'"
    assert db.check_output(asked) == live


def test_what_a_restore_takes_and_would_lose_is_written_down(db: Host) -> None:
    drill = last_drill(db)
    assert (drill["type"], drill["passed"], drill["restorable"]) == ("weekly", True, True)
    assert {"choose", "fetch", "start", "restore", "compare"} <= set(drill["phases"])
    assert (drill["rpo"]["objective"], drill["rpo"]["met"]) == (86400, True)
    for source in ("app", "orders"):
        rto = drill["sources"][source]["rto"]
        assert drill["sources"][source]["how"] == "restored"
        assert (rto["objective"], rto["met"]) == (1800, True)
        assert 0 < rto["seconds"] < 60
    newest = next(one for one in told("db", "list", "shop") if one["id"] == drill["id"])
    assert newest["copies"][drill["destination"]] == "restorable"
    standing = said(lifeboat("db", "status"))
    assert "RTO 30m met" in standing
    assert "weekly drill" in standing
    page = db.file("/etc/lifeboat/RUNBOOK.md").content_string
    assert re.search(r"^\| `shop` \| `orders` \(postgresql\) \| 1d \| 30m \| \d+ s \|$", page, re.M)


def test_a_drill_that_is_killed_leaves_no_server_and_the_next_one_nothing_at_all(db: Host) -> None:
    before = last_drill(db)

    assert fire("db", OWN, "kill")["result"] == "signal"

    assert db.run("pgrep -u lifeboat-drill").stdout == ""
    assert last_drill(db) == before
    assert fire("db", OWN)["result"] == "success"
    assert last_drill(db)["passed"]
    nothing_is_left(db)


def test_a_drill_host_gets_the_jobs_of_others_and_none_of_their_secrets(
    db: Host, fresh: Host, keys: Path
) -> None:
    ran = playbook("site", "-e", "lifeboat_hosts=fresh")
    assert changed(ran, "fresh") > 0
    jobs = json.loads(fresh.file("/etc/lifeboat/config.json").content_string)["jobs"]
    assert sorted(jobs) == ["ledger", "trial"]
    assert jobs["ledger"]["drill"]["hosts"] == ["db"]
    assert jobs["ledger"]["destinations"] == ["offsite"]
    installed = fresh.check_output("ls /etc/lifeboat/credentials").split()
    assert sorted(one.replace(".cred", "") for one in installed) == ["drill_key", "lab_s3"]
    assert db.run("ls /etc/systemd/system | grep lifeboat-drill@ledger").stdout == ""
    assert "drill_key" not in db.check_output("ls /etc/lifeboat/credentials")
    refused = lifeboat("fresh", "run", "ledger")
    assert refused.returncode == 2
    assert "only drilled on this host" in said(refused)


def test_a_drill_host_restores_by_its_timer_what_another_host_backed_up(
    db: Host, fresh: Host
) -> None:
    seen = fire("fresh", OTHERS)

    assert seen == {"result": "success", "servers": [SERVER]}
    drill = last_drill(fresh)
    assert (drill["host"], drill["destination"]) == ("db", "offsite")
    assert (drill["passed"], drill["restorable"], drill["mark"]) == (True, True, "drilled")
    assert all(one["rto"]["met"] for one in drill["sources"].values())
    assert {one["how"] for one in drill["sources"].values()} == {"restored"}
    nothing_is_left(fresh)
    asked = "runuser -u postgres -- psql -XqAtc 'SELECT datname FROM pg_database'"
    assert "ledger" not in fresh.check_output(asked)
    # the host itself sees it
    newest = next(one for one in told("db", "list", "ledger") if one["id"] == drill["id"])
    assert newest["copies"] == {"disk": "intact", "offsite": "restorable"}


def test_the_playbook_drills_where_the_key_is(fresh: Host) -> None:
    ran = playbook("drill", "-e", "job=ledger")
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "restore_drill for fresh => (item=ledger)" in said(ran)  # and not for db
    assert f"drill of {last_drill(fresh)['id']} of db from offsite: passed" in said(ran)
    assert hosts.property_of(fresh, f"{OTHERS}.timer", "ActiveState") == "active"
