"""A limit of bytes a second holds, whatever the kind of destination, and for all uploads together."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from lifeboat.destinations.governed import Allowance, Governed, Slow
from lifeboat.destinations.local import Local
from lifeboat.errors import SpoolError
from lifeboat.policy import CopyPolicy
from lifeboat.spool import Spool

from tests.unit.contracts.destination_contract import BLOCK, DestinationContract, Writer, finished


class TestGoverned(DestinationContract):
    """It is what it governs."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Governed:
        folder = tmp_path / "there"
        folder.mkdir()
        self.folder = folder
        return Governed(Local(name="disk", path=str(folder)), CopyPolicy(bandwidth=1 << 30))

    def unfinished(self, place: Governed) -> list[str]:
        return [str(one) for one in self.folder.rglob(".*")]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", [10_000, 1 << 20, 30_000_000])
def test_no_more_goes_out_than_was_said(rate: int) -> None:
    passing = Time()
    allowance = Allowance(rate, passing, passing.sleep)
    for _number in range(100):
        allowance.take(allowance.largest)
    sent = 100 * allowance.largest
    assert sent / (passing.now - 100.0) == pytest.approx(rate, rel=0.02)


def test_a_pause_is_not_made_up_for_by_a_flood() -> None:
    passing = Time()
    allowance = Allowance(1000, passing, passing.sleep)
    passing.now += 3600
    begun = passing.now
    for _number in range(20):
        allowance.take(250)
    assert passing.now - begun == pytest.approx(5.0, abs=0.5)


def test_two_uploads_share_one_limit(tmp_path: Path) -> None:
    allowance = Allowance(8 * len(BLOCK))
    spools = [Slow(finished(tmp_path, BLOCK * 2, f"s{one}"), allowance) for one in range(2)]
    begun = time.monotonic()
    readers = [threading.Thread(target=lambda one=one: one.reader().read()) for one in spools]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    assert time.monotonic() - begun > 0.2  # 4 blocks at 8 a second, less what may go at once


def test_an_archive_that_was_given_up_ends_a_slow_reader(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    Writer(spool, 3, failure="pg_dump died")
    with pytest.raises(SpoolError, match="pg_dump died"):
        Slow(spool, Allowance(1 << 30)).reader().read()
