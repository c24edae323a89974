# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of files that shrink, go, or turn into a link while GNU tar reads them: told, and by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace
from lifeboat.operations.restore.staging import compare
from lifeboat.sources.files import Files

from tests.unit.contracts.source_contract import Taken, staged

SIZE = 8 << 20
ODD = b"a:b \\ \\n \n caf\xc3\xa9 \xff '\" ?" + b"z" * 200


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "ground" / "tree"
    folder.mkdir(parents=True)
    (folder / "whole").write_bytes(b"whole")
    return folder


def while_tar_writes(programs: Path, monkeypatch: pytest.MonkeyPatch, deed: str) -> None:
    """The real tar, which does `deed` itself after its first record, and goes on."""
    programs.mkdir()
    (programs / "deed").write_text("#!/bin/sh\n%s\n" % deed)
    (programs / "tar").write_text(
        '#!/bin/bash\ncase "$*" in *--create*) '
        'set -- --checkpoint=1 "--checkpoint-action=exec=%s" "$@";; esac\nexec -a tar %s "$@"\n'
        % (programs / "deed", shutil.which("tar"))
    )
    for name in ("deed", "tar"):
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (programs, os.environ["PATH"]))


@pytest.mark.parametrize("holes", [False, True])
def test_a_file_that_shrinks_is_told_as_such_and_named_by_its_restore(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes: bool
) -> None:
    name = os.fsdecode(ODD)
    with open(top / name, "wb") as out:
        out.seek(1 << 20 if holes else 0)
        out.write(b"x" * SIZE)
    whole = (top / name).stat().st_size
    while_tar_writes(tmp_path / "p", monkeypatch, "truncate -s 2M %s/a*" % top)
    source = Files(name="u", paths=[str(top)])

    taken = Taken(source, work, tmp_path / "store")

    padded = whole - (2 << 20)
    assert taken.warnings == [
        "1 files shrank while they were read: zeros stand for what was cut off"
    ]
    assert taken.record.totals["padded"] == 1
    entry = next(one for one in taken.entries if one.get("padded_bytes"))
    assert entry["name"].rpartition("/")[2] == name
    assert (entry["size_bytes"], entry["padded_bytes"]) == (whole, padded)
    told: list[str] = []
    swap = staged(source, taken, work)
    compare(source, swap, taken.plains, work, told.append)
    assert len(told) == 1
    assert name in told[0]
    assert "is not whole" in told[0]
    source.swap(swap)
    assert (top / name).read_bytes()[-padded:] == bytes(padded)  # as it was told


def test_nothing_is_lost_behind_a_file_with_holes_that_shrinks(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GNU tar 1.34 then writes what follows where no tar finds it, and says no more than of any that shrank."""
    with open(top / "a", "wb") as out:
        out.seek(1 << 20)
        out.write(b"x" * SIZE)
    while_tar_writes(tmp_path / "p", monkeypatch, "truncate -s 3000001 %s/a" % top)
    told, names = "", [""]
    try:
        taken = Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
        names = [one["name"].rpartition("/")[2] for one in taken.entries]
    except SourceError as exc:
        told = "%s: %s" % (exc, exc.hint)
    # or a tar that is mended
    assert "goes on after its end mark: begin it again" in told or "whole" in names


def test_a_file_that_goes_is_not_said_to_be_there(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "big").write_bytes(b"x" * SIZE)
    (top / "gone").write_bytes(b"x")
    while_tar_writes(tmp_path / "p", monkeypatch, "rm -f %s/gone" % top)
    taken = Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
    assert taken.warnings == [
        "1 files changed while they were read",  # the directory
        "1 files went before they were read, and are not in this backup",
    ]
    assert [one["name"].rpartition("/")[2] for one in taken.entries] == ["tree", "big", "whole"]


def test_a_path_that_becomes_a_link_is_no_backup(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a deployment does that moves a link in the place of its tree: the link alone protects nothing."""
    other = tmp_path / "other"
    other.mkdir()
    programs = tmp_path / "p"
    while_tar_writes(programs, monkeypatch, "true")
    script = (programs / "tar").read_text()
    moved = 'case "$*" in *--create*) mv %s %s.was; ln -s %s %s;; esac\nexec' % (
        top,
        top,
        other,
        top,
    )
    (programs / "tar").write_text(script.replace("\nexec", "\n" + moved))
    with pytest.raises(SourceError, match="has become a link") as told:
        Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
    assert told.value.hint == "give the path it leads to"
