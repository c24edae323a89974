# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks drill what a host backs up, and exercise a whole loss without losing anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.roles.inventory import ROOT, Ran, Site

PROGRAM = str(Path(sys.executable).parent / "ansible-playbook")


def play(site: Site, name: str, *words: str) -> Ran:
    path = str(ROOT / "playbooks" / f"{name}.yml")
    return site._ran([PROGRAM, "-i", "inventory.yml", path, *words])


@pytest.fixture
def staging(site: Site) -> Site:
    """Provisioned, with a file and a first backup."""
    site.variables["lifeboat_environment"] = "staging"
    site.variables["lifeboat_jobs"]["shop"]["objectives"] = {"rto": "10m"}
    site.make_key()
    (site.folder / "etc" / "passwords").write_text("hunter2\n")
    ran = site.run(["backup_agent", "backup_schedule"])
    assert ran.status == 0, ran.output
    return site


def test_a_drill_says_how_long_it_took_and_an_exercise_loses_nothing(staging: Site) -> None:
    key = f"drill_identity_file={staging.folder / 'operator.key'}"
    (staging.folder / "etc" / "newer").write_text("not in the first backup\n")

    drilled = play(staging, "drill", "-e", key)
    exercised = play(staging, "exercise", "-e", key)

    assert drilled.status == 0, drilled.output
    assert "from disk: passed" in drilled.output
    assert "RTO 10m met" in drilled.output
    assert exercised.status == 0, exercised.output
    assert "RTO met: 600.0 s were promised" in exercised.output
    assert sorted(one.name for one in (staging.folder / "etc").iterdir()) == ["newer", "passwords"]
    marks = list((staging.folder / "disk").glob("catalog/here/shop/*-exercise-*.drilled-*"))
    assert len(marks) == 1
    events = [
        json.loads(line)["event"]
        for line in (staging.root / "state/log/history.jsonl").read_text().splitlines()
    ]
    assert events == ["backup", "drill", "backup", "drill", "restore", "undo"]


def test_an_exercise_refuses_production(site: Site) -> None:
    site.run(["restore_drill"], "--list-tasks")

    ran = play(site, "exercise")

    assert ran.status != 0
    assert "is production, where a loss is not simulated" in ran.output


def test_an_exercise_of_many_hosts_must_be_meant(site: Site) -> None:
    site.hosts = ["here", "there"]
    site.run(["restore_drill"], "--list-tasks")

    ran = play(site, "exercise")

    assert ran.status != 0
    assert "this would simulate a loss on 2 hosts" in ran.output
