"""An example needs nothing of this repository around it: a copy of it, and the collection, are enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.roles.inventory import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/hosts.yml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_a_copy_of_it_elsewhere_is_an_inventory_with_a_playbook(
    example: Path, tmp_path: Path
) -> None:
    """Keys and the vault's password, which the guide makes, are asked for only where they are used."""
    place = shutil.copytree(example, tmp_path / example.name)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ANSIBLE_")}
    env = {**kept, "HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/import")}
    (tmp_path / f".{example.name}-vault").write_text("correct horse\n")

    def typed(program: str, *words: str) -> str:
        found = Path(sys.executable).with_name(program)
        done = subprocess.run([found, *words], cwd=place, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WARNING" not in done.stderr, done.stderr
        return done.stdout

    hosts = json.loads(typed("ansible-inventory", "--list"))["_meta"]["hostvars"]
    assert hosts
    assert all("lifeboat_jobs" in its for its in hosts.values())
    assert "site.yml" in typed("ansible-playbook", "--syntax-check", "site.yml")
