# SPDX-License-Identifier: GPL-3.0-or-later
"""What extracts an archive is given no byte of it that has not been judged."""

from __future__ import annotations

import io
import tarfile

import pytest
from lifeboat.errors import ProcessError, VerifyError
from lifeboat.model import Command
from lifeboat.sources.trees.pour import pour


def _archive(*names, size=3 << 20):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as out:
        folder = tarfile.TarInfo("t")
        folder.type = tarfile.DIRTYPE
        out.addfile(folder)
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = size
            out.addfile(member, io.BytesIO(name[-1:].encode() * size))
    return made.getvalue()


def _taken(archive, tmp_path):
    took = tmp_path / "took"
    pour(io.BytesIO(archive), Command(("dd", "status=none", f"of={took}")), "t")
    return took.read_bytes()


@pytest.mark.parametrize("size", [0, 100, 3 << 20])
def test_a_sound_archive_goes_through_whole(tmp_path, size):
    archive = _archive("t/a", "t/b", "t/c", size=size)
    took = _taken(archive, tmp_path)
    assert took.rstrip(b"\0") == archive.rstrip(b"\0")
    assert took.endswith(bytes(1024))


@pytest.mark.parametrize("name", ["t/../../evil", "/evil", "t/a"])
@pytest.mark.parametrize("size", [100, 3 << 20])
def test_a_member_that_leads_elsewhere_is_never_seen(tmp_path, name, size):
    archive = _archive("t/a", name, size=size)
    with pytest.raises(VerifyError):
        _taken(archive, tmp_path)
    took = tmp_path / "took"  # not there where the program was ended before it began
    assert not took.exists() or took.stat().st_size <= 1024 + size + -size % 512


def test_what_lies_behind_the_end_is_never_seen(tmp_path):
    end = bytes(1024)
    whole = _archive("t/a", size=100).rstrip(b"\0")
    whole += bytes(-len(whole) % 512) + end
    hidden = _archive("/evil", size=100)
    both = whole + hidden
    with pytest.raises(VerifyError, match="after its end mark"):
        _taken(both + bytes(-len(both) % 10240), tmp_path)
    took = tmp_path / "took"  # not there where the program was ended before it began
    assert not took.exists() or b"evil" not in took.read_bytes()


def test_a_program_that_stops_early_is_told(tmp_path):
    with pytest.raises(ProcessError, match="stopped reading"):
        pour(io.BytesIO(_archive("t/a", "t/b")), Command(("true",)), "t")
