# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible really carries the whole engine to a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "plugins" / "module_utils" / "engine"


def test_every_engine_file_arrives_unchanged_and_runs(tmp_path: Path) -> None:
    env = dict(
        os.environ,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "import"),
        ANSIBLE_LOCAL_TEMP=str(tmp_path / "ansible"),
        ANSIBLE_REMOTE_TEMP=str(tmp_path / "remote"),
    )
    ansible = str(Path(sys.executable).parent / "ansible")
    options = f"scope=user root={tmp_path}/root"
    words = [ansible, "localhost", "-i", "localhost,", "-c", "local", "-m"]
    words += ["lifeboat.backup.engine_install", "-a", options]
    words += ["-e", f"ansible_python_interpreter={sys.executable}"]
    first = subprocess.run(words, env=env, capture_output=True, text=True)
    assert "localhost | CHANGED" in first.stdout, first.stdout + first.stderr
    installed = tmp_path / "root" / "software" / "current" / "lifeboat"
    assert {path.relative_to(installed): path.read_bytes() for path in installed.rglob("*.py")} == {
        path.relative_to(ENGINE): path.read_bytes() for path in ENGINE.rglob("*.py")
    }
    command = tmp_path / "root" / "bin" / "lifeboat"
    assert subprocess.run([command, "--version"], stdout=subprocess.DEVNULL).returncode == 0
    second = subprocess.run(words, env=env, capture_output=True, text=True)
    assert "localhost | SUCCESS" in second.stdout, second.stdout + second.stderr
