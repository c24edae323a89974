# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory where a disk should be mounted, and is not, is neither an empty destination nor an empty source."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .host import Host


def _fstab(host: Host, *points: Path) -> str:
    """Code that has the host read a table of its own, where `points` are mount points."""
    table = host.base / "fstab"
    rows = [
        f"/dev/none {str(point).replace(' ', chr(92) + '040')} ext4 noauto 0 0" for point in points
    ]
    table.write_text("\n".join(["# a table", "/dev/sda1 / ext4 errors=remount-ro 0 1", *rows, ""]))
    return f"import lifeboat.disks as disks, pathlib; disks._FSTAB = pathlib.Path({str(table)!r})"


def test_a_disk_that_is_not_mounted_is_no_empty_destination(host: Host) -> None:
    host.disk.rmdir()
    host.disk = host.base / "the disk"
    (host.disk / "copies").mkdir(parents=True)
    host.configuration["destinations"]["disk"]["path"] = str(host.disk / "copies")
    host.configure()
    before = _fstab(host, host.disk)
    for command in (("run", "shop"), ("list",), ("status",)):
        done = host.lifeboat(*command, before=before)
        told = done.stdout + done.stderr
        assert done.returncode not in (0, 2) or command == ("status",), told
        assert f"the disk that /etc/fstab has for {host.disk} is not mounted" in told
    assert host.stored() == []
    mounted = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(host.disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        (host.disk / "copies").mkdir()
        assert host.lifeboat("run", "shop", before=before).returncode == 0
    finally:
        subprocess.run(["umount", str(host.disk)], check=True)


def test_a_disk_that_is_not_mounted_is_no_empty_tree(host: Host) -> None:
    tree = host.data / "uploads"
    tree.mkdir()
    host.job["sources"] = {"uploads": {"type": "files", "paths": [str(tree)]}}
    host.configure()
    assert host.lifeboat("run", "shop").returncode == 0
    done = host.lifeboat("run", "shop", before=_fstab(host, tree))
    assert done.returncode == 1
    assert f"the disk that /etc/fstab has for {tree} is not mounted" in done.stderr
