# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers that are read here say what tarfile says, and what is odd is left to tarfile."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile

import pytest
from lifeboat.sources.trees import headers, tar
from lifeboat.sources.trees.listing import Forward, members

_READ = ("name", "linkname", "type", "mode", "uid", "gid", "size", "pax_headers")


@pytest.fixture
def archive(tmp_path):
    """What GNU tar writes of names and kinds that are hard to write down."""
    tree = tmp_path / "t"
    (tree / ("d" * 200) / ("e" * 200)).mkdir(parents=True)
    (tree / ("d" * 200) / ("e" * 200) / "deep").write_bytes(b"x" * 3000)
    (tree / "ünï\ncode").write_bytes(b"")
    with open(os.fsencode(tree) + b"/\xff\xfe", "wb") as out:
        out.write(b"not a text")
    (tree / "one").write_bytes(b"1" * 513)
    os.link(tree / "one", tree / "two")
    os.symlink("n" * 150, tree / "link")
    os.mkfifo(tree / "fifo")
    os.setxattr(tree / "one", "user.note", b"a=b\nc")
    os.utime(tree / "one", (1, 1))
    with open(tree / "sparse", "wb") as out:
        out.seek(1 << 20)
        out.write(b"end")
    command = tar.create("t", (), str(tmp_path))
    return subprocess.run(command.argv, cwd=tmp_path, env=command.env, capture_output=True).stdout


def _listed(archive, block=1 << 20):
    content = io.BytesIO(archive)
    found = members(Forward(lambda: content.read(block)))
    return [
        tuple(getattr(one, name) for name in _READ) + (b"".join(content or ()),)
        for one, content in found
    ]


def test_they_are_read_as_tarfile_reads_them(archive, monkeypatch):
    ours = _listed(archive)
    monkeypatch.setattr(headers, "plain", lambda *_given: None)
    assert ours == _listed(archive)
    assert len(ours) == 11


def test_they_are_read_the_same_wherever_a_block_ends(archive):
    assert _listed(archive, 1000) == _listed(archive)


def test_all_but_holes_are_read_here(archive, monkeypatch):
    left, plain = [], headers.plain

    def seen(block, place, make):
        found = plain(block, place, make)
        left.append(place if found is None else None)
        return found

    monkeypatch.setattr(headers, "plain", seen)
    _listed(archive)
    assert sum(place is not None for place in left) == 2  # the file with holes, and the end


@pytest.mark.parametrize("place", [10, 100, 120, 150, 156, 260, 600])
def test_a_damaged_one_is_left_to_tarfile(archive, place):
    damaged = bytearray(archive)
    damaged[place] ^= 4
    found = headers.plain(bytes(damaged), 0, tarfile.TarInfo)
    whole = headers.plain(archive, 0, tarfile.TarInfo)
    assert whole is not None
    assert found is None or (place == 600 and found[0].name == whole[0].name)
