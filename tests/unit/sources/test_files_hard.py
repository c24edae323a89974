# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the files source about hard content, hostile archives, and directories of other users."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat.errors import LifeboatError, SourceError, VerifyError
from lifeboat.inventory import differences as compare
from lifeboat.model import Workspace
from lifeboat.placement import Placement
from lifeboat.sources.files import Files

from tests.unit.contracts.source_contract import Taken, differences, planned, staged

from .test_files import ROOT, seen

needs_root = pytest.mark.skipif(not ROOT, reason="only root may do that")
USER = 33


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user reaches."""
    with tempfile.TemporaryDirectory(prefix="tree-") as base:
        os.chmod(base, 0o755)
        (Path(base) / "tree").mkdir()
        (Path(base) / "tree").chmod(0o755)
        yield Path(base) / "tree"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "ground" / "tree"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def fix() -> Iterator[Callable[[Path, str], None]]:
    """chattr +i, or +a, taken back at the end."""
    fixed: list[Path] = []

    def do(path: Path, attribute: str) -> None:
        done = subprocess.run(["chattr", f"+{attribute}", path], capture_output=True)
        if done.returncode != 0:
            pytest.skip("only root may set attributes, where the file system has them")
        fixed.append(path)

    yield do
    for path in filter(Path.exists, fixed):
        subprocess.run(["chattr", "-i", "-a", path], check=True)


def there_and_back(top: Path, work: Workspace, tmp_path: Path) -> Taken:
    """Back up, lose, restore, compare; what was seen before must be seen again."""
    source = Files(name="u", paths=[str(top)])
    before = seen(top)
    taken = Taken(source, work, tmp_path / "store")
    shutil.rmtree(top)
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert seen(top) == before
    return taken


# -- content


def test_a_hole_of_10_gb_takes_no_room_anywhere(top: Path, work: Workspace, tmp_path: Path) -> None:
    with open(top / "disk.img", "wb") as image:
        image.write(b"begin")
        image.seek(10 << 30)
        image.write(b"end")
    source = Files(name="u", paths=[str(top)])
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.totals["size_bytes"] == (10 << 30) + 3
    assert taken.plains["tree"].path.stat().st_size < 100_000
    (top / "disk.img").unlink()
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    with open(Path(swap.side) / "disk.img", "r+b") as image:
        image.seek(5 << 30)
        image.write(b"x")
    os.utime(Path(swap.side) / "disk.img", (0, 0))
    assert "sha256_of_blocks is" in " ".join(differences(source, taken, swap, work))
    source.stage(swap, taken.record, taken.plains, work)
    source.swap(swap)
    found = (top / "disk.img").stat()
    assert found.st_size == (10 << 30) + 3
    assert found.st_blocks * 512 < 100_000
    with open(top / "disk.img", "rb") as image:
        assert image.read(6) == b"begin\0"
        image.seek(10 << 30)
        assert image.read() == b"end"


def test_a_byte_beside_a_hole_that_differs_is_a_difference(
    top: Path, work: Workspace, tmp_path: Path
) -> None:
    for name in ("ends in a hole", "ends in data"):
        with open(top / name, "wb") as holes:
            for place in (0, 3_000_000, 9_000_001):
                holes.seek(place)
                holes.write(os.urandom(5000))
            holes.truncate(20_000_000 if "hole" in name else 9_005_001)
    source = Files(name="u", paths=[str(top)])
    taken = Taken(source, work, tmp_path / "store")
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    times = os.stat(Path(swap.side) / "ends in a hole").st_mtime_ns
    with open(Path(swap.side) / "ends in a hole", "r+b") as holes:
        holes.seek(15_000_000)
        holes.write(b"x")
    os.utime(Path(swap.side) / "ends in a hole", ns=(times, times))
    assert "sha256 is" in " ".join(differences(source, taken, swap, work))


@pytest.mark.parametrize("size_bytes", [1, 3_000_001, 200_000_000])
def test_a_file_that_is_nothing_but_a_hole_comes_back(
    top: Path, work: Workspace, tmp_path: Path, size_bytes: int
) -> None:
    (top / "hole").touch()
    os.truncate(top / "hole", size_bytes)
    taken = there_and_back(top, work, tmp_path)
    assert taken.record.totals["size_bytes"] == size_bytes


@needs_root
def test_attributes_acls_and_capabilities_of_every_kind_come_back(
    top: Path, work: Workspace, tmp_path: Path
) -> None:
    (top / "sub").mkdir()
    shutil.copy("/bin/true", top / "program")
    os.setxattr(top / "sub", "user.note", b"any\0bytes\xff")
    os.setxattr(top / "program", "trusted.note", b"of root")
    (top / "link").symlink_to("nowhere")
    os.setxattr(top / "link", "trusted.note", b"of a link", follow_symlinks=False)
    subprocess.run(["setcap", "cap_net_bind_service+ep", str(top / "program")], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:33:rwx,g:34:---", str(top / "sub")], check=True)
    subprocess.run(["setfacl", "-m", "u:33:rw,m::r", str(top / "program")], check=True)
    before = [_attributes(path) for path in (top, *sorted(top.rglob("*")))]
    there_and_back(top, work, tmp_path)
    assert [_attributes(path) for path in (top, *sorted(top.rglob("*")))] == before
    assert {name for path in before for name in path} >= {
        "user.note",
        "trusted.note",
        "security.capability",
        "system.posix_acl_default",
        "system.posix_acl_access",
    }


def _attributes(path: Path) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }


def test_huge_and_odd_names_come_back(top: Path, work: Workspace, tmp_path: Path) -> None:
    names = [
        b"n" * 255,
        b"\xc3\xbc" * 127 + b"x",
        b"\xff\xfe\x80",
        b"two\nlines\n",
        b" leading and trailing ",
        b"-rf",
        b"--exclude=*",
        b"tab\there",
        b"back\\slash\\n",
        b"\x1b[31mred",
        b"$(id) `id` ;&|<>*?[a-z]{b,c}'\"",
        b"...",
        b"Case",
        b"case",
    ]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(top), name), "wb") as out:
            out.write(b"%d" % number)
    taken = there_and_back(top, work, tmp_path)
    assert taken.record.totals["files"] == len(names)


def test_holes_come_back_under_every_name(top: Path, work: Workspace, tmp_path: Path) -> None:
    """A name that is not ASCII comes twice in the headers of such a file: of two, the true one counts."""
    for name in ("plain", "caf\u00e9.img", "\udcff", "n\nl", "\u00fc" * 100):
        with open(top / name, "wb") as out:
            out.seek(1 << 20)
            out.write(b"x")
    taken = there_and_back(top, work, tmp_path)
    Files(name="u", paths=[str(top)]).check_content(taken.plains, work)
    assert not [one for one in taken.entries if "GNUSparse" in one["name"]]


def test_a_path_of_4095_bytes_comes_back(top: Path, work: Workspace, tmp_path: Path) -> None:
    here = os.open(top, os.O_RDONLY)
    left = 4095 - len(os.fsencode(top))
    while left > 256:
        name = "d" * min(200, left - 102)
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, left = below, left - len(name) - 1
    leaf = os.open("f" * (left - 1), os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(leaf, b"deep")
    os.close(leaf)
    os.close(here)
    longest = max(len(os.fsencode(path)) for path in top.rglob("*"))
    assert longest == 4095
    there_and_back(top, work, tmp_path)


@needs_root
def test_a_disk_mounted_below_is_told_unless_it_is_excluded_or_in_the_backup(
    top: Path, work: Workspace, tmp_path: Path
) -> None:
    """That of the uploads, say: the backup holds an empty directory, and is whole by all that shows."""
    (top / "a b").mkdir()
    with open(tmp_path / "image", "wb") as image:
        image.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(tmp_path / "image")], check=True)
    mount = ["mount", "-o", "loop", str(tmp_path / "image"), str(top / "a b")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no loop devices here")
    try:
        told = [
            Taken(Files(name="u", paths=[str(top)], **options), work, tmp_path / "store").warnings
            for options in ({}, {"exclude": ["a b"]}, {"one_file_system": False})
        ]
    finally:
        subprocess.run(["umount", str(top / "a b")], check=True)
    warning = "1 file systems that are mounted below a path are not in this backup"
    assert told == [[warning], [], []]


def test_a_path_that_is_longer_is_told_at_the_backup(
    top: Path, work: Workspace, tmp_path: Path
) -> None:
    """GNU tar reads it, step by step, and then cannot write it by its whole name."""
    opened = os.open(top, os.O_RDONLY)
    for _level in range(21):
        os.mkdir("d" * 200, dir_fd=opened)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = below
    os.close(opened)
    (top / "other").write_text("kept")
    with pytest.raises(SourceError, match="more than 4095 bytes") as told:
        Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
    assert told.value.detail.startswith(f"{top}/dddd")
    Taken(Files(name="u", paths=[str(top)], exclude=[str(top / "dd*")]), work, tmp_path / "other")


def test_pipes_come_back_and_sockets_are_left_out_without_a_word(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(top / "pipe", 0o640)
    monkeypatch.chdir(top)  # the address of a socket is short
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("app.sock")
    source = Files(name="u", paths=[str(top)])
    taken = Taken(source, work, tmp_path / "store")
    listening.close()
    assert taken.warnings == []
    assert sorted(one["kind"] for one in taken.entries) == ["directory", "fifo"]
    source.swap(staged(source, taken, work))
    assert stat.filemode((top / "pipe").stat().st_mode) == "prw-r-----"


def test_a_hard_link_between_two_paths_of_a_source_becomes_two_files(
    top: Path, work: Workspace, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (top / name).mkdir()
    (top / "one" / "x").write_text("shared")
    os.link(top / "one" / "x", top / "two" / "x")
    source = Files(name="u", paths=[str(top / "one"), str(top / "two")])
    taken = Taken(source, work, tmp_path / "store")
    source.swap(staged(source, taken, work))
    assert [(top / name / "x").read_text() for name in ("one", "two")] == ["shared", "shared"]
    assert (top / "one" / "x").stat().st_nlink == 1


# -- what cannot be read


@needs_root
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_cannot_be_read_fails_the_run_unless_it_is_declared_so(
    open_to_all: Path, work: Workspace, tmp_path: Path, kind: str
) -> None:
    top = open_to_all
    (top / "readable").write_text("x")
    (top / "private").mkdir() if kind == "directory" else (top / "private").write_text("x")
    (top / "private").chmod(0)
    nobody = Placement(as_user="nobody")
    with pytest.raises(SourceError, match="could not read all") as told:
        Taken(Files(name="u", paths=[str(top)], placement=nobody), work, tmp_path / "a")
    assert "unreadable: warn" in told.value.hint

    declared = Files(name="u", paths=[str(top)], placement=nobody, unreadable="warn")
    taken = Taken(declared, work, tmp_path / "b")

    assert taken.warnings == ["1 files could not be read, and are not in this backup"]
    assert sorted(one["name"].rsplit("/", 1)[-1] for one in taken.entries) == ["readable", "tree"]
    swap = staged(declared, taken, work)
    assert differences(declared, taken, swap, work) == []


@needs_root
def test_a_path_of_which_nothing_can_be_read_fails_the_run_whatever_was_declared(
    open_to_all: Path, work: Workspace, tmp_path: Path
) -> None:
    top = open_to_all
    top.chmod(0)
    source = Files(
        name="u", paths=[str(top)], placement=Placement(as_user="nobody"), unreadable="warn"
    )
    with pytest.raises(SourceError, match="could not read all"):
        Taken(source, work, tmp_path / "store")


@needs_root
@pytest.mark.parametrize("unreadable", ["fail", "warn"])
def test_nothing_that_tar_says_hides_an_unreadable_file(
    open_to_all: Path,
    work: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unreadable: str,
) -> None:
    _unreadable(open_to_all / "a")
    monkeypatch.chdir(open_to_all)  # the address of a socket is short
    for number in range(80):  # more than a tail of what is said
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("b%s%03d" % ("s" * 70, number))
    _require_told(open_to_all, work, tmp_path, unreadable, 1)


@needs_root
@pytest.mark.parametrize("unreadable", ["fail", "warn"])
@pytest.mark.parametrize(
    "name",
    ["socket ignored", "Exiting with failure status due to previous errors", "x: Cannot open: x"],
)
def test_no_name_hides_an_unreadable_file(
    open_to_all: Path, work: Workspace, tmp_path: Path, unreadable: str, name: str
) -> None:
    _unreadable(open_to_all / name)
    (open_to_all / "readable").touch()
    _require_told(open_to_all, work, tmp_path, unreadable, 1)


@needs_root
@pytest.mark.parametrize("length", [40, 45, 60, 71])
def test_all_unreadable_files_are_counted(
    open_to_all: Path, work: Workspace, tmp_path: Path, length: int
) -> None:
    for number in range(200):
        _unreadable(open_to_all / ("f%s%03d" % ("n" * length, number)))
    _require_told(open_to_all, work, tmp_path, "warn", 200)


def _unreadable(path: Path) -> None:
    path.write_text("precious")
    path.chmod(0)


def _require_told(top: Path, work: Workspace, tmp_path: Path, unreadable: str, count: int) -> None:
    nobody = Placement(as_user="nobody")
    source = Files(name="u", paths=[str(top)], placement=nobody, unreadable=unreadable)
    if unreadable == "fail":
        with pytest.raises(SourceError, match="could not read all"):
            Taken(source, work, tmp_path / "store")
    else:
        told = Taken(source, work, tmp_path / "store").warnings
        assert told == ["%d files could not be read, and are not in this backup" % count]


OPEN = "tar: tree/x: Cannot open: Permission denied"
READ = "tar: tree/x: Read error at byte 0, while reading 512 bytes: Input/output error"
# What tar says beside: (lines, status, how that is told; "" = it fails with `unreadable: warn`)
SAID = {
    "a file that changes": ([OPEN, "tar: tree/log: file changed as we read it"], 2, "changed"),
    "a file that goes": ([OPEN, "tar: tree/log: File removed before we read it"], 2, "went"),
    "a file that shrinks": (
        [OPEN, "tar: tree/log: File shrank by 7 bytes; padding with zeros"],
        2,
        "shrank",
    ),
    "a failure that nothing explains": ([], 2, ""),
    "a failure that only noise explains": (["tar: tree/s: socket ignored"], 2, ""),
    "a read error of a file with an odd name": (
        [OPEN, READ.replace("x", "x: Cannot open: Permission denied", 1)],
        2,
        "",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_each_line_that_tar_says_is_judged_by_its_end(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    # A fake: these are races with tar, or errors of a disk.
    lines, status, how = SAID[case]
    _fake_tar(tmp_path, monkeypatch, lines, status)
    source = Files(name="u", paths=[str(top)], unreadable="warn")
    if not how:
        with pytest.raises(SourceError, match="could not read all"):
            Taken(source, work, tmp_path / "store")
    else:
        about_log, about_x = sorted(
            Taken(source, work, tmp_path / "store").warnings, key=lambda told: "could not" in told
        )
        assert about_log.startswith("1 files %s" % how)
        assert about_x == "1 files could not be read, and are not in this backup"


def test_a_file_that_ends_in_a_read_error_fails_the_run_whatever_was_declared(
    top: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fake: tar fills up with zeros what it cannot read, and says so.
    _fake_tar(tmp_path, monkeypatch, [READ], 2)
    source = Files(name="u", paths=[str(top)], unreadable="warn")
    with pytest.raises(SourceError, match="could not read all") as told:
        Taken(source, work, tmp_path / "store")
    assert "Input/output error" in told.value.detail


def _fake_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], status: int
) -> None:
    """The real one, which then says `lines` and ends with `status`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    said = "".join("echo '%s' >&2\n" % line for line in lines)
    (programs / "tar").write_text(
        '#!/bin/sh\n%s "$@"; status=$?\n'
        'case "$*" in *--version*) exit $status;; esac\n%sexit %d\n'
        % (shutil.which("tar"), said, status)
    )
    (programs / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (programs, os.environ["PATH"]))


