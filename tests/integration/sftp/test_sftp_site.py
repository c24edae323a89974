# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user writes of an SFTP destination in variables is installed, and backs up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.roles.inventory import RECIPIENT, ROOT, Site, job
from tests.integration.sftp.places import behind, options
from tests.lab import sftp as lab


def test_a_site_with_an_attic_is_provisioned_and_backs_up(
    openssh: lab.Server, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "motd").write_text("hello")
    jump = f"{openssh.user}@127.0.0.1:{openssh.port}"
    attic = options(openssh, tmp_path.name, type="sftp", credential="attic_key")
    attic.update(jump_hosts=[jump], jump_credential={"credential": "jump_key"})
    site = Site(
        tmp_path,
        {
            "lifeboat_scope": "user",
            "lifeboat_root": str(tmp_path / "root"),
            "lifeboat_encryption": {"age_recipients": [RECIPIENT]},
            "lifeboat_destinations": {"attic": attic},
            "lifeboat_credentials": {"attic_key": openssh.key, "jump_key": openssh.key},
            "lifeboat_jobs": {"shop": job(tmp_path, "attic")},
            "backup_agent_python": sys.executable,
            "backup_agent_cache": str(ROOT / ".cache" / "vendor"),
        },
    )
    ran = site.run(["backup_agent"])
    assert ran.status == 0, ran.output
    assert openssh.key.splitlines()[2] not in ran.output
    assert "PRIVATE KEY" not in (site.root / "config" / "config.json").read_text()
    for name in ("attic_key", "jump_key"):
        stored = site.root / "config" / "credentials" / name
        assert json.loads(stored.read_text()) == openssh.key
        assert stored.stat().st_mode & 0o077 == 0
    assert list((site.root / "software" / "vendor").glob("*/asyncssh"))

    command = [str(site.root / "bin" / "lifeboat"), "run", "shop", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(behind(openssh, tmp_path.name).rglob("*.intact-*"))
