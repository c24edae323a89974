# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of docs/guides/keys.md does what the guide says, in the guide's order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.rescue.host import Host
from tests.unit.docs.markdown import ROOT

GUIDE = ROOT / "docs/guides/keys.md"


def steps() -> list[tuple[str, str]]:
    """(language, text) of every block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def command(host: Host, path: Path) -> None:
    """The `lifeboat` of this host."""
    code = host.argv()[2]
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)


def configure(host: Host, text: str, place: Path) -> None:
    """What site.yml would make of the inventory's text."""

    def looked_up(found: re.Match[str]) -> str:
        return (place / found.group(1)).read_text().strip()

    rendered = re.sub(r"\{\{ lookup\('file', inventory_dir ~ '/([^']+)'\) \}\}", looked_up, text)
    host.configuration["encryption"] = yaml.safe_load(rendered)["lifeboat_encryption"]
    host.configure()


@pytest.fixture
def short() -> Iterator[Path]:
    """The path of a socket of gpg's agent has 107 bytes at most; tmp_path is longer in some runs."""
    with tempfile.TemporaryDirectory(prefix="keys-") as made:
        yield Path(made)


def test_the_guide_can_be_followed_word_by_word(short: Path) -> None:
    host = Host(short)
    host.fill(100)
    place = short / "ceremony"
    (place / "bin").mkdir(parents=True)
    command(host, place / "bin" / "lifeboat")
    (place / "vault.pass").write_text("correct horse\n")
    tools = f"{place / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": tools}
    for language, text in steps():
        if language == "yaml":
            configure(host, text, place)
            continue
        if "paper.key | diff" in text:  # what the two people type from the paper
            shutil.copy(place / "escrow.key", place / "paper.key")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=place,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, text + done.stdout + done.stderr
    states = [one["copies"]["disk"] for one in json.loads(host.lifeboat("list", "--json").stdout)]
    assert sorted(set(states)) == ["intact", "replaced"]
    assert b"PRIVATE" in (place / "operator.secret.asc").read_bytes()
    assert (place / "operator.key").stat().st_mode & 0o077 == 0
