"""The timer fires by itself, and what it starts is a whole backup, made by a user without rights."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from testinfra.host import Host

from tests.lab.hosts import property_of, told, wait_for

TIMER = "lifeboat-run@audit:minutely.timer"
SERVICE = "lifeboat-run@audit:minutely.service"
BOTH = {"disk": "intact", "offsite": "intact"}


def test_a_backup_is_made_when_the_calendar_says_so(db: Host) -> None:
    made = wait_for(
        lambda: [
            one
            for one in told("db", "list", "audit")
            if one["type"] == "minutely" and one["copies"] == BOTH
        ],
        timeout_s=150,
    )
    assert made, db.run(f"journalctl --no-pager -u '{SERVICE}' -n 50").stdout

    fired = instant(property_of(db, TIMER, "LastTriggerUSec"))
    assert fired.second == 0  # *-*-* *:*:00
    began = instant(property_of(db, SERVICE, "ExecMainStartTimestamp"))
    assert 0 <= (began - fired).total_seconds() <= 3  # by the timer, and by nobody's hand


def test_it_runs_as_lifeboat_inside_the_sandbox(db: Host) -> None:
    uid = db.check_output("id -u lifeboat")
    log = db.check_output(f"journalctl --no-pager -o json -u '{SERVICE}' _SYSTEMD_UNIT='{SERVICE}'")
    entries = [json.loads(line) for line in log.splitlines()]
    assert {entry["_UID"] for entry in entries if "_UID" in entry} == {uid}
    assert property_of(db, SERVICE, "ProtectSystem") == "strict"
    assert property_of(db, SERVICE, "NoNewPrivileges") == "yes"
    assert property_of(db, SERVICE, "CapabilityBoundingSet") == ""


def test_every_schedule_has_a_timer_that_waits_for_its_turn(db: Host) -> None:
    daily = "lifeboat-run@shop:daily.timer"
    for timer in (TIMER, daily):
        assert db.check_output(f"systemctl is-enabled '{timer}'") == "enabled"
        assert db.check_output(f"systemctl is-active '{timer}'") == "active"
    assert instant(property_of(db, daily, "NextElapseUSecRealtime")).strftime("%H:%M") == "02:00"


def instant(text: str) -> datetime:
    return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc)
