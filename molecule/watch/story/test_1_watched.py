"""A run fails, is killed, and goes well again: Prometheus sees it, and people are told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import on, wait_for

DENIED = Path(__file__).resolve().parents[3] / "tests/unit/operations/denied.log"
SECRETS = ("TIiajkdnlazkcOXrIdevi7FQ", "ping-secret-of-the-lab")


def heard(kind: str) -> list[str]:
    """What arrived at one of the services."""
    lines = on("s3", "cat", "/srv/heard.jsonl").stdout.splitlines()
    return [where + " " + body for at, where, body in map(json.loads, lines) if at == kind]


def told(kind: str, *words: str) -> Callable[[], bool]:
    return lambda: any(all(word in one for word in words) for one in heard(kind))


def asked(path: str) -> Any:
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    ran = on("db", "python3", "-c", script, "http://127.0.0.1:9090/api/v1/" + path)
    return json.loads(ran.stdout)["data"] if ran.returncode == 0 else {}


def firing(alert: str) -> list[str]:
    alerts = asked("alerts").get("alerts", [])
    return [
        one["labels"].get("job_name", "")
        for one in alerts
        if one["labels"]["alertname"] == alert and one["state"] == "firing"
    ]


def start(db: Host, job: str) -> None:
    """As its timer does."""
    db.run(f"systemctl start 'lifeboat-run@{job}:daily.service'")


def test_prometheus_sees_every_job_that_was_provisioned(db: Host) -> None:
    db.check_output("systemctl restart prometheus")
    query = "query?query=" + quote("lifeboat_last_good_timestamp_seconds")
    seen = wait_for(lambda: len(asked(query).get("result", [])) == 2, 40)
    assert seen, on("db", "lifeboat", "metrics").stdout
    timer = "lifeboat-watch.timer"
    assert hosts.property_of(db, timer, "ActiveState") == "active"


def test_the_watcher_outside_hears_that_all_is_well(db: Host) -> None:
    db.check_output("systemctl start lifeboat-watch@all.service")
    assert heard("hook.lab")[-1].startswith("/ping/ping-secret-of-the-lab ")
    assert heard("hooks.slack.com") == []


def test_the_self_test_reaches_people(db: Host) -> None:
    done = on("db", "lifeboat", "notify", "--test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert told("hooks.slack.com", "Nothing is wrong")()
    assert told("mail", "ops@lab.example", "Nothing is wrong")()


def test_a_run_that_fails_is_seen_and_told(db: Host) -> None:
    db.check_output("mv /srv/shop/settings.db /srv/shop/away.db")
    start(db, "shop")
    assert wait_for(lambda: firing("LifeboatBackupFailed") == ["shop"], 40)
    assert wait_for(told("hooks.slack.com", "shop: the last run failed", "settings"), 40)
    assert wait_for(told("mail", "lifeboat on db: critical"), 10)


def test_whoever_waits_at_the_controller_sees_how_far_a_run_is(db: Host) -> None:
    db.check_output("echo 8 >/srv/shop/hangs")
    ran = hosts.playbook("backup", "--limit", "db", "-e", "job=slow")
    assert ran.returncode == 0, ran.stdout
    assert "[db] slow: dump feed." in ran.stdout


def test_a_run_tells_how_far_it_is_and_one_that_is_killed_is_told(db: Host) -> None:
    db.check_output("echo 300 >/srv/shop/hangs")
    unit = "lifeboat-run@slow:daily.service"
    db.check_output(f"systemctl start --no-block '{unit}'")
    status = wait_for(lambda: hosts.property_of(db, unit, "StatusText"), 30)
    assert str(status).startswith("dump feed."), status
    shown = on("db", "timeout", "2", "lifeboat", "watch", "slow")
    assert "dump feed." in shown.stderr, shown.stderr
    db.check_output(f"systemctl kill --signal=KILL '{unit}'")
    assert wait_for(lambda: "slow" in firing("LifeboatBackupFailed"), 40)
    assert wait_for(told("hooks.slack.com", "slow: the last run failed", "signal"), 90)


def test_what_is_well_again_is_told(db: Host) -> None:
    db.check_output("mv /srv/shop/away.db /srv/shop/settings.db; rm /srv/shop/hangs")
    for job in ("shop", "slow"):
        start(db, job)
    assert wait_for(lambda: firing("LifeboatBackupFailed") == [], 40)
    assert wait_for(told("hooks.slack.com", "recovered"), 90)


def test_what_the_kernel_denied_is_seen(db: Host) -> None:
    """What its audit daemon wrote, on a machine of its own: in a container there is none."""
    told = re.sub(r"audit\(\d+", f"audit({int(time.time())}", DENIED.read_text())
    on("db", "tee", "/var/log/audit/audit.log", stdin=told)
    db.check_output("systemctl start --no-block lifeboat-watch@all.service")
    assert wait_for(lambda: firing("LifeboatAccessDenied") == [""], 40)


def test_no_secret_is_shown_anywhere(db: Host) -> None:
    for place in (
        "journalctl -q --no-pager",
        "cat /var/lib/prometheus/node-exporter/lifeboat.prom",
    ):
        shown = db.check_output(place)
        assert "lifeboat" in shown
        assert [one for one in SECRETS if one in shown] == []
    db.run_expect(
        [1], f"grep -rqE '{'|'.join(SECRETS)}' /etc/systemd /var/log/lifeboat /run/lifeboat"
    )
