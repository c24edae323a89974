# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the zstd filter."""

from __future__ import annotations

import io

import pytest
from lifeboat.errors import ConfigError, MissingDependency, ProcessError
from lifeboat.filters.zstd import Zstd
from lifeboat.pipeline import Pipeline
from lifeboat.process import run

PLAIN = b"the same line, many times\n" * 40000


def packed() -> bytes:
    with Pipeline(io.BytesIO(PLAIN), [Zstd().encode()]) as flow:
        out = b"".join(flow.blocks())
        flow.check()
    return out


def test_a_decoder_without_configuration_gives_back_what_was_encoded():
    assert len(packed()) < len(PLAIN) / 100
    assert run(Zstd().decode(None), stdin=packed()) == PLAIN


def test_a_truncated_archive_is_an_error():
    with pytest.raises(ProcessError):
        run(Zstd().decode(None), stdin=packed()[:-5])


def test_an_empty_archive_is_an_error():
    with pytest.raises(ProcessError):
        run(Zstd().decode(None), stdin=b"")


def test_a_flipped_bit_is_an_error():
    content = bytearray(packed())
    content[-1] ^= 1  # the frame's checksum
    with pytest.raises(ProcessError):
        run(Zstd().decode(None), stdin=bytes(content))


def test_a_missing_program_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="zstd"):
        Zstd().check()


def test_a_level_that_readers_could_not_decode_is_refused():
    with pytest.raises(ConfigError, match="22"):
        Zstd(level=22).check()


def test_a_higher_level_makes_a_smaller_archive():
    lines = b"".join(b"customer %d owes %d\n" % (n, n * n % 99991) for n in range(20000))
    quick, small = (len(run(Zstd(level=level).encode(), stdin=lines)) for level in (1, 19))
    assert small < quick * 0.8
