# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the code that reaches a directory without being led astray."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lifeboat import anchor
from lifeboat.anchor import anchored, open_directory
from lifeboat.cli.session import Session
from lifeboat.config import Configuration
from lifeboat.errors import LifeboatError, SourceError
from lifeboat.job import Job
from lifeboat.paths import paths

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
USER = 33


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory of another user, and a directory that is none of his business."""
    (tmp_path / "shop" / "data").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    for path in (tmp_path / "shop", tmp_path / "shop" / "data"):
        os.chown(path, USER, USER)
    return tmp_path / "shop"


def same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    finally:
        os.close(descriptor)


@needs_root
def test_a_directory_of_another_user_is_reached(shop: Path) -> None:
    assert same(open_directory(str(shop / "data")), shop / "data")
    assert anchor.forbidding(str(shop / "data")) == ""


@needs_root
def test_a_link_of_roots_own_in_roots_own_directory_is_followed(shop: Path) -> None:
    (shop.parent / "current").symlink_to("shop/../shop")
    (shop.parent / "again").symlink_to(shop.parent / "current")
    assert same(open_directory(str(shop.parent / "again" / "data")), shop / "data")


@needs_root
@pytest.mark.parametrize("owner", [0, USER])
def test_a_link_in_a_directory_of_another_user_is_not_followed(shop: Path, owner: int) -> None:
    (shop / "moved").symlink_to(shop.parent / "precious")
    os.lchown(shop / "moved", owner, owner)
    with pytest.raises(LifeboatError, match="root does not follow the link moved") as told:
        open_directory(str(shop / "moved" / "x"), create=True)
    assert str(shop.parent / "precious") in told.value.hint
    assert os.listdir(shop.parent / "precious") == []


@needs_root
def test_a_link_of_another_user_in_a_sticky_directory_is_not_followed(shop: Path) -> None:
    (shop.parent / "tmp").mkdir()
    (shop.parent / "tmp").chmod(0o1777)
    (shop.parent / "tmp" / "x").symlink_to(shop.parent / "precious")
    os.lchown(shop.parent / "tmp" / "x", USER, USER)
    assert "root does not follow" in anchor.forbidding(str(shop.parent / "tmp" / "x"))


def test_an_ordinary_user_follows_his_own_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert same(open_directory(str(tmp_path / "link")), tmp_path / "real")


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LifeboatError, match="too many links"):
        open_directory(str(tmp_path / "a"))


def test_what_is_done_by_the_name_stays_with_the_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with anchored(str(tmp_path / "real")) as here:
        os.rename(tmp_path / "real", tmp_path / "moved")
        os.symlink(tmp_path / "elsewhere", tmp_path / "real")
        Path(here, "written").touch()
    assert os.listdir(tmp_path / "moved") == ["written"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_an_error_tells_the_directorys_own_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as told, anchored(str(tmp_path)) as here:
        raise SourceError("nothing lies at %s/x" % here, hint="look at %s/y" % here)
    assert (str(told.value), told.value.hint) == (
        f"nothing lies at {tmp_path}/x",
        f"look at {tmp_path}/y",
    )


@pytest.mark.parametrize(
    ("name", "why"), [("nowhere/x", "does not exist"), ("file", "is not a directory")]
)
def test_what_is_no_directory_is_told(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LifeboatError, match=why):
        open_directory(str(tmp_path / name))
    with pytest.raises(LifeboatError, match="is not a directory"):
        open_directory(str(tmp_path / "file" / "x"))


def test_what_is_missing_is_made_if_asked(tmp_path: Path) -> None:
    assert same(open_directory(str(tmp_path / "a" / "b"), create=True), tmp_path / "a" / "b")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("a", "b", "a/b"):
        with pytest.raises(LifeboatError):
            open_directory(str(tmp_path / name))
    with anchored(str(tmp_path)):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


# -- where root fetches to


@pytest.fixture
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/lib") as base:
        (Path(base) / "spool").mkdir()
        os.chown(Path(base) / "spool", USER, USER)
        yield Path(base)


def fetched_to(disk: Path) -> Path:
    where = replace(paths("system"), state=disk / "state")
    session = Session(where, Configuration("h1", {}, {}, disk / "spool"))
    return session.area(Job("shop", "h1", "dev", (), (), ()), rescue=True).spool


@needs_root
def test_root_fetches_beside_the_spool_path_where_only_root_may_write(disk: Path) -> None:
    os.chmod(disk, 0o755)
    assert fetched_to(disk) == disk / "spool.restore" / "shop"


@needs_root
def test_root_never_fetches_to_where_another_user_may_write(disk: Path) -> None:
    for make_unsafe in (
        lambda: os.chmod(disk, 0o775),
        lambda: (os.chmod(disk, 0o755), os.chown(disk, USER, USER)),
    ):
        make_unsafe()
        assert fetched_to(disk) == disk / "state" / "restores" / "spool" / "shop"
