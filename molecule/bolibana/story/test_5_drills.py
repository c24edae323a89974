"""A random one each day, the newest each week, and each month with what describes it: by their own units."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.hosts import lifeboat, told

FORGET = "from archive.models import Document; Document.objects.filter(title='newer').delete()"


@pytest.fixture(scope="module", autouse=True)
def consistent(web1: Host) -> None:
    """The upload whose file a restore of the media alone took away is forgotten, as people would."""
    web1.check_output(f'runuser -u bolibana -- /srv/bolibana/manage.py shell -c "{FORGET}"')


def newest(web1: Host) -> dict[str, Any]:
    lines = web1.check_output("cat /var/log/lifeboat/history.jsonl").splitlines()
    return dict([one for one in map(json.loads, lines) if one["event"] == "drill"][-1])


@pytest.mark.parametrize(
    ("kind", "calendar"),
    [
        ("daily", "*-*-* 05:00:00"),
        ("weekly", "Sun *-*-* 06:00:00"),
        ("monthly", "*-*-01 07:00:00"),
    ],
)
def test_each_kind_of_drill_has_a_timer(web1: Host, kind: str, calendar: str) -> None:
    timer = f"lifeboat-drill@bolibana:{kind}.timer"
    assert calendar in hosts.property_of(web1, timer, "TimersCalendar")
    assert hosts.property_of(web1, timer, "ActiveState") == "active"


@pytest.mark.parametrize(("kind", "what"), [("daily", "random"), ("weekly", "full")])
def test_a_backup_is_restored_and_the_application_finds_its_files(
    web1: Host, kind: str, what: str
) -> None:
    unit = f"lifeboat-drill@bolibana:{kind}.service"
    ran = web1.run(f"systemctl start '{unit}'")
    assert ran.succeeded, web1.run(f"journalctl --no-pager -u '{unit}' -n 40").stdout
    drill = newest(web1)
    assert (drill["what"], drill["passed"], drill["restorable"]) == (what, True, True), drill
    assert {one["how"] for one in drill["sources"].values()} == {"restored"}
    assert "check" in drill["phases"]


def test_each_month_with_what_describes_it_as_the_guide_says(web1: Host, guide: Guide) -> None:
    guide.on_host("web1", "Drills")
    drill = newest(web1)
    assert (drill["what"], drill["passed"], drill["restorable"]) == ("metadata", True, True), drill
    assert "metadata" in drill["phases"]
    assert web1.check_output("ls -A /var/lib/bolibana-drill") == ""


@pytest.mark.nightly
def test_a_file_that_the_database_knows_and_the_backup_lacks_fails_a_drill(web1: Host) -> None:
    web1.check_output("mv /srv/bolibana/media/scans/scan-0.pdf /srv/")
    told("web1", "run", "bolibana", "--tag", "lacks-a-scan")
    web1.check_output("mv /srv/scan-0.pdf /srv/bolibana/media/scans/")
    web1.run("systemctl start lifeboat-drill@bolibana:weekly.service")
    drill = newest(web1)
    assert not drill["passed"]
    assert "the scan of scan-0 is missing" in drill["problem"] + drill["detail"]
    assert lifeboat("web1", "status", "bolibana").returncode == 2
