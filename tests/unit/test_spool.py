# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers follow the writer, see every byte, and never take a given-up archive for a whole one."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lifeboat.errors import SpoolError
from lifeboat.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "db.part", size_hint=7)
    yield made
    made.remove()


def drain(spool: Spool, size: int = 65536) -> bytes:
    with spool.reader() as reader:
        return b"".join(iter(lambda: reader.read(size), b""))


def test_followers_see_every_byte_while_it_is_written(spool: Spool) -> None:
    blocks = [os.urandom(size) for size in (1, 70_000, 1 << 20, 3, 0, 999_999)]
    with ThreadPoolExecutor(3) as readers:
        following = [readers.submit(drain, spool, size) for size in (1 << 16, 7001, 1 << 20)]
        for block in blocks:
            spool.write(block)
            time.sleep(0.02)
        assert not any(one.done() for one in following)  # the end comes only with the commit
        spool.commit()
        assert [one.result(10) for one in following] == [b"".join(blocks)] * 3
    assert spool.size_bytes == spool.wait() == sum(map(len, blocks))
    assert spool.sha256 == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert drain(spool) == b"".join(blocks)  # a late reader too
    assert spool.path.read_bytes() == b"".join(blocks)


def test_a_reader_gets_what_is_there_before_the_end(spool: Spool) -> None:
    with spool.reader() as reader:
        spool.write(b"first")
        assert reader.read(5) == b"first"
        spool.write(b"second")
        assert reader.read(6) == b"second"
        spool.commit()
        assert reader.read(1) == b""


def test_an_aborted_archive_raises_in_every_reader_and_leaves_no_file(spool: Spool) -> None:
    with ThreadPoolExecutor(3) as readers:
        following = [readers.submit(drain, spool), readers.submit(drain, spool)]
        waiting = readers.submit(spool.wait)
        spool.write(b"x" * 100_000)
        time.sleep(0.05)
        spool.abort("pg_dump stopped with status 1")
        for one in (*following, waiting):
            with pytest.raises(SpoolError, match="pg_dump stopped with status 1"):
                one.result(10)
    with pytest.raises(SpoolError, match="pg_dump stopped"):
        drain(spool)
    assert list(spool.path.parent.iterdir()) == []


def test_abort_reaches_a_reader_that_is_behind(spool: Spool) -> None:
    spool.write(b"x" * 5_000_000)
    with spool.reader() as reader:
        reader.read(10)
        spool.abort("too late")
        with pytest.raises(SpoolError, match="too late"):
            reader.read()


def test_the_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = Spool(tmp_path / "db.part")
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    made.remove()


def test_the_cap_is_kept_to_the_byte(tmp_path: Path) -> None:
    made = Spool(tmp_path / "db.part", cap_bytes=10)
    made.write(b"x" * 10)
    with pytest.raises(SpoolError, match="cap of 10 bytes") as caught:
        made.write(b"x")
    assert "spool_cap" in caught.value.hint
    assert made.path.stat().st_size == 10
    made.abort("over the cap")
    assert not made.path.exists()


@pytest.mark.parametrize("name", ["db.part", "not/there"])
def test_a_spool_that_cannot_be_made_is_a_spool_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "db.part").write_bytes(b"of another run")
    with pytest.raises(SpoolError, match="cannot be used"):
        Spool(tmp_path / name)
    assert (tmp_path / "db.part").read_bytes() == b"of another run"


def test_removing_twice_and_aborting_after_removing_are_fine(spool: Spool) -> None:
    spool.remove()
    spool.remove()
    spool.abort("anyway")


def test_a_file_cut_by_another_program_is_not_taken_for_its_end(spool: Spool) -> None:
    spool.write(b"x" * 100)
    spool.commit()
    os.truncate(spool.path, 50)
    with pytest.raises(SpoolError, match="cut short"):
        drain(spool, 10)


def test_a_reader_that_nobody_reads_does_not_hold_up_the_writer(spool: Spool) -> None:
    with spool.reader():
        writer = threading.Thread(target=spool.write, args=(b"x" * 40_000_000,))
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
    spool.commit()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_with_what_to_do_and_leaves_nothing(small_disk: Path) -> None:
    made = Spool(small_disk / "db.part")
    with pytest.raises(SpoolError, match="no space left for the spool") as caught:
        for _block in range(3):
            made.write(b"x" * 500_000)
    assert str(small_disk) in caught.value.message
    assert "spool_path" in caught.value.hint
    made.abort("full")
    assert list(small_disk.iterdir()) == []
