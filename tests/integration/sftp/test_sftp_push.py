# SPDX-License-Identifier: GPL-3.0-or-later
"""sftp_push: what is on the server afterwards is the same backup, proved; and it is sent once."""

from __future__ import annotations

import importlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from lifeboat.naming import mark_key
from lifeboat.stored import Mark

from tests.integration.sftp.places import behind, options
from tests.lab import sftp as lab

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], openssh: lab.Server) -> Call:
    def run(name: str, *, check: bool = False, **given: Any) -> dict[str, Any]:
        module = importlib.import_module(
            f"ansible_collections.lifeboat.backup.plugins.modules.{name}"
        )
        capsys.readouterr()
        with (
            patch_module_args(dict(given, _ansible_check_mode=check)),
            pytest.raises(SystemExit),
        ):
            module.main()
        told = capsys.readouterr().out
        assert openssh.key.splitlines()[2] not in told
        return dict({"failed": False, "changed": False}, **json.loads(told))

    return run


@pytest.fixture
def push(call: Call, openssh: lab.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """push(...) after a dump of one database into tmp_path/disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    (tmp_path / "disk").mkdir()
    source = {"db": {"type": "sqlite", "path": str(tmp_path / "app.db")}}
    where = {"job": "shop", "host": "db1", "path": str(tmp_path / "disk")}
    dumped = call("db_dump", sources=source, encryption={"none": True}, **where)
    assert not dumped["failed"], dumped

    def run(**other: Any) -> dict[str, Any]:
        there = options(openssh, tmp_path.name, credential="attic_key")
        given = {"destination": there, "credentials": {"attic_key": openssh.key}, **where}
        return call("sftp_push", **{**given, **other})

    return run


def files(folder: Path) -> dict[str, bytes]:
    found = [one for one in folder.rglob("*") if one.is_file() and "intact-" not in one.name]
    return {str(one.relative_to(folder)): one.read_bytes() for one in found}


def test_a_pushed_backup_is_the_same_and_is_sent_once(
    push: Call, openssh: lab.Server, tmp_path: Path
) -> None:
    planned = push(check=True)
    assert planned["changed"]
    assert planned["state"] == "missing"
    assert not behind(openssh, tmp_path.name).exists()

    result = push()
    assert result["changed"]
    assert result["state"] == "intact"
    assert result["id"] == planned["id"]
    assert files(behind(openssh, tmp_path.name)) == files(tmp_path / "disk")

    again = push()
    assert not again["changed"]
    assert again["state"] == "intact"


def test_it_pushes_to_sftp_only(push: Call) -> None:
    told = push(destination={"type": "local", "path": "/x"})
    assert told["failed"]
    assert "sftp_push pushes to a destination of type sftp" in told["msg"]


def test_a_server_with_another_key_is_told_and_gets_nothing(
    push: Call, openssh: lab.Server, tmp_path: Path
) -> None:
    other = (openssh.folder / "login.pub").read_text()
    there = options(openssh, tmp_path.name, credential="attic_key", host_key=other)
    told = push(destination=there)
    assert told["failed"]
    assert "it shows a host key that is not pinned" in told["msg"]
    assert not behind(openssh, tmp_path.name).exists()


def test_a_copy_that_went_bad_is_made_whole_when_pushed_again(
    push: Call, openssh: lab.Server, tmp_path: Path
) -> None:
    assert push()["state"] == "intact"
    archive = next(
        path for path in behind(openssh, tmp_path.name).glob("archives/**/*.zst") if path.is_file()
    )
    content = archive.read_bytes()
    archive.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    for mark in behind(openssh, tmp_path.name).glob("catalog/**/*.intact-*"):
        mark.unlink()  # stored, and proved by nobody
    first, second = push(), push()
    assert (first["changed"], first["state"]) == (True, "intact")
    assert (second["changed"], second["state"]) == (False, "intact")


def test_a_copy_that_nobody_read_back_is_read_when_pushed_again(
    push: Call, openssh: lab.Server, tmp_path: Path
) -> None:
    push()
    for mark in behind(openssh, tmp_path.name).glob("catalog/**/*.intact-*"):
        mark.unlink()
    assert push()["state"] == "intact"
    assert push()["changed"] is False


@pytest.mark.parametrize("side", ["here", "there"])
def test_what_holds_no_whole_backup_is_pushed_nowhere(
    push: Call, openssh: lab.Server, tmp_path: Path, side: str
) -> None:
    there = behind(openssh, tmp_path.name)
    if side == "there":
        assert push()["state"] == "intact"
    catalog = (there if side == "there" else tmp_path / "disk") / "catalog"
    id_ = next((tmp_path / "disk/catalog").glob("**/*.json")).stem
    mark = mark_key("db1", "shop", id_, Mark("bad", datetime.now(timezone.utc), "content"))
    (catalog.parent / mark).touch()

    told = push(backup=id_)

    assert told["failed"], told
    assert f"backup {id_} holds no whole backup" in told["msg"]
    assert there.exists() == (side == "there")
