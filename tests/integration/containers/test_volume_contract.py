# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume keeps the promises of every source. What its containers see: test_volume.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat.sources.volume.source import Volume

from tests.unit.contracts.source_contract import SourceContract

from .conftest import podman


def name(ground: Path) -> str:
    return "lb-" + "-".join(ground.parts[-3:]).replace("_", "-")[-60:]


def place(ground: Path) -> Path:
    return Path(podman("volume", "inspect", "-f", "{{.Mountpoint}}", name(ground)))


@pytest.mark.usefixtures("engines")
class TestVolume(SourceContract):
    def prepare(self, ground):
        podman("volume", "rm", "-f", name(ground), check=False)
        podman("volume", "create", name(ground))
        top = place(ground)
        (top / "sub").mkdir()
        (top / "sub" / "a").write_text("one\n" * 5000)
        os.chown(top / "sub" / "a", 33, 34)
        os.link(top / "sub" / "a", top / "hard link")
        (top / "link").symlink_to("sub/a")
        os.setxattr(top / "sub", "user.kept", b"yes")

    def make(self, ground):
        return Volume(name="files", podman=name(ground))

    def change(self, ground):
        (place(ground) / "sub" / "a").write_text("two\n" * 5000)
        (place(ground) / "new").write_text("new")

    def destroy(self, ground):
        podman("volume", "rm", name(ground))

    def look(self, ground):
        top = place(ground)
        seen = {}
        for path in [top, *sorted(top.rglob("*"))]:
            found = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            kept = (found.st_mode, found.st_uid, found.st_gid, found.st_nlink)
            seen[str(path.relative_to(top))] = (*kept, content, os.listxattr(path))
        return seen

    def leftovers(self, ground):
        if name(ground) not in podman("volume", "ls", "-q").split():
            return []
        return sorted(set(os.listdir(place(ground).parent)) - {"_data"})
