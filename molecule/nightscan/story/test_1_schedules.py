"""The calendars, a timer that fires, a backup before a deployment, a drill, and the promises measured."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.hosts import lifeboat, property_of, told, wait_for

BOTH = {"disk": "intact", "offsite": "intact"}
JOBS = ("nightscan", "system")
PAST = Path(__file__).resolve().parents[2] / "lab" / "files" / "past.py"  # another instant is now
# unit: when it is due next, as a pattern of systemd's own words
CALENDARS = {
    "lifeboat-run@nightscan:daily": r"02:00:00 UTC",
    "lifeboat-run@nightscan:weekly": r"Sun \S+ 03:00:00 UTC",
    "lifeboat-run@nightscan:monthly": r"\d{4}-\d\d-01 04:00:00 UTC",
    "lifeboat-run@system:weekly": r"Sun \S+ 03:30:00 UTC",
    "lifeboat-run@system:monthly": r"\d{4}-\d\d-01 04:30:00 UTC",
    "lifeboat-drill@nightscan:monthly": r"\d{4}-\d\d-02 05:00:00 UTC",
    "lifeboat-drill@system:monthly": r"\d{4}-\d\d-02 05:30:00 UTC",
    "lifeboat-watch": r"(00|06|12|18):[34]\d:\d\d UTC",
}
OFTEN = """
mkdir -p /run/systemd/system/{unit}.d
printf '[Timer]\\nOnCalendar=*:*:0/5\\n' >/run/systemd/system/{unit}.d/often.conf
systemctl daemon-reload
"""
NO_MORE = "rm -r /run/systemd/system/{unit}.d; systemctl daemon-reload"


def of_type(job: str, type_: str) -> list[dict[str, Any]]:
    return [one for one in told("night1", "list", job) if one["type"] == type_]


def standing(source: str) -> dict[str, str]:
    ran = lifeboat("night1", "status", "--query", f"[?source=='{source}'] | [0]")
    return dict(re.findall(r'"(state|reason)": "([^"]*)"', ran.stdout))


@pytest.mark.parametrize("unit", CALENDARS)
def test_every_calendar_waits_for_its_turn(night1: Host, unit: str) -> None:
    timer = f"{unit}.timer"
    assert night1.service(timer).is_enabled
    assert re.search(CALENDARS[unit], property_of(night1, timer, "NextElapseUSecRealtime"))


def test_three_copies_on_two_media_one_elsewhere_and_nothing_critical(guide: Guide) -> None:
    shown = guide.on_host("night1", "Provision the server", 1, codes=(0, 1))
    assert "critical" not in shown
    assert told("night1", "config", "check")["copies"] == []


def test_mail_and_slack_arrive(guide: Guide) -> None:
    guide.on_host("night1", "Provision the server", 2)
    heard = hosts.on("s3", "cat", "/srv/heard.jsonl").stdout
    assert "ops@lab.example" in heard
    assert "hooks.slack.com" in heard


def test_a_timer_fires_and_makes_a_daily_backup(night1: Host) -> None:
    timer = "lifeboat-run@nightscan:daily.timer"
    assert property_of(night1, timer, "LastTriggerUSec") in ("", "n/a")
    night1.check_output(OFTEN.format(unit=timer))
    try:
        assert wait_for(
            lambda: property_of(night1, timer, "LastTriggerUSec") not in ("", "n/a"), 20
        )
    finally:
        night1.check_output(NO_MORE.format(unit=timer))
    made = wait_for(
        lambda: [one for one in of_type("nightscan", "daily") if one["copies"] == BOTH], 40
    )
    assert made, night1.run("journalctl --no-pager -n 40 -u 'lifeboat-run@nightscan*'").stdout


def test_the_weekly_backups_are_the_complete_system(night1: Host) -> None:
    for job in JOBS:
        night1.check_output(f"systemctl start 'lifeboat-run@{job}:weekly.service'")
    held = {
        job: set(told("night1", "verify", of_type(job, "weekly")[0]["id"])[0]["sources"])
        for job in JOBS
    }
    assert held == {"nightscan": {"db", "redis", "data"}, "system": {"files", "code"}}


def test_everything_is_backed_up_before_a_deployment(guide: Guide) -> None:
    guide.at_controller("Before each deployment")
    for job in JOBS:
        made = of_type(job, "predeploy")
        assert [(one["tags"], one["copies"]) for one in made] == [(["v1.2.3"], BOTH)]


def test_each_type_is_kept_by_a_rule_of_its_own() -> None:
    """How a year of them is kept: tests/unit/docs/test_nightscan.py."""
    plans = {one["destination"]: one for one in told("night1", "prune", "nightscan")}
    assert set(plans) == set(BOTH)
    for plan in plans.values():
        why = {copy["id"].split("-")[1]: copy["why"] for copy in plan["kept"]}
        assert "daily" in str(why["daily"])
        assert "weekly" in str(why["weekly"])
        assert "v1.2.3" in str(why["predeploy"])
        assert plan["expired"] == []


def test_code_that_was_not_pushed_is_told_until_it_is(night1: Host) -> None:
    assert standing("repository")["state"] == "good"
    report = told("night1", "run", "nightscan")
    commit = night1.check_output("runuser -u www-data -- git -C /srv/nightscan/app rev-parse HEAD")
    assert (report["repository"]["commit"], report["repository"]["pushed"]) == (commit, True)
    as_dev = "runuser -u www-data -- git -C /srv/nightscan/app -c user.name=d -c user.email=d@x"
    night1.check_output(f"{as_dev} commit -q --allow-empty -m hotfix")
    missed = standing("repository")
    assert missed["state"] == "critical"
    assert missed["reason"].startswith("RPO 0 missed: https://git.example.org/nightscan.git")
    night1.check_output(f"{as_dev} reset -q --soft HEAD~1")
    assert standing("repository")["state"] == "good"


def test_a_drill_by_its_unit_measures_every_promise(guide: Guide, night1: Host) -> None:
    shown = guide.on_host("night1", "Drill", codes=(0, 1))
    assert "RTO 30m met" in shown
    for source in ("db", "redis", "data", "files", "code"):
        found = standing(source)
        assert found["state"] == "good", found
        assert re.search(r"RTO \w+ met: .* in the last drill", found["reason"])
    assert "RPO 1d met" in standing("db")["reason"]
    servers = night1.check_output("ps -eo user:20,comm").splitlines()
    assert [line for line in servers if line.startswith("lifeboat-drill")] == []


def test_a_drill_from_the_controller_passes_with_the_operators_key(guide: Guide) -> None:
    guide.at_controller("Drill", 1)
    states = {one["id"]: one["copies"] for one in told("night1", "list", "nightscan")}
    assert "restorable" in str(states)


def test_what_is_stored_is_sealed_with_gnupg_and_for_nobody_else(night1: Host) -> None:
    stored = night1.check_output("find /var/backups/lifeboat/archives -type f").splitlines()
    assert len(stored) > 20
    plain = {path.rpartition("/")[2] for path in stored if not path.endswith(".gpg")}
    assert plain == {"SHA256SUMS", "RESTORE.md"}
    loose = "! -user lifeboat -o ! -group lifeboat -o -perm /o=rwx -o -type f -perm /037"
    assert night1.check_output(f"find /var/backups/lifeboat {loose}") == ""
    assert night1.file("/var/backups/lifeboat").mode == 0o750
    rules = night1.file("/etc/audit/rules.d/lifeboat.rules").content_string
    assert "-F dir=/var/backups/lifeboat -F perm=wa -F key=lifeboat" in rules


def test_the_runbook_has_its_three_checklists(night1: Host) -> None:
    text = night1.file("/etc/lifeboat/RUNBOOK.md").content_string.split("## Checklists")[1]
    parts = re.split(r"^(Preparation|Incident|Afterwards)\b.*:$", text, flags=re.MULTILINE)[1:]
    lists = dict(zip(parts[::2], parts[1::2]))
    assert {name: body.count("- [ ]") >= 4 for name, body in lists.items()} == {
        "Preparation": True,
        "Incident": True,
        "Afterwards": True,
    }


@pytest.mark.parametrize(
    ("hours", "state"), [(0, "good"), (24, "good"), (26, "warning"), (49, "critical")]
)
def test_the_age_of_the_newest_backup_has_three_colours(
    night1: Host, hours: int, state: str
) -> None:
    """As `status` tells programs: with sizes, and counts by type."""
    newest = told("night1", "list", "nightscan")[0]["taken_at"]
    later = datetime.fromisoformat(newest.replace("Z", "+00:00")) + timedelta(hours=hours)
    at = "cat >/run/past.py; echo $0 >/srv/past; exec python3 -I /run/past.py status nightscan --json"
    ran = hosts.on("night1", "sh", "-c", at, later.isoformat(), stdin=PAST.read_text())
    found = [one for one in json.loads(ran.stdout) if one["destination"]]
    assert {one["destination"]: one["state"] for one in found} == dict.fromkeys(BOTH, state)
    for one in found:
        assert one["size_bytes"] > 0
        assert {"daily", "weekly", "predeploy"} <= set(one["types"])
