"""A user of a host has a lifeboat of his own, whose timers his own systemd fires, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab.hosts import changed, on, playbook, wait_for

USER, TIMER = "pat", "lifeboat-run@notes:often.timer"
COMMAND = f"/home/{USER}/.local/bin/lifeboat"
OFTEN = "*-*-* *:*:0/5"


@pytest.fixture(scope="module")
def host(db: Host) -> Host:
    """A host with a user whose systemd runs without a login."""
    db.check_output(f"useradd --create-home {USER}")
    db.check_output(f"loginctl enable-linger {USER}")
    assert wait_for(lambda: on_own("is-system-running").stdout.strip() == "running", 30)
    db.check_output(f"install -d -o {USER} /home/{USER}/notes")
    db.check_output(f"cp /etc/services /home/{USER}/notes")
    return db


def test_a_timer_of_his_own_fires(host: Host) -> None:
    assert changed(provision(OFTEN), "db") > 0
    assert on_own("is-enabled", TIMER).stdout.strip() == "enabled"
    made = wait_for(
        lambda: [one for one in listed() if one["type"] == "often" and one["good"]], timeout_s=60
    )
    assert made, on_own("status", "--no-pager", TIMER).stdout
    assert made[-1]["copies"] == {"home": "intact"}
    assert on_own("show", "--value", "-p", "LastTriggerUSec", TIMER).stdout.strip()
    service = TIMER.replace(".timer", ".service")
    assert on_own("show", "--value", "-p", "Result", service).stdout.strip() == "success"


def test_a_timer_that_is_gone_is_stopped(host: Host) -> None:
    assert changed(provision(), "db") > 0
    assert on_own("list-timers", "--all", "--no-legend", "lifeboat-run@*").stdout == ""
    wanted = host.file(f"/home/{USER}/.config/systemd/user/timers.target.wants")
    assert wanted.listdir() == ["lifeboat-watch.timer"]  # it watches even where no job has a timer


def provision(at: str = "") -> Any:
    """site.yml as that user."""
    folder = f"/home/{USER}"
    job: dict[str, Any] = {"destinations": ["home"]}
    job["sources"] = {"files": {"type": "files", "paths": [f"{folder}/notes"]}}
    job["schedules"] = {"often": {"at": at}} if at else {}
    variables = {
        "lifeboat_hosts": "db",
        "lifeboat_scope": "user",
        "lifeboat_destinations": {"home": {"type": "local", "path": f"{folder}/backups"}},
        "lifeboat_credentials": {},
        "lifeboat_jobs": {"notes": job},
        "ansible_user": USER,
    }
    return playbook("site", "-e", json.dumps(variables))


def listed() -> list[dict[str, Any]]:
    ran = on("db", "runuser", "-u", USER, "--", COMMAND, "list", "notes", "--json")
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def on_own(*words: str) -> Any:
    """What the user's own systemd says."""
    runtime = f"XDG_RUNTIME_DIR=/run/user/{on('db', 'id', '-u', USER).stdout.strip()}"
    return on("db", "runuser", "-u", USER, "--", "env", runtime, "systemctl", "--user", *words)
