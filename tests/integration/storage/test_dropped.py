# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection is dropped at 1, 50 and 99 % of a transfer: it goes on, or fails and nothing counts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lifeboat.destinations.sftp import session as sftp_session
from lifeboat.destinations.sftp import stream as sftp_stream
from lifeboat.errors import DestinationError

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import MIB, bucket, s3_at  # noqa: F401
from tests.integration.sftp.conftest import openssh  # noqa: F401
from tests.integration.sftp.places import options, parts, place_at
from tests.lab import s3 as lab_s3
from tests.lab import sftp as lab_sftp
from tests.lab.dropper import Dropper
from tests.unit.contracts.destination_contract import ARCHIVE, content_of, finished, keys

CONTENT = os.urandom(12 * MIB)
PERCENT = [1, 50, 99]


@dataclass
class Way:
    """One server, reached straight and through a port that may drop."""

    port: int
    straight: Any
    through: Callable[[int], Any]
    left: Callable[[], list[str]]  # what is stored of an archive that is not whole


@pytest.fixture(params=["sftp", "s3"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    if request.param == "sftp":
        for module in (sftp_session, sftp_stream):
            monkeypatch.setattr(module, "PAUSES_S", (0.1, 0.2, 0.4))
        server: lab_sftp.Server = request.getfixturevalue("openssh")
        straight = place_at(server)
        folder = straight.behind.name  # type: ignore[attr-defined]

        def through(port: int) -> Any:
            made = place_at(server, port=port, path=f"{server.path}/{folder}")
            made.behind = straight.behind  # type: ignore[attr-defined]
            return made

        yield Way(server.port, straight, through, lambda: parts(straight))
        return
    gateway: lab_s3.Server = request.getfixturevalue("gateway")
    made = request.getfixturevalue("bucket")
    yield Way(
        gateway.port,
        s3_at(made),
        lambda port: s3_at(made, endpoint=f"http://127.0.0.1:{port}", part_size=5 * MIB),
        made.open_uploads,
    )


def at(percent: int) -> int:
    return len(CONTENT) * percent // 100


@pytest.mark.parametrize("percent", PERCENT)
def test_an_upload_whose_connection_is_dropped_goes_on(
    way: Way, percent: int, tmp_path: Path
) -> None:
    with Dropper(way.port, "to", at(percent)) as dropper:
        way.through(dropper.port).store(ARCHIVE, finished(tmp_path, CONTENT))
        assert dropper.drops == 1
    assert content_of(way.straight, ARCHIVE) == CONTENT
    assert keys(way.straight) == [ARCHIVE]
    assert way.left() == []


@pytest.mark.parametrize("percent", PERCENT)
def test_an_upload_whose_connection_is_lost_for_good_fails_and_counts_for_nothing(
    way: Way, percent: int, tmp_path: Path
) -> None:
    with Dropper(way.port, "to", at(percent), for_good=True) as dropper:
        with pytest.raises(DestinationError) as told:
            way.through(dropper.port).store(ARCHIVE, finished(tmp_path, CONTENT))
        assert dropper.drops == 1
    assert f"{way.straight.name}: " in str(told.value)
    assert not told.value.permanent  # it is tried again
    assert keys(way.straight) == []
    way.straight.store(
        ARCHIVE, finished(tmp_path, CONTENT, "again")
    )  # what is left is in nobody's way
    assert content_of(way.straight, ARCHIVE) == CONTENT


@pytest.mark.parametrize("percent", PERCENT)
def test_a_download_whose_connection_is_dropped_goes_on_or_says_that_it_did_not(
    way: Way, percent: int, tmp_path: Path
) -> None:
    way.straight.store(ARCHIVE, finished(tmp_path, CONTENT))
    with Dropper(way.port, "from", at(percent)) as dropper:
        place = way.through(dropper.port)
        with suppress(DestinationError):  # then whoever fetches reads it again
            assert content_of(place, ARCHIVE) == CONTENT
        assert dropper.drops == 1
        assert content_of(place, ARCHIVE) == CONTENT


@pytest.mark.parametrize("percent", PERCENT)
def test_a_download_whose_connection_is_lost_for_good_is_no_short_file(
    way: Way, percent: int, tmp_path: Path
) -> None:
    way.straight.store(ARCHIVE, finished(tmp_path, CONTENT))
    with Dropper(way.port, "from", at(percent), for_good=True) as dropper:
        with pytest.raises(DestinationError) as told:
            content_of(way.through(dropper.port), ARCHIVE)
        assert dropper.drops == 1
    assert f"{way.straight.name}: " in str(told.value)


@pytest.mark.parametrize(
    "percent",
    [pytest.param(1, marks=pytest.mark.nightly), 50, pytest.param(99, marks=pytest.mark.nightly)],
)
def test_a_restore_whose_connection_is_dropped_brings_all_or_leaves_the_old_state(
    openssh: lab_sftp.Server,  # noqa: F811
    tmp_path: Path,
    percent: int,
) -> None:
    host = Host(tmp_path)
    host.fill(1000)
    (host.data / "blobs").mkdir()
    (host.data / "blobs" / "one").write_bytes(os.urandom(2 * MIB))
    host.job["sources"]["blobs"] = {"type": "files", "paths": [str(host.data / "blobs")]}
    folder = place_at(openssh).behind.name  # type: ignore[attr-defined]
    attic = options(openssh, folder, type="sftp", credential="attic_key", timeout="5s")
    host.configuration["destinations"] = {"attic": attic}
    host.job["destinations"] = ["attic"]
    host.configure()
    credentials = host.root / "config" / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "attic_key").touch(mode=0o600)
    (credentials / "attic_key").write_text(json.dumps(openssh.key))
    id_ = host.run()
    host.fill(7)
    size = sum(one.stat().st_size for one in (openssh.files / folder).rglob("*") if one.is_file())
    hurry = (
        "import lifeboat.destinations.sftp.session as one, lifeboat.destinations.sftp.stream as two\n"
        "one.PAUSES_S = two.PAUSES_S = (0.1, 0.2)\n"
    )

    with Dropper(openssh.port, "from", size * percent // 100, for_good=True) as dropper:
        attic["port"] = dropper.port
        host.configure()
        lost = host.restore(id_, before=hurry)
        assert dropper.drops == 1
    assert lost.returncode == 1, lost.stderr
    assert "attic" in lost.stderr
    assert "Traceback" not in lost.stderr
    assert host.rows() == 7
    assert host.left_over() == [str(host.data / "blobs" / "one")]

    with Dropper(openssh.port, "from", size * percent // 100) as dropper:
        attic["port"] = dropper.port
        host.configure()
        again = host.restore(id_, before=hurry)
        assert dropper.drops == 1
    assert again.returncode == 0, again.stderr
    assert host.rows() == 1000
