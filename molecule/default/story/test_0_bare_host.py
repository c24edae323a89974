"""Before anything: `site.yml --check` on a host that has never seen lifeboat tells, and touches nothing."""

from __future__ import annotations

import re

from testinfra.host import Host

from tests.lab.hosts import changed, playbook

# What a running host changes by itself, and where any Ansible puts its temporary files.
MOVING = r"/(var/log|var/lib/postgresql|var/lib/systemd|proc|sys|run|dev|tmp)(/|$)"
ANSIBLE = r"/(root(/\.ansible(/.*)?)?)?$"


def test_a_dry_run_says_what_it_would_do_and_does_nothing(db: Host) -> None:
    db.check_output("touch /run/before")
    assert changed(playbook("site", "--check", "--diff", "-e", "lifeboat_hosts=db"), "db") >= 5
    touched = db.check_output("find / -xdev -cnewer /run/before").splitlines()
    assert [path for path in touched if not re.match(f"{MOVING}|{ANSIBLE}", path)] == []


def test_the_host_has_no_part_of_lifeboat_afterwards(db: Host) -> None:
    for path in ("/opt/lifeboat", "/etc/lifeboat", "/usr/local/bin/lifeboat", "/var/lib/lifeboat"):
        assert not db.file(path).exists
    assert not db.user("lifeboat").exists
    assert not db.package("age").is_installed
    assert "lifeboat" not in db.check_output("systemctl list-unit-files --no-legend 'l*'")
