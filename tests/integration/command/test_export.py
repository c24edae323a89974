# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program only writes is in every backup, and never in the way of a restore."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A database, and an export of it that nothing reads back."""
    made = Host(tmp_path)
    made.fill(100)
    made.job["sources"]["export"] = {"type": "command", "dump": ["echo", "[]"], "extension": "json"}
    made.configure()
    return made


def test_a_restore_of_everything_leaves_an_export_out_and_says_so(host: Host) -> None:
    id_ = host.run()
    host.fill(3)

    planned = host.lifeboat("restore", "shop", id_, "--dry-run", "--json")
    done = host.restore(id_)

    assert json.loads(planned.stdout)["exports"] == ["export"]
    assert done.returncode == 0, done.stderr
    assert "export: left out, for nothing reads it back" in done.stderr
    assert host.rows() == 100
    assert host.lifeboat("confirm", "shop").returncode == 0


def test_an_export_that_is_asked_for_is_refused(host: Host) -> None:
    done = host.restore(host.run(), "--only", "export")

    assert done.returncode == 6
    assert "source export has no `restore` command" in done.stderr


def test_a_job_of_nothing_but_exports_has_no_restore(host: Host) -> None:
    del host.job["sources"]["db"]
    host.configure()

    done = host.restore(host.run())

    assert done.returncode == 6
    assert "source export has no `restore` command" in done.stderr


def test_the_runbook_says_that_it_is_one(host: Host) -> None:
    page = host.lifeboat("runbook").stdout

    assert "### export is an export" in page
    assert "--only export" not in page
