# SPDX-License-Identifier: GPL-3.0-or-later
"""A push that was cut off goes on, also for who may only add; and takes nothing of a backup that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

from .test_mended import Place, copies, host, place

__all__ = ["host", "place"]

KILLED = """
import os, signal
import lifeboat.operations.backup.lanes as lanes
real = lanes.Lane._try_store
def store(self, name, spool):
    if self._stored and self.destination.name == "second":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, name, spool)
lanes.Lane._try_store = store
"""

STALE = """
import lifeboat.destinations.local as local
from lifeboat.errors import DestinationError
listed, stored, done = local.Local.list, local.Local.store, []
def list_(self, prefix):
    return (one for one in listed(self, prefix) if self.name != "second")
def store(self, key, growing):
    if self.name == "second" and done:
        raise DestinationError("no answer", permanent=True)
    stored(self, key, growing)
    done.append(key)
local.Local.list, local.Local.store = list_, store
"""


def test_the_next_push_goes_on_where_one_was_killed(host: Host, place: Place) -> None:
    host.job["destinations"] = ["disk"]
    host.configure()
    id_ = host.run()
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    assert host.lifeboat("push", "shop", before=KILLED).returncode == -9

    pushed = host.lifeboat("push", "shop", "--missing")

    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert copies(host) == {id_: {"disk": "intact", "second": "intact"}}
    shutil.rmtree(host.disk)
    host.disk.mkdir()
    host.fill(5)
    assert host.restore(id_).returncode == 0
    assert host.rows() == 1000


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_what_a_listing_kept_quiet_about_is_not_taken_away(host: Host, place: Place) -> None:
    id_ = host.run()
    there = Path(place[0]["path"])
    before = sorted(there.rglob("archives/*/*/*/*"))

    pushed = host.lifeboat("push", "shop", before=STALE)

    assert (pushed.returncode, "no answer" in pushed.stdout) == (3, True)
    assert sorted(there.rglob("archives/*/*/*/*")) == before
    assert host.lifeboat("verify", "shop").returncode == 0
    assert copies(host) == {id_: {"disk": "intact", "second": "intact"}}
