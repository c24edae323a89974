# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed process had stopped is started as whom it belongs to, and as nobody whom a note invents."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.containers import Engine
from lifeboat.errors import SourceError
from lifeboat.stopped import notes, resume, stopped

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
STUB = """#!/bin/sh
echo "$(id -un) $*" >>{log}
case "$*" in *gone*) echo "Error: no container with name or ID gone found: no such container" >&2; exit 125;; esac
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As tmp_path, but another user gets there too."""
    made = Path(tempfile.mkdtemp(prefix="lb-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def log(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a podman was asked, and by whom: "nobody start shop"."""
    log = open_path / "log"
    log.touch()
    log.chmod(0o666)
    stub = open_path / "podman"
    stub.write_text(STUB.format(log=log))
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{open_path}:{os.environ['PATH']}")
    monkeypatch.setattr("lifeboat.containers.os.path.isdir", lambda _path: True)  # a session
    return log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir()
    return made


def left(folder: Path, containers: list[str], user: str, uid: int = 0) -> Path:
    note = folder / "stopped-files.json"
    body = {"engine": "podman", "user": user, "containers": containers}
    note.write_text(json.dumps(body))
    os.chown(note, uid, uid)
    return note


@needs_root
def test_what_root_stopped_for_a_user_is_started_as_that_user(log: Path, folder: Path) -> None:
    with stopped(Engine("podman", "nobody"), ["shop"], folder, "files"):
        note = notes(folder)[0]
        content = note.read_bytes()
        log.write_text("")
    note.write_bytes(content)  # as if the process had died in there
    assert log.read_text() == "nobody start shop\n"
    assert resume(folder) == ["container shop was stopped for a backup and runs again"]
    assert log.read_text().splitlines() == ["nobody start shop"] * 2


@needs_root
def test_a_user_s_note_starts_nothing_of_others(log: Path, folder: Path) -> None:
    note = left(folder, ["root-s-own"], "root", NOBODY.pw_uid)
    assert resume(folder) == [f"{note} is not what lifeboat writes"]
    assert log.read_text() == ""


@needs_root
def test_a_note_is_whose_it_was_when_it_was_read(
    log: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = left(folder, ["root-s-own"], "root", NOBODY.pw_uid)
    root_s = folder / "of root"
    root_s.touch()
    loads = json.loads

    def exchanged(content: bytes) -> object:
        os.rename(root_s, note)  # as the owner of the directory may at any moment
        return loads(content)

    monkeypatch.setattr(json, "loads", exchanged)
    resume(folder)
    assert log.read_text() == ""


def test_one_that_is_gone_is_an_error_and_stays_noted(log: Path, folder: Path) -> None:
    engine = Engine("podman", where="source files: ")
    with pytest.raises(SourceError, match="container gone was removed in this moment"):
        engine.stop("gone")
    note = left(folder, ["gone"], engine.user, os.geteuid())
    assert "is gone since: make it anew" in resume(folder)[0]
    assert notes(folder) == [note]
