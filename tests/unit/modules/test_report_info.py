# SPDX-License-Identifier: GPL-3.0-or-later
"""The module tells what the command tells; the playbook writes one page, also of hosts that tell nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lifeboat.cli.main import main as lifeboat

Host = Any
ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(sys.executable).parent / "ansible-playbook"


def test_the_module_tells_what_the_command_tells(host: Host, capsys: Any) -> None:
    host.call("backup_run", job="shop")
    asked = {"job": "shop", "check": True}
    told = host.call("report_info", **asked)
    assert not told["changed"]
    assert lifeboat(["report", "shop", "--json"], scope="user", root=str(host.root)) == 0
    same = json.loads(capsys.readouterr().out)
    assert ageless(told["report"]["jobs"]) == ageless(same["jobs"])
    assert told["report"]["audit"] == same["audit"]
    assert len(same["jobs"][0]["runs"]) == 1


def ageless(jobs: list[dict[str, Any]]) -> str:
    """Without how old the backup was when it was asked for: seconds lie between the two."""
    return re.sub(r"is \d+s old", "is young", json.dumps(jobs, sort_keys=True))


def test_what_is_no_month_fails_the_task(host: Host) -> None:
    told = host.call("report_info", month="November")
    assert told["failed"]
    assert "is not a month" in told["msg"]


def play(tmp_path: Path, inventory: dict[str, Any], *words: str) -> Any:
    space = tmp_path / "ansible_collections" / "lifeboat"
    if not space.exists():
        space.mkdir(parents=True)
        (space / "backup").symlink_to(ROOT)
    hosts = tmp_path / "inventory.json"
    hosts.write_text(json.dumps({"all": {"hosts": inventory}}))
    given = {
        "lifeboat_scope": "user",
        "lifeboat_jobs": {},
        "report_directory": str(tmp_path),
        "backup_agent_python": sys.executable,
    }
    argv = [PROGRAM, "-i", hosts, ROOT / "playbooks" / "report.yml", "-e", json.dumps(given)]
    ours = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    return subprocess.run(
        [*map(str, argv), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **ours},
    )


def test_the_playbook_writes_one_page_and_names_who_told_nothing(
    host: Host, tmp_path: Path
) -> None:
    host.call("backup_run", job="shop")
    there = {"ansible_connection": "local", "lifeboat_root": str(host.root)}
    bare = {"ansible_connection": "local", "lifeboat_root": str(tmp_path / "bare")}
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}

    done = play(tmp_path, {"gone": gone, "bare": bare, "here": there})

    assert done.returncode != 0
    assert "the page is written, but nothing is known of: bare, gone" in done.stdout, done.stdout
    (page,) = tmp_path.glob("lifeboat-*.html")
    text = " ".join(ElementTree.parse(page).getroot().itertext())
    assert "Host db1" in text
    assert "Hosts that told nothing" in text
    assert "Connection refused" in text
    evidence = json.loads(page.with_suffix(".json").read_text())
    assert evidence["here"]["report"]["jobs"][0]["backups"][0]["good"]

    page.unlink()
    whole = play(tmp_path, {"here": there})
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert page.exists()


def test_the_playbook_refuses_a_month_that_is_none(host: Host, tmp_path: Path) -> None:
    there = {"ansible_connection": "local", "lifeboat_root": str(host.root)}
    done = play(tmp_path, {"here": there}, "-e", "month=../x")
    assert done.returncode != 0
    assert "month is written like 2026-11" in done.stdout
    assert not list(tmp_path.glob("*.html"))
