# SPDX-License-Identifier: GPL-3.0-or-later
"""A signature goes with its backup: one that was laid over is not taken for it, one that is not read is no
reason to go without."""

from __future__ import annotations

import io
import json
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
from lifeboat.operations.backup.replicate import Transfer, replicate
from lifeboat.operations.copies.bundle import write_bundle
from lifeboat.operations.copies.catalog import read_document
from lifeboat.paths import paths

from tests.integration.rescue.host import Host

from .test_signatures import forged, host, manifest, rewrite

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
    backup = ("h1", "shop", id_)
    replicate(
        Transfer(disk, other, backup, spool, lambda: datetime.now(timezone.utc), signers=ours)
    )
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


@pytest.fixture
def two(host: Host, tmp_path: Path) -> Host:
    """The host with a second destination."""
    (tmp_path / "second").mkdir()
    second = {"type": "local", "path": str(tmp_path / "second")}
    host.configuration["destinations"]["second"] = second
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    return host


def at_second(host: Host, id_: str) -> Path:
    return host.base / "second" / manifest(host, id_).relative_to(host.disk)


@pytest.mark.parametrize("believed", [True, False], ids=["signers", "none"])
def test_a_signature_that_was_lost_is_put_back_from_where_it_is(two: Host, believed: bool) -> None:
    if not believed:
        del two.configuration["signers"]
        two.configure()
    id_ = two.run()
    lost = at_second(two, id_).with_suffix(".json.sig")
    content = lost.read_bytes()
    lost.unlink()

    if believed:
        standing = json.loads(two.lifeboat("status", "--json").stdout)
        (at,) = [one for one in standing if one["destination"] == "second"]
        assert (at["state"], at["next"]) == ("critical", "lifeboat verify shop")
        assert "is not signed" in at["reason"]
    found = two.lifeboat("verify", "shop")
    assert (found.returncode, "unsigned" in found.stdout) == ((1, True) if believed else (0, False))
    assert ("`lifeboat push shop` puts it back, from disk" in found.stderr) == believed
    pushed = two.lifeboat("push", "shop", "--missing")

    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.strip() == f"shop {id_} second: intact, its signature stored again"
    assert lost.read_bytes() == content
    assert two.lifeboat("verify", "shop").returncode == 0
    assert two.lifeboat("push", "shop").stdout.strip() == "nothing is missing"


@pytest.mark.parametrize("what", [".json.sig", ".json"])
def test_what_is_not_signed_any_more_is_made_whole_from_where_it_is(two: Host, what: str) -> None:
    id_ = two.run()
    wrong = at_second(two, id_).with_suffix(what)
    if what == ".json":
        right = wrong.read_bytes()
        forged(two, id_)
        rewrite(wrong, manifest(two, id_).read_bytes())
        rewrite(manifest(two, id_), right)
    else:
        rewrite(wrong, b"no signature at all")

    found = two.lifeboat("verify", "shop")
    assert found.returncode == 1
    assert "corrupt" in found.stdout
    pushed = two.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stderr
    assert "stored again" in pushed.stdout
    assert two.lifeboat("verify", "shop").returncode == 0


def test_a_signature_of_another_manifest_is_not_put_beside_this_one(two: Host) -> None:
    id_ = two.run()
    forged(two, id_)  # sound, and another one
    manifest(two, id_).with_suffix(".json.sig").unlink()
    pushed = two.lifeboat("push", "shop")
    assert pushed.returncode == 3
    assert "is another one" in pushed.stdout
    assert not manifest(two, id_).with_suffix(".json.sig").exists()
