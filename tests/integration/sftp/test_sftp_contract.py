# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of SFTP server keeps what a destination promises."""

from __future__ import annotations

import pytest
from lifeboat.destinations.sftp.destination import SFTP

from tests.integration.sftp.places import parts, place_at
from tests.lab import sftp as lab
from tests.unit.contracts.destination_contract import DestinationContract


class Contract(DestinationContract):
    def unfinished(self, place: SFTP) -> list[str]:  # type: ignore[override]
        return parts(place)


class TestOpenSSH(Contract):
    @pytest.fixture
    def place(self, openssh: lab.Server) -> SFTP:
        return place_at(openssh)


class TestPoor(Contract):
    """In a chroot, without posix-rename, fsync, statvfs, setstat, limits and the rest."""

    @pytest.fixture
    def place(self, poor: lab.Server) -> SFTP:
        return place_at(poor)


class TestProFTPD(Contract):
    """Refuses to append, and lets nobody write into a file that is there."""

    @pytest.fixture
    def place(self, proftpd: lab.Server) -> SFTP:
        return place_at(proftpd)
