# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that an older lifeboat has made, and that nobody has confirmed yet, meets a newer one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import PHRASE, Host

GATE = ("--confirm", PHRASE, "--target-host", "h1")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One directory, `notes`, that was restored by a lifeboat which noted no directory that it made."""
    made = Host(tmp_path)
    notes = made.data / "notes"
    notes.mkdir()
    (notes / "one").write_text("backed up")
    made.job["sources"] = {"notes": {"type": "files", "paths": [str(notes)]}}
    made.configure()
    return made


def restored(host: Host, *words: str) -> str:
    id_ = host.run()
    (host.data / "notes/one").write_text("newer")
    done = host.restore(id_, *words)
    assert done.returncode == 0, done.stderr
    rewrite(host, without_notes)
    shutil.rmtree(host.root / "state/restores/kept")
    return id_


def rewrite(host: Host, change: Callable[[dict[str, Any]], None]) -> None:
    (path,) = (host.root / "state/restores").glob("shop.*.json")
    journal = json.loads(path.read_text())
    change(journal)
    path.write_text(json.dumps(journal))


def without_notes(journal: dict[str, Any]) -> None:
    """As it was written before `made` there was: of each tree neither of these."""
    del journal["number"]
    for tree in journal["swaps"][0]["note"]["trees"]:
        del tree["old"], tree["notes"]


def kept(host: Host) -> list[Path]:
    return sorted(host.data.rglob(".lifeboat-*")) + sorted(host.data.glob("*lifeboat*"))


def test_what_it_kept_is_not_removed_unknown_and_the_way_out_is_told(host: Host) -> None:
    restored(host)
    (there,) = set(kept(host))

    refused = host.lifeboat("confirm", "shop")

    assert refused.returncode == 1
    assert f"{there} is of a restore that an older lifeboat made" in refused.stderr
    assert "take what you need of it, move it away or remove it" in refused.stderr
    assert (there / "one").read_text() == "newer"
    assert host.lifeboat("run", "shop").returncode == 0  # nothing else waits for that
    shutil.rmtree(there)  # as it says
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert list((host.root / "state/restores").glob("shop.*")) == []
    assert (host.data / "notes/one").read_text() == "backed up"


def test_it_can_be_undone(host: Host) -> None:
    id_ = restored(host)

    done = host.lifeboat("undo", "shop", id_, *GATE)

    assert done.returncode == 0, done.stderr
    assert (host.data / "notes/one").read_text() == "newer"


def test_a_merge_of_it_is_not_undone_half_and_says_where_all_lies(host: Host) -> None:
    id_ = restored(host, "--merge")

    done = host.lifeboat("undo", "shop", id_, *GATE)

    assert done.returncode == 1
    assert "an older lifeboat made" in done.stderr
    assert (host.data / "notes/one").read_text() == "backed up"
    assert [one.read_text() for one in host.data.rglob("one")].count("newer") == 1
    assert host.lifeboat("run", "shop").returncode == 0


def test_after_a_week_it_keeps_nobody_from_restoring(host: Host) -> None:
    id_ = restored(host)
    before = (datetime.now(timezone.utc) - timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rewrite(host, lambda journal: journal.update(begun_at=before))
    (there,) = set(kept(host))

    done = host.restore(id_)

    assert done.returncode == 0, done.stderr
    assert f"{there} is of a restore that an older lifeboat made" in done.stderr
    assert (there / "one").read_text() == "newer"
