# SPDX-License-Identifier: GPL-3.0-or-later
"""`undo` says which restore it took back and what is in place; typed once more it takes back no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import PHRASE, Host

EARLIER = """
from datetime import timedelta
from lifeboat.cli import rescue
now = rescue.now
rescue.now = lambda: now() - timedelta(hours=1)
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.fill(1000)
    return made


def journals(host: Host) -> list[dict[str, Any]]:
    found = (host.root / "state" / "restores").glob("shop.*.json")
    return sorted((json.loads(one.read_text()) for one in found), key=lambda one: one["number"])


def test_undo_typed_twice_undoes_one_restore(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    host.fill(8)
    host.restore(id_)  # the same backup again: its id does not tell the two apart
    words = ("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    first, second = [one["begun_at"] for one in journals(host)]

    undone = host.lifeboat(*words)
    again = host.lifeboat(*words)

    assert undone.returncode == 0, undone.stderr
    assert f"undo of the restore of {id_} that began {second}, on h1 (production)" in undone.stderr
    assert undone.stdout.strip() == (
        f"undone: the restore of {id_} that began {second}; in place is what was there before it, at"
        f" {second}; the restore of {id_} that began {first} is not undone: `lifeboat undo shop"
        " --earlier` goes back before that one too"
    )
    assert again.returncode == 2
    assert f"the restore of {id_} that began {second} is undone already" in again.stderr
    assert "`lifeboat undo shop --earlier`" in again.stderr
    assert host.rows() == 8

    earlier = host.lifeboat(*words, "--earlier")
    assert earlier.returncode == 0, earlier.stderr
    assert f"undone: the restore of {id_} that began {first}" in earlier.stdout
    assert "--earlier" not in earlier.stdout
    assert host.rows() == 7
    confirmed = host.lifeboat("confirm", "shop").stdout
    assert confirmed.splitlines() == [
        f"let go of what the restore of {id_} that began {one} brought" for one in (first, second)
    ]


def test_a_clock_that_was_set_back_does_not_change_which_restore_was_the_last(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    host.fill(8)
    host.restore(id_, before=EARLIER)
    assert journals(host)[0]["begun_at"] > journals(host)[1]["begun_at"]

    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert done.returncode == 0, done.stderr
    assert host.rows() == 8


def test_an_undo_by_the_id_of_another_restore_than_the_last_goes_in_order(host: Host) -> None:
    gate = ("--confirm", PHRASE, "--target-host", "h1")
    older = host.run()
    host.fill(7)
    newer = host.run()
    host.restore(older)
    host.restore(newer)

    refused = host.lifeboat("undo", "shop", older, *gate)
    assert refused.returncode == 2
    assert f"lifeboat undo shop {newer}" in refused.stderr
    assert host.rows() == 7

    assert host.lifeboat("undo", "shop", newer, *gate).returncode == 0
    assert host.rows() == 1000
    assert (
        host.lifeboat("undo", "shop", older, *gate).returncode == 0
    )  # it is named: nothing to ask
    assert host.rows() == 7
