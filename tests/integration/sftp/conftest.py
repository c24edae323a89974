# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SFTP servers on loopback, one of each kind for a worker; a directory for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import sftp as lab


@pytest.fixture(scope="session")
def area() -> Iterator[Path]:
    """A directory that another user may walk to, and a chroot may be in: no part of it is writable."""
    above = "/run" if lab.ROOT else None
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-sftp-", dir=above))
    folder.chmod(0o755)
    yield folder
    for one in folder.rglob("*"):
        if one.is_dir() and not one.is_symlink():
            one.chmod(0o755)  # a test took rights away
    shutil.rmtree(folder)


def started(server: lab.Server) -> Iterator[lab.Server]:
    with server:
        yield server


@pytest.fixture(scope="session")
def openssh(area: Path) -> Iterator[lab.Server]:
    if why := lab.missing("sshd"):
        pytest.skip(why)
    yield from started(lab.OpenSSH(area / "openssh"))


@pytest.fixture(scope="session")
def poor(area: Path) -> Iterator[lab.Server]:
    if why := lab.missing("sshd"):
        pytest.skip(why)
    subsystem = f"internal-sftp -P {lab.POOR}"
    yield from started(lab.OpenSSH(area / "poor", subsystem, chroot=True))


@pytest.fixture(scope="session")
def proftpd(area: Path) -> Iterator[lab.Server]:
    if why := lab.missing("proftpd") or (not lab.ROOT and "only root may start it so"):
        pytest.skip(why)
    if not os.path.exists("/usr/lib/proftpd/mod_sftp.so"):
        pytest.skip("proftpd-mod-crypto is not installed")
    yield from started(lab.ProFTPD(area / "proftpd"))
