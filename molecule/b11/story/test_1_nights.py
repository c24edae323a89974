"""Months of nights: each leaves a proved copy at the shared host, and the last seven days stay there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import on, told, wait_for

UNIT = "lifeboat-run@production:daily"
PAST = Path(__file__).resolve().parents[2] / "lab" / "files" / "past.py"
DAYS_AGO = (95, 40, 7, 6, 5, 4, 3, 2, 1)


def drop_in(db: Host, unit: str, text: str) -> str:
    """What an operator adds to a unit; its path."""
    folder = f"/etc/systemd/system/{unit}.d"
    written = on("db", "sh", "-c", f"mkdir -p '{folder}'; cat >'{folder}/50-lab.conf'", stdin=text)
    assert written.returncode == 0, written.stderr
    db.check_output("systemctl daemon-reload")
    return f"{folder}/50-lab.conf"


def there(shared: Host, what: str) -> set[str]:
    """The days of which something lies at the shared host: of the catalog, or of archives."""
    pattern = {"catalog": "catalog/*/*/*-daily-*.json", "archives": "archives/*/*/*-daily-*/*.age"}
    listed = shared.run(f"cd /srv/sftp/b11/data/backups && ls {pattern[what]}").stdout
    return {path.split("/")[3][:8] for path in listed.split()}


def day(ago: int) -> str:
    return f"{datetime.now(timezone.utc) - timedelta(days=ago):%Y%m%d}"


@pytest.fixture
def in_the_past(db: Host) -> Iterator[None]:
    """The unit of a night runs at the instant that /srv/past says."""
    assert on("db", "sh", "-c", "cat >/srv/past.py", stdin=PAST.read_text()).returncode == 0
    start = "ExecStart=/usr/bin/python3 -I /srv/past.py run --unit %i"
    text = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\n{start}\n"
    written = drop_in(db, f"{UNIT}.service", text)
    yield
    db.check_output(f"rm '{written}' && systemctl daemon-reload")


def test_the_last_seven_daily_backups_stay_at_the_shared_host(
    db: Host, shared: Host, in_the_past: None
) -> None:
    for ago in DAYS_AGO:
        night = datetime.now(timezone.utc) - timedelta(days=ago)
        at = night.replace(hour=2, minute=0, second=0, microsecond=0).isoformat()
        ran = on("db", "sh", "-c", f"echo {at} >/srv/past; systemctl start '{UNIT}.service'")
        assert ran.returncode == 0, db.run(f"journalctl --no-pager -u '{UNIT}' -n 30").stdout
    assert there(shared, "catalog") == {day(ago) for ago in range(1, 8)}
    assert all(
        one["copies"] == {"shared": "intact"}
        for one in told("db", "list", "production")
        if one["id"][:8] in there(shared, "catalog")
    )


def test_the_timer_fires_at_two_and_what_it_starts_is_a_good_backup(db: Host, shared: Host) -> None:
    calendar = hosts.property_of(db, f"{UNIT}.timer", "TimersCalendar")
    assert "OnCalendar=*-*-* 02:00:00 UTC" in calendar
    assert db.check_output(f"systemctl is-enabled '{UNIT}.timer'") == "enabled"
    before = hosts.property_of(db, f"{UNIT}.timer", "LastTriggerUSec")
    often = drop_in(db, f"{UNIT}.timer", "[Timer]\nOnCalendar=*:*:0/5\n")  # who waits until two?
    db.check_output(f"systemctl restart '{UNIT}.timer'")
    fired = wait_for(
        lambda: hosts.property_of(db, f"{UNIT}.timer", "LastTriggerUSec") != before, 30
    )
    db.check_output(f"rm '{often}' && systemctl daemon-reload && systemctl restart '{UNIT}.timer'")
    assert fired
    made = wait_for(lambda: day(0) in there(shared, "catalog"), 60)
    assert made, db.run(f"journalctl --no-pager -u '{UNIT}' -n 30").stdout
    ended = wait_for(lambda: not db.service(f"{UNIT}.service").is_running, 60)
    assert ended
    newest = next(one for one in told("db", "list", "production") if one["type"] == "daily")
    assert (newest["id"][:8], newest["copies"]) == (day(0), {"shared": "intact"})
    assert day(95) not in there(shared, "archives")  # they go a day after the backup


def test_it_is_compressed_at_the_level_that_was_chosen(db: Host, shared: Host) -> None:
    newest = told("db", "list", "production")[0]["id"]
    folder = "/srv/sftp/b11/data/backups/catalog/db/production"
    manifest = json.loads(shared.file(f"{folder}/{newest}.json").content_string)
    used = [step for archive in manifest["archives"] for step in archive["filters"]]
    assert [step["level"] for step in used if step["kind"] == "zstd"] == [9] * 3