# -- hostile archives

TWICE = [{"name": "TOP/x"}, {"name": "TOP/x"}]
HOSTILE = {
    "a file twice": (TWICE, "twice"),
    "a file twice, apart": ([{"name": "TOP/x"}, {"name": "TOP/y"}, {"name": "TOP/x"}], "twice"),
    "a link, then a directory": (
        [
            {"name": "TOP/x", "type": tarfile.SYMTYPE, "linkname": "/tmp"},
            {"name": "TOP/x", "type": tarfile.DIRTYPE},
        ],
        "twice",
    ),
    "the top twice": ([{"name": "TOP", "type": tarfile.SYMTYPE, "linkname": "/tmp"}], "twice"),
    "below a hard link to a link": (
        [
            {"name": "TOP/a", "type": tarfile.SYMTYPE, "linkname": "/tmp"},
            {"name": "TOP/b", "type": tarfile.LNKTYPE, "linkname": "TOP/a"},
            {"name": "TOP/b/x"},
        ],
        "through a symlink",
    ),
    "apart from its directory": ([{"name": "TOP/not/there/x"}], "apart from its directory"),
    "of an unknown kind": ([{"name": "TOP/x", "type": b"V"}], "unknown kind"),
    "a device out": (
        [{"name": "dev/sda", "type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}],
        "not in",
    ),
    "a hard link out": (
        [{"name": "TOP/x", "type": tarfile.LNKTYPE, "linkname": "etc/x"}],
        "not in",
    ),
    "dots": ([{"name": "TOP/../x"}], "not in"),
    "absolute": ([{"name": "/etc/x"}], "not in"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("merge", [False, True])
def test_a_hostile_archive_is_refused_before_anything_is_written(
    top: Path, work: Workspace, tmp_path: Path, hostile: str, merge: bool
) -> None:
    (top / "there").write_text("there")
    source = Files(name="u", paths=[str(top)]).narrowed((), merge)
    taken = Taken(source, work, tmp_path / "store")
    members, reason = HOSTILE[hostile]
    name = str(top).lstrip("/")
    with tarfile.open(taken.plains["tree"].path, "w", format=tarfile.PAX_FORMAT) as archive:
        for fields in [{"name": "TOP", "type": tarfile.DIRTYPE}, *members]:
            member = tarfile.TarInfo()
            for key, value in fields.items():
                value = value.replace("TOP", name) if isinstance(value, str) else value
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO())
    before = seen(tmp_path / "ground")
    with pytest.raises(VerifyError, match=reason):
        source.stage(planned(source, taken), taken.record, taken.plains, work)
    with pytest.raises(VerifyError, match=reason):
        source.check_content(taken.plains, work)
    assert seen(tmp_path / "ground") == before


def test_names_that_a_file_system_takes_for_one_are_a_difference() -> None:
    recorded = [{"kind": "file", "name": name, "size_bytes": 1} for name in ("t/Case", "t/case")]
    assert compare(recorded, recorded[1:]) == ["file t/Case is missing"]


# -- links above the target


@needs_root
@pytest.mark.parametrize("lost", [True, False])
def test_a_link_above_the_tree_that_its_owner_planted_is_not_followed(
    work: Workspace, tmp_path: Path, lost: bool
) -> None:
    shop, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    (shop / "app" / "cron.d").mkdir(parents=True)
    (shop / "app" / "cron.d" / "job").write_text("* * * * * root id")
    elsewhere.mkdir()
    for path in (shop, shop / "app", shop / "app" / "cron.d"):
        os.chown(path, USER, USER)
    source = Files(name="u", paths=[str(shop / "app" / "cron.d")])
    taken = Taken(source, work, tmp_path / "store")
    if lost:
        shutil.rmtree(shop / "app" / "cron.d")
    swap = planned(source, taken)
    os.rename(shop / "app", shop / "away")
    os.symlink(elsewhere, shop / "app")
    os.lchown(shop / "app", USER, USER)
    for step in (
        lambda: source.stage(swap, taken.record, taken.plains, work),
        lambda: source.count(swap, work),
        lambda: source.swap(swap),
        lambda: source.swapped(swap),
        lambda: source.back(swap),
        lambda: source.discard(swap),
    ):
        with pytest.raises(LifeboatError, match="root does not follow the link app"):
            step()
    assert os.listdir(elsewhere) == []
    assert "root does not follow" in " ".join(source.target(taken.record, None).refusals)
    told = source.target(taken.record, str(shop / "app" / "new")).refusals
    assert "root does not follow" in " ".join(told)


# -- system files, as docs/sources.md shows them


def test_single_system_files_come_back_each_with_owner_and_mode(
    work: Workspace, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    files = {
        "etc/nginx/sites-available/shop": (0o644, "server { listen 443 ssl; }"),
        "etc/systemd/system/shop.service": (0o644, "[Service]\nExecStart=/srv/shop/run\n"),
        "etc/logrotate.d/shop": (0o644, "/var/log/shop/*.log { weekly }"),
        "var/spool/cron/crontabs/shop": (0o600, "0 3 * * * /srv/shop/nightly\n"),
        "etc/letsencrypt/archive/shop/privkey1.pem": (0o600, "-----BEGIN PRIVATE KEY-----"),
    }
    for name, (mode, text) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(mode)
    live = root / "etc/letsencrypt/live/shop"
    live.mkdir(parents=True)
    (live / "privkey.pem").symlink_to("../../archive/shop/privkey1.pem")
    if ROOT:
        os.chown(root / "var/spool/cron/crontabs/shop", USER, 105)
    paths = [*list(files)[:4], "etc/letsencrypt"]
    source = Files(name="system", paths=[str(root / name) for name in paths])
    before = seen(root)
    taken = Taken(source, work, tmp_path / "store")
    for name in paths[1:4]:
        (root / name).unlink()
    (root / paths[0]).write_text("server { broken")
    shutil.rmtree(root / "etc/letsencrypt")

    swap = staged(source, taken, work)

    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    found = seen(root)
    assert {name: found[name] for name in before} == before
    source.discard(swap)
    assert seen(root) == before


# -- what nobody may move or remove


@pytest.mark.parametrize("attribute", ["i", "a"])
@pytest.mark.parametrize("what", ["a/file", "a", ".", ".."])
def test_what_nobody_may_remove_is_a_refusal(
    top: Path, work: Workspace, tmp_path: Path, fix: Callable[..., None], what: str, attribute: str
) -> None:
    (top / "a").mkdir()
    (top / "a" / "file").write_text("old")
    source = Files(name="u", paths=[str(top)])
    taken = Taken(source, work, tmp_path / "store")
    assert source.target(taken.record, None).refusals == ()
    held = Path(os.path.normpath(top / what))
    fix(held, attribute)
    (told,) = source.target(taken.record, None).refusals
    assert f"move or remove {held}, " in told
    assert told.endswith(f"chattr -i -a {held}")


def test_what_was_held_fast_since_is_found_before_any_of_the_old_state_is_removed(
    top: Path, work: Workspace, tmp_path: Path, fix: Callable[..., None]
) -> None:
    for name in "abcde":
        (top / name).write_text("old")
    source = Files(name="u", paths=[str(top)])
    taken = Taken(source, work, tmp_path / "store")
    swap = staged(source, taken, work)
    source.swap(swap)
    before = seen(Path(swap.kept))
    (Path(swap.kept) / "c").touch()
    fix(Path(swap.kept) / "c", "i")
    with pytest.raises(SourceError) as told:
        source.discard(swap)
    assert f"{swap.kept}/c" in told.value.message
    assert told.value.hint == f"chattr -i -a {swap.kept}/c"
    assert sorted(seen(Path(swap.kept))) == sorted(before)
    subprocess.run(["chattr", "-i", f"{swap.kept}/c"], check=True)
    source.back(swap)
    assert (top / "c").read_text() == "old"
    source.discard(swap)


@pytest.mark.parametrize(("what", "attribute"), [("b", "i"), ("c", "a"), ("d/e", "i"), ("d", "a")])
def test_a_merge_into_what_nobody_may_remove_is_an_error_before_anything_moves(
    top: Path, work: Workspace, tmp_path: Path, fix: Callable[..., None], what: str, attribute: str
) -> None:
    (top / "d").mkdir()
    for name in ("a", "b", "c", "d/e", "other"):
        (top / name).write_text("old")
    source = Files(name="u", paths=[str(top)]).narrowed(["a", "b", "c", "d"], True)
    taken = Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
    for name in ("a", "b", "c", "d/e"):
        (top / name).write_text("live")
    fix(top / "other", "i")  # nothing of it is replaced
    fix(top / what, attribute)
    swap = staged(source, taken, work)
    with pytest.raises(SourceError) as told:
        source.swap(swap)
    assert told.value.hint == f"chattr -i -a {top / what}"
    for name in ("a", "b", "c", "d/e"):
        assert (top / name).read_text() == "live"
    source.back(swap)
    source.discard(swap)
    subprocess.run(["chattr", "-i", "-a", top / what], check=True)
    swap = staged(source, taken, work)
    source.swap(swap)
    assert (top / what).is_dir() or (top / what).read_text() == "old"
    source.discard(swap)
