# SPDX-License-Identifier: GPL-3.0-or-later
"""A crash leaves the old file or the new one, nobody else reads it, and no lock is ever stale."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat import files
from lifeboat.errors import LifeboatError, LockedError

ENGINE = Path(files.__file__).parent


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


# -- writing


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644])
def test_write_makes_the_mode_asked_for_whatever_the_umask(tmp_path: Path, wanted: int) -> None:
    files.write(tmp_path / "config.json", b"content", mode=wanted)
    assert (tmp_path / "config.json").read_bytes() == b"content"
    assert mode(tmp_path / "config.json") == wanted


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    files.write(path, contents[0])
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            for content in contents:
                files.write(path, content)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        seen = {path.read_bytes() for _turn in range(300)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        files.write(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path) -> None:
    files.write(tmp_path / ("ä" * 127), b"x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_file_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    files.write(tmp_path / "state", b"x", owner_of=tmp_path)
    found = (tmp_path / "state").stat()
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_lines_of_many_writers_are_never_mixed(tmp_path: Path) -> None:
    log = tmp_path / "history.jsonl"
    lines = [letter * 5000 for letter in "abcdefgh"]
    threads = [threading.Thread(target=files.append_line, args=(log, line)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log.read_text().splitlines()) == lines


def test_exchange_swaps_two_names_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaf").write_text("old")
    (tmp_path / "file").write_text("new")
    files.exchange(tmp_path / "tree", tmp_path / "file")
    assert (tmp_path / "tree").read_text() == "new"
    assert (tmp_path / "file" / "leaf").read_text() == "old"
    with pytest.raises(OSError, match="No such file") as caught:
        files.exchange(tmp_path / "tree", tmp_path / "not-there")
    assert caught.value.errno == errno.ENOENT
    assert (tmp_path / "tree").read_text() == "new"


def test_remove_takes_files_trees_and_links_but_never_what_a_link_points_at(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    link, tree = tmp_path / "link", tmp_path / "tree"
    link.symlink_to(precious)
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "link").symlink_to(precious)
    for path in (link, tree, tmp_path / "not-there"):
        files.remove(path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (precious / "file").exists()


@pytest.mark.usefixtures("umask")
def test_private_directories_are_private_whatever_the_umask(tmp_path: Path) -> None:
    assert mode(files.make_private(tmp_path / "a")) == 0o700
    (tmp_path / "a").chmod(0o755)
    files.make_private(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o755  # an operator's choice is kept


def test_the_workspace_goes_however_it_ends(tmp_path: Path) -> None:
    def use() -> None:
        with files.workspace(tmp_path / "spool", tmp_path) as work:
            assert (mode(work.bulk), mode(work.secret)) == (0o700, 0o700)
            (work.bulk / "data").write_text("x")
            (work.secret / "pgpass").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_free_space_is_told(tmp_path: Path) -> None:
    assert files.free_bytes(tmp_path) > 0


# -- locks

_HOLD = """
import importlib.util, pathlib, sys, time
engine = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "lifeboat", engine / "__init__.py", submodule_search_locations=[str(engine)])
sys.modules["lifeboat"] = importlib.util.module_from_spec(spec)
from lifeboat.files import lock
with lock(pathlib.Path(sys.argv[2]), "backup of shop"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", _HOLD, str(ENGINE), str(tmp_path / "shop.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_held_lock_refuses_and_says_who_holds_it(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with pytest.raises(LockedError) as caught:
        files.lock(tmp_path / "shop.lock", "restore").__enter__()
    assert caught.value.message == (
        "another operation holds shop: backup of shop, process %d" % holder.pid
    )
    assert caught.value.exit_code == 5


def test_a_lock_is_free_the_moment_its_holder_is_killed(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with files.lock(tmp_path / "shop.lock", "restore"):
        assert (tmp_path / "shop.lock").read_text() == f"restore, process {os.getpid()}\n"


def test_a_lock_can_be_waited_for(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    threading.Timer(0.3, holder.kill).start()
    with files.lock(tmp_path / "shop.lock", "restore", wait=True):
        assert holder.wait() == -signal.SIGKILL


def test_a_lock_is_free_after_its_block_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "shop.lock"
    with pytest.raises(KeyError), files.lock(path, "one"):
        raise KeyError
    with files.lock(path, "other"), pytest.raises(LockedError, match="other"):
        files.lock(path, "third").__enter__()
    assert path.read_text() == ""


def test_two_jobs_do_not_share_a_lock(tmp_path: Path) -> None:
    with files.lock(tmp_path / "a.lock", "one"), files.lock(tmp_path / "b.lock", "other"):
        pass


def test_a_lock_is_never_a_link_to_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "shop.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(LifeboatError, match="is not a regular file"):
        files.lock(tmp_path / "shop.lock", "one").__enter__()
    assert (tmp_path / "precious").read_text() == "content"


def test_a_lock_or_a_log_is_never_a_second_name_of_another_file(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    os.link(precious, tmp_path / "shop.lock")
    before = precious.stat()
    with pytest.raises(LifeboatError, match="second name"), files.lock(tmp_path / "shop.lock", "x"):
        pass
    with pytest.raises(LifeboatError, match="second name"):
        files.append_line(tmp_path / "shop.lock", "line")
    assert precious.read_text() == "precious"
    assert (precious.stat().st_mode, precious.stat().st_uid) == (before.st_mode, before.st_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_roots_lock_does_not_shut_out_the_user_of_the_job(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    tmp_path.chmod(0o770)
    before = os.umask(0o077)
    try:
        with files.lock(tmp_path / "shop.lock", "root's"):
            pass
    finally:
        os.umask(before)
    lock = (tmp_path / "shop.lock").stat()
    assert (lock.st_uid, lock.st_gid) == (12345, 23456)
    assert lock.st_mode & 0o777 == 0o660  # a job with a user of its own is in the group


# -- what others may have put in a file's place


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("theirs")
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("plant", [os.mkfifo, _link, Path.mkdir], ids=["pipe", "link", "folder"])
def test_what_is_no_regular_file_is_refused_and_holds_nobody(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    path = tmp_path / "shop.lock"
    plant(path)
    for attempt in (
        lambda: files.append_line(path, "line"),
        lambda: files.lock(path, "backup").__enter__(),
        lambda: files.read_small(path),
    ):
        with pytest.raises(LifeboatError, match="is not a regular file"):
            attempt()
    assert "line" not in "".join(one.read_text() for one in tmp_path.glob("elsewhere"))


def test_a_pipe_with_a_reader_gets_no_line_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(LifeboatError, match="is not a regular file"):
            files.append_line(tmp_path / "log", "line")
    finally:
        os.close(reader)


def test_a_small_file_is_read_whole_and_a_large_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "request"
    path.write_bytes(b"x" * 100)
    assert files.read_small(path, 100) == b"x" * 100
    with pytest.raises(LifeboatError, match="more than 99 bytes"):
        files.read_small(path, 99)
    with pytest.raises(FileNotFoundError):
        files.read_small(tmp_path / "not-there")


@pytest.mark.parametrize("there", [True, False])
def test_a_private_directory_is_never_a_link_that_was_planted(tmp_path: Path, there: bool) -> None:
    (tmp_path / "spool").symlink_to(tmp_path / "app")
    if there:
        (tmp_path / "app").mkdir()
    with pytest.raises(LifeboatError, match="spool is a symbolic link"):
        files.make_private(tmp_path / "spool")
    assert (tmp_path / "app").exists() is there
    (tmp_path / "file").touch()
    with pytest.raises(LifeboatError, match="file is not a directory"):
        files.make_private(tmp_path / "file")


def test_a_line_that_a_power_cut_left_swallows_no_other(tmp_path: Path) -> None:
    log = tmp_path / "history.jsonl"
    log.write_bytes(b'{"whole": 1}\n{"cut of')
    files.append_line(log, '{"next": 2}')
    assert log.read_bytes().splitlines() == [b'{"whole": 1}', b'{"cut of', b'{"next": 2}']
