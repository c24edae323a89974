"""Months of nights: what is daily goes after 30 days; weeks and months stay for longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import on, told

PAST = Path(__file__).resolve().parents[2] / "lab" / "files" / "past.py"
NIGHTS = ((100, "monthly"), (69, "weekly"), (33, "daily"), (29, "daily"), (2, "daily"))
START = "ExecStart=/usr/bin/python3 -I /srv/past.py run --unit %i"


def day(ago: int) -> str:
    return f"{datetime.now(timezone.utc) - timedelta(days=ago):%Y%m%d}"


@pytest.fixture
def in_the_past(web1: Host) -> Iterator[None]:
    """The units of the job run at the instant that /srv/past says."""
    assert on("web1", "sh", "-c", "cat >/srv/past.py", stdin=PAST.read_text()).returncode == 0
    folder = "/etc/systemd/system/lifeboat-run@.service.d"
    text = f"[Service]\nExecStart=\n{START}\n"
    on("web1", "sh", "-c", f"mkdir -p {folder}; cat >{folder}/50-lab.conf", stdin=text)
    web1.check_output("systemctl daemon-reload")
    yield
    web1.check_output(f"rm {folder}/50-lab.conf && systemctl daemon-reload")


def test_daily_ones_stay_for_30_days_and_weeks_and_months_for_longer(
    web1: Host, guide: Guide, in_the_past: None
) -> None:
    for ago, kind in NIGHTS:
        night = datetime.now(timezone.utc) - timedelta(days=ago)
        unit = f"lifeboat-run@bolibana:{kind}.service"
        begun = f"echo {night.isoformat()} >/srv/past; systemctl start '{unit}'"
        ran = on("web1", "sh", "-c", begun)
        assert ran.returncode == 0, web1.run(f"journalctl --no-pager -u '{unit}' -n 30").stdout
    shown = guide.on_host("web1", "What goes, and when")
    told("web1", "prune", "bolibana", "--apply")

    listed = told("web1", "list", "bolibana")
    kept = {(one["id"][:8], one["type"]) for one in listed if "intact" in one["copies"].values()}

    assert {(day(100), "monthly"), (day(69), "weekly")} <= kept
    assert {(day(29), "daily"), (day(2), "daily")} <= kept
    assert (day(33), "daily") not in kept
    assert day(29) in shown
