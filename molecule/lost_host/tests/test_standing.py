"""The host that was bare is backed up from now on, under a name of its own."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.hosts import told


def test_its_first_backups_are_good_everywhere(fresh: Host) -> None:
    for job in ("shop", "uploads"):
        assert told("fresh", "list", job)[0]["copies"] == {"disk": "intact", "offsite": "intact"}
        assert fresh.service(f"lifeboat-run@{job}:daily.timer").is_enabled


def test_what_was_replaced_can_be_let_go(fresh: Host) -> None:
    for job in ("shop", "uploads"):
        assert len(told("fresh", "confirm", job)) == 1
