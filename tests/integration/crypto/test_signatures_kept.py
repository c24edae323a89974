# SPDX-License-Identifier: GPL-3.0-or-later
"""A signature goes with its backup: one that was laid over is not taken for it, one that is not read is no
reason to go without."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from lifeboat.cli.session import Session
from lifeboat.destinations.bundle import Bundle
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError, UnsignedError
from lifeboat.operations.backup.replicate import replicate
from lifeboat.operations.copies.bundle import write_bundle
from lifeboat.operations.copies.catalog import read_document
from lifeboat.paths import paths

from tests.integration.rescue.host import Host

from .test_signatures import host, manifest, rewrite

__all__ = ["host"]


class Versioned(Local):
    """A disk like a bucket that keeps what was there before; `silent`: its signatures cannot be read now."""

    def __init__(self, path: Path, before: bytes, silent: bool = False) -> None:
        super().__init__("disk", str(path))
        self._before, self._silent = before, silent

    def open(self, key: str) -> Any:
        if self._silent and key.endswith(".sig"):
            raise DestinationError("no answer")
        return super().open(key)

    def older(self, key: str, size: int | None = None) -> Iterator[AbstractContextManager[Any]]:
        if key.endswith(".sig"):
            yield io.BytesIO(self._before)


def signers(host: Host) -> tuple[str, ...]:
    return Session.load(paths("user", str(host.root))).job("shop").signers


def test_what_was_laid_over_a_signature_is_carried_nowhere(host: Host, tmp_path: Path) -> None:
    id_, ours = host.run(), signers(host)
    signature = manifest(host, id_).with_suffix(".json.sig")
    disk = Versioned(host.disk, signature.read_bytes())
    rewrite(signature, b"forged")
    with pytest.raises(UnsignedError):
        read_document(Local("disk", str(host.disk)), "h1", "shop", id_, ours)

    bundle, spool, second = tmp_path / "shop.tar", tmp_path / "spool", tmp_path / "second"
    write_bundle(disk, "h1", "shop", id_, bundle, signers=ours)
    read_document(Bundle(str(bundle)), "h1", "shop", id_, ours)

    spool.mkdir()
    second.mkdir()
    other = Local("second", str(second))
    where = ("h1", "shop", id_, spool)
    replicate(disk, other, *where, lambda: datetime.now(timezone.utc), signers=ours)
    read_document(other, "h1", "shop", id_, ours)


@pytest.mark.parametrize("signed", [True, False])
def test_no_bundle_goes_without_a_signature_that_cannot_be_read_now(
    host: Host, tmp_path: Path, signed: bool
) -> None:
    id_ = host.run()
    silent = Versioned(host.disk, b"", silent=True)
    asked = signers(host) if signed else ()
    with pytest.raises(DestinationError):
        write_bundle(silent, "h1", "shop", id_, tmp_path / "a.tar", signers=asked)
    assert not (tmp_path / "a.tar").exists()
