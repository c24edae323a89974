"""The local destination: the contract, and what only a directory can promise."""

from __future__ import annotations

import errno
import grp
import io
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from lifeboat.destinations import tree
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError
from lifeboat.spool import Spool

from tests.unit.contracts.destination_contract import (
    ARCHIVE,
    ARCHIVES,
    BLOCK,
    MANIFEST,
    DestinationContract,
    content_of,
    finished,
    keys,
)

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


class TestLocal(DestinationContract):
    """On the spool's own file system: a second name, no second copy."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Local:
        self.root = tmp_path / "disk"
        self.root.mkdir()
        return Local(name="disk", path=str(self.root))

    def unfinished(self, place: Local) -> list[str]:
        return hidden(self.root)


class TestLocalOnAnotherFileSystem(TestLocal):
    """Away from the spool: copied behind the writer."""

    @pytest.fixture
    def spools(self, tmp_path: Path) -> Iterator[Path]:
        memory = Path("/dev/shm")
        if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second file system to write to")
        folder = Path(tempfile.mkdtemp(dir=memory))
        yield folder
        shutil.rmtree(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def disk(root: Path) -> Local:
    return Local(name="disk", path=str(root))


def hidden(root: Path) -> list[str]:
    return [str(path) for path in root.rglob(".*")]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write anywhere: be somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)


# -- what is written


def test_a_spool_on_the_same_disk_is_not_copied(disk: Local, root: Path, tmp_path: Path) -> None:
    spool = finished(tmp_path, BLOCK)
    disk.store(ARCHIVE, spool)
    assert (root / ARCHIVE).stat().st_ino == spool.path.stat().st_ino


def test_two_places_on_one_disk_do_not_share_their_bytes(disk: Local, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Local(name="other", path=str(tmp_path / "other"))
    spool = finished(tmp_path, BLOCK)
    disk.store(ARCHIVE, spool)
    other.store(ARCHIVE, spool)
    inodes = {(tmp_path / place / ARCHIVE).stat().st_ino for place in ("disk", "other")}
    assert len(inodes) == 2
    assert content_of(other, ARCHIVE) == BLOCK


def test_files_and_directories_have_their_modes_whatever_the_umask(
    disk: Local, root: Path, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        disk.store(ARCHIVE, finished(tmp_path, BLOCK))
        disk.put(MANIFEST, b"{}")
    finally:
        os.umask(before)
    modes = (
        {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()},
        {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()},
    )
    assert modes == ({0o640}, {0o750})


@needs_root
def test_owner_and_group_are_given_to_all_that_is_written(root: Path, tmp_path: Path) -> None:
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    disk = Local(name="disk", path=str(root), owner="nobody", group=group)
    disk.store(ARCHIVE, finished(tmp_path, BLOCK))
    disk.put(MANIFEST, b"{}")
    assert {(path.owner(), path.group()) for path in root.rglob("*")} == {("nobody", group)}


def test_an_unknown_owner_is_named(root: Path) -> None:
    disk = Local(name="disk", path=str(root), owner="nobody-has-this-name")
    with pytest.raises(DestinationError, match="no user or group 'nobody-has-this-name'") as caught:
        disk.put(MANIFEST, b"{}")
    assert caught.value.permanent
    assert list(root.iterdir()) == []


def test_the_last_object_takes_its_directory_along(disk: Local, root: Path, tmp_path: Path) -> None:
    disk.store(ARCHIVE, finished(tmp_path, BLOCK))
    disk.delete(ARCHIVE)
    assert not (root / ARCHIVES).exists()


# -- what is left behind by a crash


def test_a_part_left_by_a_crash_is_no_object_and_is_swept_when_old(disk: Local, root: Path) -> None:
    disk.put(MANIFEST, b"{}")
    folder = root / ARCHIVES
    folder.mkdir(parents=True)
    (folder / ".part-0123").write_bytes(BLOCK)
    assert keys(disk) == [MANIFEST]
    assert list(disk.sweep("archives/", NOW - DAY)) == []
    assert list(disk.sweep("archives/other/", NOW + DAY)) == []
    assert list(disk.sweep("archives/db1.example.org/other", NOW + DAY)) == []
    assert list(disk.sweep("archives/", NOW + DAY)) == [ARCHIVES + ".part-0123"]
    assert not folder.exists()
    assert keys(disk) == [MANIFEST]


def test_bytes_are_followed_while_they_are_written(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == root.parent.stat().st_dev:
            pytest.skip("there is no second file system to write to")
        spool = Spool(Path(elsewhere) / "spool")
        disk = Local(name="disk", path=str(root))
        storing = threading.Thread(target=disk.store, args=(ARCHIVE, spool), daemon=True)
        storing.start()
        for _number in range(16):
            spool.write(BLOCK)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not sizes(root, 3 << 20):
            time.sleep(0.01)
        arrived = sizes(root, 3 << 20)
        spool.commit()
        storing.join(10)
        assert arrived


def sizes(root: Path, at_least: int) -> list[int]:
    found = [path.stat().st_size for path in root.rglob(".part-*")]
    return [size for size in found if size >= at_least]


def test_an_archive_that_is_there_already_is_done_and_another_is_an_error(
    disk: Local, root: Path, tmp_path: Path
) -> None:
    disk.store(ARCHIVE, finished(tmp_path, BLOCK))  # and then it was killed
    (tmp_path / "again").mkdir()
    disk.store(ARCHIVE, finished(tmp_path / "again", BLOCK))
    for number, other in enumerate((BLOCK + b"x", BLOCK[:-1], BLOCK[:-1] + b"\0", b"")):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(DestinationError, match="there already"):
            disk.store(ARCHIVE, finished(tmp_path / str(number), other))
    assert content_of(disk, ARCHIVE) == BLOCK
    assert hidden(root) == []


# -- keys and links that lead elsewhere


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../../x", "/etc/x", "a//x", "a/./x", "", "a/", ".part-1", "a/.x", "a\0b"],
)
def test_a_key_that_could_leave_the_root_is_refused(disk: Local, root: Path, key: str) -> None:
    with pytest.raises(DestinationError, match="not a key"):
        disk.put(key, b"x")
    with pytest.raises(DestinationError, match="not a key"), disk.open(key):
        pass
    with pytest.raises(DestinationError, match="not a key"):
        disk.delete(key)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("prefix", ["../", "a/../../", "/etc/", "a//"])
def test_a_prefix_that_could_leave_the_root_is_refused(disk: Local, prefix: str) -> None:
    disk.check()
    with pytest.raises(DestinationError, match="not a prefix"):
        keys(disk, prefix)


@pytest.mark.parametrize("planted", ["archives", "archives/db1.example.org"])
def test_a_link_in_the_path_leads_nowhere(
    disk: Local, root: Path, tmp_path: Path, planted: str
) -> None:
    outside = tmp_path / "outside"
    inner = outside / ARCHIVE[len(planted) + 1 :]
    inner.parent.mkdir(parents=True)
    inner.write_bytes(b"private")
    (root / planted).parent.mkdir(parents=True, exist_ok=True)
    (root / planted).symlink_to(outside)
    with pytest.raises(DestinationError, match="symbolic link") as caught:
        disk.store(ARCHIVE + "2", finished(tmp_path, BLOCK))
    assert caught.value.permanent
    with pytest.raises(DestinationError, match="symbolic link"), disk.open(ARCHIVE):
        pass
    with pytest.raises(DestinationError, match="symbolic link"):
        disk.delete(ARCHIVE)
    assert keys(disk) == []
    assert [path.read_bytes() for path in outside.rglob("*") if path.is_file()] == [b"private"]


def test_a_link_in_an_objects_place_is_neither_read_nor_replaced(
    disk: Local, root: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.write_bytes(b"private")
    (root / MANIFEST).parent.mkdir(parents=True)
    (root / MANIFEST).symlink_to(private)
    with pytest.raises(DestinationError, match="symbolic link"), disk.open(MANIFEST):
        pass
    with pytest.raises(DestinationError):
        disk.put(MANIFEST, b"private")
    assert keys(disk) == []
    assert private.read_bytes() == b"private"


def test_a_pipe_in_an_objects_place_holds_nobody(disk: Local, root: Path) -> None:
    (root / MANIFEST).parent.mkdir(parents=True)
    os.mkfifo(root / MANIFEST)
    with pytest.raises(DestinationError, match="no regular file") as told, disk.open(MANIFEST):
        pass
    assert told.value.missing
    assert keys(disk) == []


# -- a disk that fails, one clear error each


def test_a_directory_that_has_vanished_with_its_disk_is_never_made_anew(
    disk: Local, root: Path, tmp_path: Path
) -> None:
    root.rmdir()
    spool = finished(tmp_path, BLOCK)
    for attempt in (
        disk.check,
        lambda: disk.put(MANIFEST, b"{}"),
        lambda: disk.store(ARCHIVE, spool),
    ):
        with pytest.raises(DestinationError, match="does not exist") as caught:
            attempt()
        assert caught.value.permanent
        assert str(root) in str(caught.value)
        assert "mount its disk" in caught.value.hint
        assert not root.exists()


def test_a_place_that_is_not_there_is_not_an_empty_one(disk: Local, root: Path) -> None:
    root.rmdir()
    with pytest.raises(DestinationError, match="does not exist"):
        keys(disk)
    with pytest.raises(DestinationError, match="does not exist") as caught, disk.open(MANIFEST):
        pass
    assert not caught.value.missing


def test_a_file_in_the_roots_place_is_named(disk: Local, root: Path) -> None:
    root.rmdir()
    root.write_bytes(b"")
    with pytest.raises(DestinationError, match=str(root)):
        disk.check()


def test_without_its_mount_nothing_is_written_or_read(tmp_path: Path) -> None:
    empty = tmp_path / "usb"
    empty.mkdir()
    disk = Local(name="usb", path=str(empty), require_mount=True)
    for attempt in (disk.check, lambda: disk.put(MANIFEST, b"{}"), lambda: keys(disk)):
        with pytest.raises(DestinationError, match="nothing is mounted there") as caught:
            attempt()
        assert caught.value.permanent
        assert "mount" in caught.value.hint
    with pytest.raises(DestinationError, match="nothing is mounted"):
        disk.store(ARCHIVE, finished(tmp_path, BLOCK))
    assert list(empty.iterdir()) == []


@needs_root
def test_with_its_mount_it_is_used(tmp_path: Path) -> None:
    with mounted(tmp_path / "usb", "size=8m") as folder:
        disk = Local(name="usb", path=str(folder), require_mount=True)
        disk.store(ARCHIVE, finished(tmp_path, BLOCK))
        assert content_of(disk, ARCHIVE) == BLOCK


@needs_root
def test_a_full_disk_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=1m") as folder:
        disk = Local(name="disk", path=str(folder))
        with pytest.raises(DestinationError, match="no space left") as caught:
            disk.store(ARCHIVE, finished(tmp_path, BLOCK * 8))
        assert caught.value.permanent
        assert caught.value.hint
        assert str(folder) in str(caught.value)
        assert keys(disk) == hidden(folder) == []
        disk.put(MANIFEST, b"{}")  # the part's space is free again


@needs_root
def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    with mounted(tmp_path / "ro", "ro") as folder:
        disk = Local(name="disk", path=str(folder))
        with pytest.raises(DestinationError, match="read-only") as caught:
            disk.store(ARCHIVE, finished(tmp_path, BLOCK))
        assert caught.value.permanent
        with pytest.raises(DestinationError, match="read-only"):
            disk.check()


def test_permission_denied_is_named() -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        folder = Path(open_to_all) / "disk"
        folder.mkdir()
        disk = Local(name="disk", path=str(folder))
        disk.put(MANIFEST, b"{}")
        locked = [folder, (folder / MANIFEST).parent]
        for directory in locked:
            os.chmod(directory, 0o555)
        with ordinary_user():
            attempts = (disk.check, lambda: disk.put(ARCHIVE, b""), lambda: disk.delete(MANIFEST))
            for attempt in attempts:
                with pytest.raises(DestinationError, match="permission denied") as caught:
                    attempt()
                assert caught.value.permanent
                assert caught.value.hint
        for directory in locked:
            os.chmod(directory, 0o755)


def test_a_disk_that_fails_while_it_is_read_is_the_destinations_fault(
    disk: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.put(MANIFEST, b"{}")
    monkeypatch.setattr(tree, "open_file", lambda folder, name: FailingFile("/dev/null"))
    with disk.open(MANIFEST) as stored, pytest.raises(DestinationError, match="disk") as caught:
        stored.read()
    assert MANIFEST in str(caught.value)


class FailingFile(io.FileIO):
    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_disk_without_hard_links_still_replaces_nothing(
    disk: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    disk.store(ARCHIVE, finished(tmp_path, BLOCK))
    disk.put(MANIFEST, b"one")
    with pytest.raises(DestinationError, match="there already"):
        disk.put(MANIFEST, b"two")
    assert content_of(disk, ARCHIVE) == BLOCK
    assert content_of(disk, MANIFEST) == b"one"
    assert hidden(tmp_path / "disk") == []
