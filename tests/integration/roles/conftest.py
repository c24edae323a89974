"""A site of one host: this machine, in user scope."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.roles.inventory import RECIPIENT, ROOT, Site, job


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "etc").mkdir()
    variables = {
        "lifeboat_scope": "user",
        "lifeboat_root": str(tmp_path / "root"),
        "lifeboat_environment": "production",
        "lifeboat_encryption": {"age_recipients": [RECIPIENT]},
        "lifeboat_destinations": {"disk": {"type": "local", "path": str(tmp_path / "disk")}},
        "lifeboat_jobs": {"shop": job(tmp_path)},
        "backup_agent_python": sys.executable,
        "backup_agent_cache": str(ROOT / ".cache" / "vendor"),
    }
    return Site(tmp_path, variables)
