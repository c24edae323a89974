# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching an archive takes what its manifest says, and no more, whatever the server has to say."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import pytest
from lifeboat.errors import VerifyError
from lifeboat.model import Archive, Command, Manifest
from lifeboat.operations.copies.plain import FetchedArchive, fetch
from lifeboat.operations.copies.proving import prove_archive
from lifeboat.registry import FILTERS
from lifeboat.stored import Stored

NOW = datetime(2026, 11, 21, 2, tzinfo=timezone.utc)
ARCHIVE = Archive("db.database.pgdump.zst", "db", "database", "pgdump", (), 10, 10, "0" * 64)
MANIFEST = Manifest(
    "20261121T020000Z-daily-7f3a",
    "h",
    "j",
    "daily",
    "dev",
    NOW,
    NOW,
    "lifeboat",
    True,
    (),
    (ARCHIVE,),
)


class Endless(io.RawIOBase):
    """Never ends, as far as a test can wait."""

    given = 0

    def read(self, count: int = -1) -> bytes:
        self.given += count
        return bytes(count) if self.given < 1 << 30 else b""


class Attic:
    name = "attic"

    def __init__(self) -> None:
        self.stream = Endless()

    @contextmanager
    def open(self, _key: str) -> Iterator[BinaryIO]:
        yield self.stream  # type: ignore[misc]

    def list(self, _prefix: str) -> Iterator[Stored]:
        return iter(())


def test_a_server_that_never_ends_fills_no_disk(tmp_path: Path) -> None:
    attic = Attic()
    with pytest.raises(VerifyError, match="not those of its manifest"):
        fetch(attic, MANIFEST, ARCHIVE, tmp_path, lambda _event: None)  # type: ignore[arg-type]
    assert attic.stream.given <= 2 << 20
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_ends_is_not_read_for_ever() -> None:
    attic = Attic()
    with pytest.raises(VerifyError, match="more bytes"):
        prove_archive(attic, MANIFEST, ARCHIVE)  # type: ignore[arg-type]
    assert attic.stream.given <= 2 << 20


@pytest.mark.parametrize("way", ["save", "read", "feed"])
def test_what_is_packed_to_fill_a_disk_fills_none(tmp_path: Path, way: str) -> None:
    bomb = tmp_path / "bomb.zst"
    with open("/dev/zero", "rb") as zeros, open(bomb, "wb") as out:
        head = subprocess.Popen(["head", "-c", "256M"], stdin=zeros, stdout=subprocess.PIPE)
        subprocess.run(["zstd", "-1"], stdin=head.stdout, stdout=out, check=True)
        head.wait()
    assert bomb.stat().st_size < 1 << 20
    packed = replace(ARCHIVE, filters=({"kind": "zstd", "level": 1},), plain_bytes=1 << 20)
    plain = FetchedArchive(packed, bomb, FILTERS, None)
    seen = tmp_path / "seen"
    with pytest.raises(VerifyError, match="more than the 1048576 plain bytes"):
        if way == "save":
            plain.save(seen)
        elif way == "feed":
            plain.feed(Command(("tee", str(seen))))
        else:
            plain.read(lambda stream: seen.write_bytes(stream.read()))
    assert not seen.exists() or seen.stat().st_size <= 1 << 20
