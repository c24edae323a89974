# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever waits at the controller sees how far a long backup or restore is, while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.rescue.host import Host

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def slow(tmp_path: Path) -> Host:
    """A host whose data takes five seconds to be dumped, and four to be brought back."""
    host = Host(tmp_path)
    words = {
        "dump": f"head -c 3000000 /dev/zero; [ -e {tmp_path}/quick ] || sleep 5",
        "load": f"sleep 4; cat >{tmp_path}/data",
    }
    for name, line in words.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    feed = {"type": "command", "dump": [f"{tmp_path}/dump"], "restore": [f"{tmp_path}/load"]}
    host.job["sources"] = {"feed": {**feed, "extension": "bin"}}
    host.configuration["environment"] = "dev"
    host.configure()
    return host


def play(host: Host, module: str, **options: Any) -> subprocess.CompletedProcess[str]:
    where = {"job": "shop", "scope": "user", "root": str(host.root)}
    task = {f"lifeboat.backup.{module}": {**where, **options}, "no_log": True}
    content = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
    (host.base / "play.yml").write_text(yaml.safe_dump(content))
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml"],
        cwd=host.base,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/import"),
            "ANSIBLE_HOME": str(host.base / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_tasks_that_wait_tell_how_far_the_job_is(slow: Host) -> None:
    ran = play(slow, "backup_run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[localhost] shop: dump feed" in ran.stdout

    (slow.base / "quick").touch()
    ran = play(slow, "db_restore", identity=slow.key.read_text())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (slow.base / "data").stat().st_size == 3_000_000
    assert "[localhost] shop: swap feed" in ran.stdout
    assert "AGE-SECRET-KEY" not in ran.stdout + ran.stderr
