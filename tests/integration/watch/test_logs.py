# SPDX-License-Identifier: GPL-3.0-or-later
"""Real logrotate takes the logs away between two runs, and the trend of sizes goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/backup_monitoring/templates/logrotate.j2"


def rotate(host: Host) -> None:
    program = shutil.which("logrotate", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip("no logrotate here: scripts/system-packages brings it")
    logs = host.root / "state/log"
    text = TEMPLATE.read_text().replace("{{ ansible_managed | comment }}\n", "")
    text = text.replace("{{ backup_monitoring_log_files }}", "3").replace(
        "/var/log/lifeboat", str(logs)
    )
    user = f"{logs.owner()} {logs.group()}"
    text = text.replace("lifeboat lifeboat", user)
    (host.base / "rotate.conf").write_text(text)
    (host.base / "rotate.conf").chmod(0o644)
    words = ["--force", "--state", str(host.base / "rotate.state"), str(host.base / "rotate.conf")]
    ran = subprocess.run([program, *words], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_rotation_loses_neither_the_trend_nor_a_line(host: Host) -> None:
    for _run in range(3):
        host.run()
    rotate(host)
    logs = host.root / "state/log"
    assert (logs / "history.jsonl").read_text() == ""
    assert (logs / "history.jsonl").stat().st_mode & 0o777 == 0o660
    host.fill(100_000)
    done = host.lifeboat("run", "shop", "--json")
    assert "usual are" in json.loads(done.stdout)["suspect"][0]
    assert len((logs / "history.jsonl").read_text().splitlines()) == 1
    assert "usual are" in (logs / "lifeboat.log").read_text()
    rotate(host)
    assert {one.name for one in logs.glob("history*")} == {
        "history.jsonl",
        "history.jsonl.1",
        "history.jsonl.2.gz",
    }
