# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing takes what is committed, only that, and follows nobody out of the tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.errors import UsageError
from lifeboat.operations.upkeep.seal import Sealed, seal

CLIENT = 65534  # nobody
ID = "20261121T020000Z-daily-7f3a"
OTHER = "20261121T030000Z-daily-0b17"
NEW = "20261122T020000Z-daily-0001"
AT = "20261122T020000Z"
MANIFEST = f"catalog/web/shop/{ID}.json"
ARCHIVE = f"archives/web/shop/{ID}/db.database.sqlite"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a client has sent: one committed backup with a mark, and one that is under way."""
    for folder in ("catalog/web/shop", f"archives/web/shop/{ID}", f"archives/web/shop/{OTHER}"):
        (tmp_path / folder).mkdir(parents=True)
    for name in (
        f"catalog/web/shop/{ID}.json",
        f"catalog/web/shop/{ID}.intact-20261121T020102Z",
        f"archives/web/shop/{ID}/db.database.sqlite",
        f"archives/web/shop/{ID}/.part-01",
        f"archives/web/shop/{OTHER}/db.database.sqlite",
        f"catalog/web/shop/{OTHER}.partial-20261121T030000Z",
    ):
        (tmp_path / name).write_text("bytes")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        os.chown(path, CLIENT, CLIENT)
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o755)
    return tmp_path


def sealed(tree: Path) -> Sealed:
    done = seal("web", str(tree), CLIENT)
    assert done.failure == ""
    return done


def as_client(action: Callable[[], object]) -> str:
    """What the client is told when it tries that; "" when it may."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(CLIENT)
            os.setuid(CLIENT)
            action()
        except OSError as exc:
            os.write(writing, type(exc).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(pid, 0)
    return said


def test_what_is_committed_is_the_clients_no_more_and_the_rest_is(tree: Path) -> None:
    done = sealed(tree)
    assert sorted(done.sealed) == [
        f"archives/web/shop/{ID}/db.database.sqlite",
        f"catalog/web/shop/{ID}.intact-20261121T020102Z",
        f"catalog/web/shop/{ID}.json",
    ]
    owners = {
        str(path.relative_to(tree)): (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode))
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert {key for key, (uid, _mode) in owners.items() if uid == 0} == set(done.sealed)
    assert {owners[key] for key in done.sealed} == {(0, 0o440)}


ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "delete": os.unlink,
    "rename": lambda path: os.rename(path, f"{path}.x"),
    "replace": lambda path: os.rename(path.parent.parent / "mine", path),
    "append": lambda path: open(path, "ab"),
    "truncate": lambda path: os.truncate(path, 0),
    "chmod": lambda path: os.chmod(path, 0o600),
    "rename its directory": lambda path: os.rename(path.parent, f"{path.parent}.x"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("key", [MANIFEST, ARCHIVE])
def test_the_client_can_do_nothing_to_it(tree: Path, attempt: str, key: str) -> None:
    mine = (tree / key).parent.parent / "mine"
    mine.write_text("other bytes")
    os.chown(mine, CLIENT, CLIENT)
    sealed(tree)
    assert as_client(lambda: ATTEMPTS[attempt](tree / key)) == "PermissionError"
    assert (tree / key).read_text() == "bytes"


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_without_the_seal_the_client_could(tree: Path, attempt: str) -> None:
    (tree / "catalog/web/mine").write_text("other bytes")
    os.chown(tree / "catalog/web/mine", CLIENT, CLIENT)
    assert as_client(lambda: ATTEMPTS[attempt](tree / MANIFEST)) == ""


def test_the_client_goes_on_reading_and_adding(tree: Path) -> None:
    sealed(tree)
    new, mark = tree / f"archives/web/shop/{NEW}", tree / f"catalog/web/shop/{ID}.pin-{AT}"

    def go_on() -> None:
        (tree / MANIFEST).read_text()
        new.mkdir()
        (new / ".part-1").write_text("x")
        os.rename(new / ".part-1", new / "db.database.sqlite")
        mark.write_text("")
        (tree / f"archives/web/shop/{ID}/.part-01").unlink()

    assert as_client(go_on) == ""
    assert sealed(tree).sealed == [f"catalog/web/shop/{mark.name}"]


def test_a_file_that_somebody_may_still_write_is_not_called_sealed(tree: Path) -> None:
    key = f"archives/web/shop/{ID}/db.database.sqlite"
    with (tree / key).open("ab"):
        done = sealed(tree)
        assert done.busy == [key]
        assert f"catalog/web/shop/{ID}.json" not in done.sealed
        assert sealed(tree).busy == [key]
    assert f"catalog/web/shop/{ID}.json" in sealed(tree).sealed
    assert sealed(tree) == Sealed("web")


def test_links_lead_nowhere(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / f"{ID}.json").write_text("{}")
    os.chown(outside, CLIENT, CLIENT)
    os.chown(outside / f"{ID}.json", CLIENT, CLIENT)
    os.symlink(outside, tree / "catalog/web/other")
    os.symlink(outside / f"{ID}.json", tree / f"catalog/web/shop/{OTHER}.json")
    os.mkfifo(tree / f"catalog/web/shop/{ID}.bad-20261121T020102Z")
    sealed(tree)
    assert {path.stat().st_uid for path in (outside, outside / f"{ID}.json")} == {CLIENT}


def test_a_tree_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "there is no directory" in seal("web", str(tmp_path / "x"), CLIENT).failure


def test_nobody_else_seals(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: CLIENT)
    with pytest.raises(UsageError):
        seal("web", str(tree), CLIENT)
