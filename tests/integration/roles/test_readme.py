"""What the README says to paste does what it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.integration.roles.inventory import ROOT


def test_a_newcomer_can_paste_the_first_try(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("## Try it on this machine")[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block
    settings = [one for one in os.environ if one.startswith("ANSIBLE_")]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.group(1)],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name not in settings},
            "HOME": str(tmp_path),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "restored " in done.stdout
    assert (tmp_path / "lifeboat-try" / "notes" / "today").read_text() in done.stdout
    assert not (tmp_path / ".config").exists()  # no unit of systemd
