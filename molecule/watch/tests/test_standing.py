"""What a watched host looks like when nothing happens."""

from __future__ import annotations

import json

from testinfra.host import Host


def test_another_user_reads_the_metrics(db: Host) -> None:
    path = "/var/lib/prometheus/node-exporter/lifeboat.prom"
    text = db.check_output("runuser -u nobody -- cat %s", path)
    assert 'lifeboat_last_run_exit_code{job_name="shop"} 0' in text


def test_the_logs_are_there_and_rotated(db: Host) -> None:
    assert "shop backup" in db.check_output("cat /var/log/lifeboat/lifeboat.log")
    db.check_output("/usr/sbin/logrotate --force /etc/logrotate.d/lifeboat")
    assert db.file("/var/log/lifeboat/history.jsonl.1").exists
    assert db.file("/var/log/lifeboat/history.jsonl").user == "lifeboat"


def test_the_unit_that_looks_is_confined(db: Host) -> None:
    shown = db.check_output(
        "systemd-analyze security --no-pager --json=short lifeboat-watch@all.service"
    )
    exposed = {one["json_field"]: one["set"] for one in json.loads(shown)}
    assert exposed["ProtectSystem"]
    assert exposed["NoNewPrivileges"]


def test_the_audit_daemon_is_told_what_to_write_down(db: Host) -> None:
    rules = db.file("/etc/audit/rules.d/lifeboat-denied.rules").content_string
    assert rules.count("-F key=lifeboat-denied") == 2


def test_rules_and_dashboard_lie_where_they_are_read(db: Host) -> None:
    assert "LifeboatBackupStale" in db.file("/etc/prometheus/lifeboat.yml").content_string
    assert json.loads(db.file("/srv/lifeboat.json").content_string)["uid"] == "lifeboat"
