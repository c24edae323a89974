"""The playbook that verifies refuses to leave the private key on a host's disk, before it sends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(sys.executable).parent / "ansible-playbook"


def verify(tmp_path: Path, *words: str, **environment: str) -> str:
    """What a verify of the job `shop` on this host said; there is no configuration."""
    space = tmp_path / "ansible_collections" / "lifeboat"
    if not space.exists():
        space.mkdir(parents=True)
        (space / "backup").symlink_to(ROOT)
    (tmp_path / "key").write_text("a private key")
    argv = [
        str(PROGRAM),
        "-i",
        "localhost,",
        "-c",
        "local",
        str(ROOT / "playbooks" / "verify.yml"),
        *words,
    ]
    given = {
        "lifeboat_scope": "user",
        "lifeboat_root": str(tmp_path),
        "lifeboat_jobs": {"shop": {}},
    }
    argv += ["-e", json.dumps({**given, "backup_agent_python": sys.executable})]
    ours = {
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, **ours, **environment}, timeout=60
    )
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.skipif(not PROGRAM.exists(), reason="no ansible")
def test_the_key_is_not_sent_where_it_would_stay_on_the_disk(tmp_path: Path) -> None:
    key = ("-e", f"verify_identity_file={tmp_path / 'key'}")
    refusal = "Turn them off for this play"
    assert refusal in verify(tmp_path, *key, ANSIBLE_KEEP_REMOTE_FILES="1")
    assert refusal in verify(tmp_path, *key, "-e", "ansible_become_method=su")
    assert refusal not in verify(tmp_path, ANSIBLE_KEEP_REMOTE_FILES="1")
    let_through = verify(tmp_path, *key)
    assert refusal not in let_through
    assert "TASK [Verify the copies of a job]" in let_through
