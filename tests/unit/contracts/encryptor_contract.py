# SPDX-License-Identifier: GPL-3.0-or-later
"""What every filter that encrypts promises. Subclass, and give `pair` and `make`."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import ConfigError, LifeboatError, MissingDependency, ProcessError, UsageError
from lifeboat.filters.zstd import Zstd
from lifeboat.model import Archive
from lifeboat.operations.copies.plain import FetchedArchive
from lifeboat.pipeline import Pipeline
from lifeboat.process import run

PLAIN = os.urandom(300_000)


class EncryptorContract:
    """`pair(number)` -> (private key, public key); the same number gives the same pair."""

    kind: type[Any]

    def pair(self, number: int) -> tuple[bytes, Any]:
        raise NotImplementedError

    def make(self, *public: Any) -> Any:
        """An encryptor to these public keys."""
        raise NotImplementedError

    def sealed(self, *numbers: int) -> bytes:
        return bytes(run(self.make(*[self.pair(one)[1] for one in numbers]).encode(), stdin=PLAIN))

    def archive(self, path: Path, content: bytes) -> FetchedArchive:
        path.write_bytes(content)
        told = Archive(
            name=path.name,
            source="db",
            part="database",
            format="raw",
            filters=({"kind": self.kind.kind},),
            size_bytes=len(content),
            plain_bytes=len(PLAIN),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return FetchedArchive(told, path, {self.kind.kind: self.kind}, self.pair(1)[0])

    def test_a_decoder_without_configuration_opens_with_the_private_key(self) -> None:
        sealed = self.sealed(1)
        assert PLAIN[:100] not in sealed
        assert run(self.kind().decode(self.pair(1)[0]), stdin=sealed) == PLAIN

    def test_each_of_two_recipients_can_open(self) -> None:
        sealed = self.sealed(1, 2)
        assert run(self.kind().decode(self.pair(1)[0]), stdin=sealed) == PLAIN
        assert run(self.kind().decode(self.pair(2)[0]), stdin=sealed) == PLAIN

    def test_nobody_else_can_open(self) -> None:
        with pytest.raises(ProcessError):
            run(self.kind().decode(self.pair(2)[0]), stdin=self.sealed(1))

    def test_it_stands_behind_a_compressor_and_in_front_of_one(self) -> None:
        text = b"the same line, many times\n" * 40000
        packed, sealed = Zstd(), self.make(self.pair(1)[1])
        with Pipeline(io.BytesIO(text), [packed.encode(), sealed.encode()]) as flow:
            stored = b"".join(flow.blocks())
            flow.check()
        assert len(stored) < len(text) / 100
        back = [self.kind().decode(self.pair(1)[0]), Zstd().decode(None)]
        with Pipeline(io.BytesIO(stored), back) as flow:
            assert b"".join(flow.blocks()) == text
            flow.check()

    def test_the_private_key_is_not_in_argv_nor_in_the_repr(self) -> None:
        identity = self.pair(1)[0]
        command = self.kind().decode(identity)
        for line in identity.decode().splitlines():
            assert len(line) < 30 or line not in repr(command) + " ".join(command.argv)

    @pytest.mark.parametrize("left", [0, 1, 40, 20_000, 65_536, 200_000, -1])
    def test_a_cut_archive_is_an_error_and_nothing_of_it_is_kept(
        self, tmp_path: Path, left: int
    ) -> None:
        plain = self.archive(tmp_path / "sealed", self.sealed(1)[:left])
        with pytest.raises(LifeboatError):
            plain.save(tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("place", [-1, -30, 150_000])
    def test_a_flipped_bit_is_an_error_and_nothing_of_it_is_kept(
        self, tmp_path: Path, place: int
    ) -> None:
        content = bytearray(self.sealed(1))
        content[place] ^= 1
        with pytest.raises(LifeboatError):
            self.archive(tmp_path / "sealed", bytes(content)).save(tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_what_is_not_encrypted_at_all_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(LifeboatError):
            self.archive(tmp_path / "sealed", PLAIN).save(tmp_path / "out")

    def test_reading_without_the_private_key_says_how_to_give_it(self) -> None:
        with pytest.raises(UsageError, match="needs the private key") as told:
            self.kind().decode(None)
        assert "--identity" in told.value.hint

    def test_good_recipients_pass_the_check(self) -> None:
        self.make(self.pair(1)[1], self.pair(2)[1]).check()

    def test_no_recipient_at_all_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no recipient"):
            self.kind().check()

    def test_a_missing_program_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        made = self.make(self.pair(1)[1])
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingDependency, match=f"program {self.kind.kind}"):
            made.check()

    def test_a_key_is_known_not_to_fit_before_anything_is_opened(self) -> None:
        record = self.make(self.pair(1)[1]).record()
        assert self.kind().opens(self.pair(1)[0], record)
        assert not self.kind().opens(self.pair(2)[0], record)

    def test_the_other_programs_key_is_known_not_to_fit(self) -> None:
        record = self.make(self.pair(1)[1]).record()
        others = b"AGE-SECRET-KEY-1QQ\n"
        if self.kind.kind == "age":
            others = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nQQ==\n"
        assert not self.kind().opens(others, record)
        with pytest.raises(UsageError):
            self.kind().decode(others)

    def test_the_record_names_the_kind_and_who_can_open(self) -> None:
        told = self.make(self.pair(1)[1], self.pair(2)[1]).record()
        assert told["kind"] == self.kind.kind
        assert len(told["recipients"]) == 2
