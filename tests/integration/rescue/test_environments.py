# SPDX-License-Identifier: GPL-3.0-or-later
"""Dev, staging, production: each keeps its own time, production never fewer than three; the others only pause."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from .host import Host

# A run and a prune on each of these days: the clock of lifeboat's doors is put back.
MONTHS = """
from datetime import datetime, timedelta, timezone
from lifeboat.cli import session
began, ago = datetime.now(timezone.utc), {days}[0]
session.now = lambda: began - timedelta(days=ago)
from lifeboat.cli.main import main as typed
for ago in {days}:
    for words in (["run", "shop"], ["prune", "shop", "--apply"]):
        code = typed(words, scope="user", root={root!r})
        if code:
            raise SystemExit(code)
"""


def live(host: Host, environment: str, days: list[int]) -> list[int]:
    """Back up and prune on each of `days` ago; of which days a good backup is there in the end."""
    host.job.pop("keep")  # the environment decides
    host.configuration["environment"] = environment
    host.configure()
    today = datetime.now(timezone.utc).replace(microsecond=0)
    lived = host.lifeboat("list", "shop", before=MONTHS.format(days=days, root=str(host.root)))
    assert lived.returncode == 0, lived.stderr
    listed = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    taken = [
        datetime.strptime(one["taken_at"], "%Y-%m-%dT%H:%M:%S%z") for one in listed if one["good"]
    ]
    return [round((today - one) / timedelta(days=1)) for one in taken]


DAYS = [60, 45, 33, 31, 29, 20, 10, 8, 6, 4, 2, 1, 0]


@pytest.mark.parametrize(
    ("environment", "kept"),
    [
        ("dev", [0, 1, 2, 4, 6]),
        ("staging", [0, 1, 2, 4, 6]),
        ("production", [0, 1, 2, 4, 6, 8, 10, 20, 29]),
    ],
)
def test_each_environment_keeps_its_own_time(host: Host, environment: str, kept: list[int]) -> None:
    assert live(host, environment, DAYS) == kept


@pytest.mark.parametrize(("environment", "kept"), [("staging", [0]), ("production", [0, 100, 200])])
def test_production_never_has_fewer_than_three(
    host: Host, environment: str, kept: list[int]
) -> None:
    """Even where nothing was backed up for months."""
    assert live(host, environment, [400, 300, 200, 100, 0]) == kept


@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_a_restore_begins_after_five_seconds_in_which_nothing_is_touched(
    host: Host, environment: str
) -> None:
    host.configuration["environment"] = environment
    host.configure()
    host.fill(100)
    id_ = host.run()
    host.fill(7)
    words = host.argv("restore", "shop", id_, "--identity", str(host.key))
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as restore:
        assert restore.stderr
        for line in restore.stderr:
            if b"going on in 5 s" in line:
                break
        else:
            raise AssertionError("it did not say that it waits")
        told = time.monotonic()
        time.sleep(3)
        assert host.rows() == 7
        restore.stderr.read()
    assert restore.returncode == 0
    assert time.monotonic() - told >= 5
    assert host.rows() == 100


def test_the_example_has_a_host_in_each_environment() -> None:
    hosts = Path(__file__).resolve().parents[3] / "examples/medisecure/hosts.yml"
    listing = [str(Path(sys.executable).with_name("ansible-inventory")), "--list", "-i", str(hosts)]
    told = json.loads(subprocess.run(listing, check=True, capture_output=True).stdout)
    variables = told["_meta"]["hostvars"]
    assert {host: its["lifeboat_environment"] for host, its in variables.items()} == {
        "med-dev": "dev",
        "med-staging": "staging",
        "med-prod": "production",
    }
    assert all("keep" not in its["lifeboat_jobs"]["medisecure"] for its in variables.values())
