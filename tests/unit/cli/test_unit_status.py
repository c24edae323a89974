# SPDX-License-Identifier: GPL-3.0-or-later
"""`systemctl status` shows the phase and the percent; nothing of that can fail an operation."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from lifeboat.cli.watch import ProgressFile, UnitStatus
from lifeboat.progress import Event, Phases, silent

DUMP = Event("dump", "db.database", 25 << 20, 100 << 20)


def test_systemd_is_told_phase_and_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        UnitStatus(silent)(DUMP)
        assert listener.recv(1000) == b"STATUS=dump db.database: 25.0 MiB of 100.0 MiB (25%)"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens-here"])
def test_without_a_systemd_that_listens_nothing_happens(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    seen: list[Event] = []
    UnitStatus(seen.append)(DUMP)
    assert seen == [DUMP]


def test_a_dump_is_measured_by_the_one_before() -> None:
    seen: list[Event] = []
    phases = Phases(seen.append, {"db.database": 100})
    phases(Event("dump", "db.database", 40))
    phases(Event("dump", "db.database", 140))  # it grew: nobody knows the whole
    phases(Event("store", "db.database to disk", ended=True))
    assert [one.total_bytes for one in seen] == [100, 0, 0]
    assert set(phases.seconds) == {"dump", "store"}


def test_whoever_follows_is_told_of_each_new_step_however_soon_it_comes(tmp_path: Path) -> None:
    """A restore tells once that it has begun, right after the last byte was fetched, and takes an hour."""
    path = tmp_path / "run/shop.progress"
    listener = ProgressFile(path, silent)
    listener(Event("fetch", "db.database", ended=True))
    listener(Event("restore", "db"))
    assert json.loads(path.read_text())["phase"] == "restore"
    listener(Event("restore", "db", 1 << 20))  # at most twice a second
    assert json.loads(path.read_text())["done_bytes"] == 0
