# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat config check` finds what would fail later: calendars, and directories that two users share."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from lifeboat.cli.check import config_check
from lifeboat.cli.output import Output
from lifeboat.config import parse
from lifeboat.errors import ConfigError
from lifeboat.model import Secret
from lifeboat.paths import paths


def job(at: str = "02:00", disk: str = "disk", **more: Any) -> dict[str, Any]:
    sources = {"db": {"type": "sqlite", "path": "/srv/app.db"}}
    return {"sources": sources, "destinations": [disk], "schedules": {"daily": {"at": at}}, **more}


def mapping(**jobs: Any) -> dict[str, Any]:
    disks = {
        "disk": {"type": "local", "path": "/var/backups/lifeboat"},
        "again": {"type": "local", "path": "/var/backups/./lifeboat/"},
        "other": {"type": "local", "path": "/var/backups/web", "owner": "www-data"},
    }
    return {
        "version": 1,
        "host": "db1",
        "encryption": {"none": True},
        "destinations": disks,
        "jobs": jobs,
        "user": "lifeboat",
    }


def check(folder: Path, **jobs: Any) -> int:
    file = folder / "config.json"
    file.write_text(json.dumps(mapping(**jobs)))
    return config_check(paths("user", str(folder)), Namespace(file=str(file)), Output())


@pytest.mark.parametrize("at", ["25:00", "every now and then", "-h", ""])
def test_what_is_no_calendar_is_refused_with_its_place(tmp_path: Path, at: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(tmp_path, shop=job(), wiki=job(at))
    assert refused.value.message == f"jobs.wiki.schedules.daily.at: {at!r} is not a calendar"
    assert 'write it like "02:00"' in refused.value.hint


def test_calendars_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, shop=job("Sun 03:00 Europe/Paris"), wiki=job("*:05")) == 0
    assert "calendar" not in capsys.readouterr().err


def test_where_nobody_can_read_calendars_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "zstd").symlink_to(str(shutil.which("zstd")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert check(tmp_path, shop=job("25:00")) == 0
    assert "there is no systemd-analyze on this host" in capsys.readouterr().err


@pytest.mark.parametrize("disk", ["disk", "again"])
def test_two_users_do_not_share_a_directory(tmp_path: Path, disk: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(tmp_path, shop=job(), web=job(disk=disk, user="www-data"))
    assert "jobs.web.destinations: " in refused.value.message
    assert "of job shop, which runs as lifeboat; this one runs as www-data" in refused.value.message
    assert "a local destination of its own, with `owner: www-data`" in refused.value.hint


def test_one_user_may_and_root_may(tmp_path: Path) -> None:
    web = job(disk="other", user="www-data")
    assert check(tmp_path, shop=job(), blog=job(), all=job(user="root"), web=web, www=web) == 0


def test_a_configuration_that_is_there_still_loads() -> None:
    """Whoever restores must not be kept from it by what only backups need."""
    shared = mapping(shop=job("25:00"), web=job(user="www-data"))
    assert set(parse(shared, lambda name: Secret(lambda: name, name)).jobs) == {"shop", "web"}
