"""The nights of the wiki: its own timer, a start by hand, and nobody who looks sees a secret."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

from tests.lab import hosts, stored, users
from tests.lab.guide import Guide
from tests.lab.hosts import on, wait_for

TIMER = "lifeboat-run@wiki:daily.timer"
STAMP = f".local/share/systemd/timers/stamp-{TIMER}"
SECRETS = ["db1-secret", "root1-secret", "wiki-secret", "AGE-SECRET-KEY-1"]


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = users.told("wiki1", "wiki", "lifeboat list wiki --json")
    return found


def property_of(unit: str, name: str) -> str:
    return users.systemctl("wiki1", "wiki", "show", "--value", "-p", name, unit).stdout.strip()


def test_the_nightly_timer_makes_up_for_the_night_that_was_slept_through() -> None:
    """Its calendar is 03:00, and nobody waits for that: it is told that it ran two days ago."""
    assert property_of(TIMER, "Persistent") == "yes"
    assert "OnCalendar=*-*-* 03:00:00 UTC" in property_of(TIMER, "TimersCalendar")
    assert [one for one in listed() if one["type"] == "daily"] == []
    slept = f"touch -d '2 days ago' '{STAMP}'"
    wakes = f"systemctl --user stop '{TIMER}'; {slept}; systemctl --user start '{TIMER}'"
    assert users.on("wiki1", "wiki", wakes).returncode == 0
    made = wait_for(lambda: [one for one in listed() if one["type"] == "daily" and one["good"]], 90)
    assert made, users.systemctl("wiki1", "wiki", "status", "--no-pager", TIMER).stdout
    assert made[0]["copies"] == {"offsite": "intact"}
    assert property_of(TIMER, "LastTriggerUSec")
    assert property_of(TIMER.replace(".timer", ".service"), "Result") == "success"


def test_a_backup_is_started_by_hand_through_the_users_systemd(guide: Guide) -> None:
    """And what the page says to look at is there."""
    before = {one["id"] for one in listed()}
    shown = guide.on_host("wiki1", "Look at it", user="wiki")
    assert TIMER in shown
    (new,) = {one["id"] for one in listed()} - before
    assert "-manual-" in new
    assert shown.count(new) >= 2, shown  # in the listing and in the log
    asked = ("_SYSTEMD_USER_UNIT=lifeboat-run@wiki:manual.service", "--no-pager", "-o", "cat")
    assert new in on("wiki1", "journalctl", *asked).stdout


def test_no_secret_is_in_a_process_list_a_file_or_the_journal(wiki1: Host) -> None:
    command = (*users.become("wiki1", "wiki"), "/home/wiki/.local/bin/lifeboat")
    ran, programs = hosts.watched("wiki1", "run", "wiki", secrets=SECRETS, command=command)
    assert ran.returncode == 0, ran.stderr
    assert {"mariadb-dump", "podman"} & programs
    kept = "/home/wiki/.local/state /home/wiki/.config/systemd /srv/wiki-metrics"
    for secret in SECRETS:
        assert wiki1.run(f"grep -rlaF {secret} {kept}").stdout == ""
    journal = on("wiki1", "journalctl", "--no-pager", "-o", "export").stdout
    assert "lifeboat-run@wiki" in journal
    assert [one for one in SECRETS if one in journal] == []


def test_the_class_that_was_asked_for_is_kept_or_told() -> None:
    """versitygw keeps one class only; Ceph has the one that is asked for here."""
    ran = users.on("wiki1", "wiki", "lifeboat run wiki")
    assert ran.returncode == 0, ran.stderr
    kept = set(stored.classes("acme-wiki-backups", ".age"))
    assert kept == {"INTELLIGENT_TIERING"} or "not as INTELLIGENT_TIERING" in ran.stderr
