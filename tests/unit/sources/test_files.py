# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the files source."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from lifeboat.errors import (
    ConfigError,
    MissingDependency,
    ProcessError,
    SourceAbsent,
    SourceError,
    VerifyError,
)
from lifeboat.pipeline import Pipeline
from lifeboat.placement import Placement
from lifeboat.sources.files import Files
from lifeboat.sources.trees import unpack as tree_unpack
from lifeboat.sources.trees.listing import Forward, members

from tests.unit.contracts.source_contract import (
    KeptContract,
    Taken,
    differences,
    planned,
    staged,
)

ROOT = os.geteuid() == 0
NOT_UTF8 = os.fsdecode(b"caf\xe9 \xff")
LONG = "ü" * 120 + "/" + "long" * 50


def seen(top: Path) -> dict:
    """What a user of a tree sees: every name with what it is."""
    found = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        entry = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
        if path.is_symlink():
            entry = ["link", os.readlink(path)]
        elif path.is_file():
            entry += [
                hashlib.sha256(path.read_bytes()).hexdigest(),
                status.st_mtime_ns,
                status.st_nlink,
                {name: os.getxattr(path, name) for name in os.listxattr(path)},
            ]
        found[os.fsdecode(os.path.relpath(path, top))] = entry
    return found


def fill(top: Path) -> None:
    (top / "sub" / "deeper").mkdir(parents=True)
    (top / "empty directory").mkdir(mode=0o750)
    (top / "sub" / "a").write_text("one\n" * 5000)
    (top / "sub" / "a").chmod(0o4755)
    (top / "big").write_bytes(os.urandom(2_100_000))
    (top / "empty").touch()
    os.link(top / "sub" / "a", top / "hard link")
    os.link(top / "sub" / "a", top / "sub" / "deeper" / "another")
    (top / "link out").symlink_to("/etc/hostname")
    (top / "broken link").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    (top / "-dash").write_text("dash")
    (top / "new\nline").write_text("newline")
    (top / "quote'\"\\ *?[x]").write_text("quotes")
    (top / "\u00fc\u2603").write_text("utf-8")
    (top / NOT_UTF8).write_text("bytes")
    (top / LONG).parent.mkdir()
    (top / LONG).write_text("long")
    os.utime(top / "empty", ns=(1, 1_700_000_000_999_999_999))
    with open(top / "sparse", "wb") as hole:
        hole.seek(3_000_000)
        hole.write(b"end")
        hole.truncate(6_000_000)
    subprocess.run(["setfattr", "-n", "user.colour", "-v", "blue", str(top / "big")], check=True)
    subprocess.run(["setfacl", "-m", "u:33:r", str(top / "big")], check=True)


def _no_fifo(_folder: str, _names: list) -> list:
    return ["fifo"]


def _killed_at(step: int, act) -> bool:
    """Do it in a process that is killed right before the step that changes a file system the so many-th
    time; whether it was."""
    child = os.fork()
    if child == 0:
        left = [step]

        def audited(event: str, given: tuple) -> None:
            writes = event == "open" and isinstance(given[2], int) and given[2] & os.O_ACCMODE
            if writes or event in ("os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.truncate"):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(audited)
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


class TestFiles(KeptContract):
    def prepare(self, ground):
        (ground / "shop" / "uploads").mkdir(parents=True)
        fill(ground / "shop" / "uploads")

    def make(self, ground):
        return Files(name="uploads", paths=[str(ground / "shop" / "uploads")])

    def change(self, ground):
        (ground / "shop" / "uploads" / "sub" / "a").write_text("two\n" * 5000)
        (ground / "shop" / "uploads" / "new").write_text("new")

    def destroy(self, ground):
        shutil.rmtree(ground / "shop" / "uploads")

    def look(self, ground):
        return seen(ground / "shop" / "uploads")

    # -- backup

    def test_a_tar_that_is_killed_in_the_middle_fails_the_dump(self, source, work, ground):
        """It is in its middle: more is left to write than the pipe takes."""
        (ground / "shop" / "uploads" / "big").write_bytes(os.urandom(8 << 20))
        with source.open(work) as dump:
            stream = next(iter(dump.streams()))
            with Pipeline(stream.feed, [], tap=stream.tap, surplus=stream.surplus) as flow:
                flow._stages[0].process.kill()
                with pytest.raises(ProcessError, match="ended by signal 9"):
                    for _block in flow.blocks():
                        pass
                    flow.check()
        assert list(work.bulk.iterdir()) == []

    def test_every_kind_of_member_is_counted(self, taken, ground):
        top = str(ground / "shop" / "uploads").lstrip("/")
        found = {one["name"]: one for one in taken.entries}
        assert len(found) == 1 + len(list((ground / "shop" / "uploads").rglob("*")))
        assert found[top]["kind"] == "directory"
        assert found[top + "/fifo"]["kind"] == "fifo"
        assert found[top + "/link out"]["to"] == "/etc/hostname"
        assert found[top + "/sub/a"] == {
            "kind": "hardlink",
            "name": top + "/sub/a",
            "to": top + "/hard link",
            **{key: found[top + "/sub/a"][key] for key in ("mode", "uid", "gid", "attributes")},
        }
        assert found[top + "/empty"]["mtime"] == 1_700_000_000
        assert found[top + "/" + NOT_UTF8]["size_bytes"] == 5
        assert found[top + "/" + LONG]["size_bytes"] == 4
        big = (ground / "shop" / "uploads" / "big").read_bytes()
        assert found[top + "/big"]["sha256"] == hashlib.sha256(big).hexdigest()
        assert found[top + "/big"]["attributes"]
        sparse = (ground / "shop" / "uploads" / "sparse").read_bytes()
        assert found[top + "/sparse"]["size_bytes"] == 6_000_000
        assert found[top + "/sparse"]["sha256"] == hashlib.sha256(sparse).hexdigest()

    def test_holes_take_no_room_in_the_archive_nor_after_a_restore(
        self, source, taken, work, ground
    ):
        assert taken.plains["tree"].path.stat().st_size < 3_000_000
        source.swap(staged(source, taken, work))
        assert (ground / "shop" / "uploads" / "sparse").stat().st_blocks * 512 < 100_000

    @pytest.mark.skipif(not ROOT, reason="only root may set capabilities")
    def test_capabilities_owners_and_devices_are_restored(self, ground, source, work, tmp_path):
        program = ground / "shop" / "uploads" / "program"
        shutil.copy("/bin/true", program)
        os.chown(program, 33, 34)
        subprocess.run(["setcap", "cap_net_raw+ep", str(program)], check=True)
        os.mknod(ground / "shop" / "uploads" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        before = self.look(ground)
        taken = Taken(source, work, tmp_path / "store")
        self.destroy(ground)
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert self.look(ground) == before
        assert b"security.capability" in b" ".join(map(os.fsencode, os.listxattr(program)))
        assert (ground / "shop" / "uploads" / "null").stat().st_rdev == os.makedev(1, 3)

    def test_a_lost_attribute_is_a_difference(self, source, taken, work):
        swap = staged(source, taken, work)
        os.removexattr(Path(swap.side) / "big", "user.colour")
        expected = ["attributes is"] if ROOT else []
        found = differences(source, taken, swap, work)
        assert [one for one in expected if one not in " ".join(found)] == []

    def test_one_flipped_byte_is_a_difference(self, source, taken, work):
        swap = staged(source, taken, work)
        times = os.stat(Path(swap.side) / "big").st_mtime_ns
        with open(Path(swap.side) / "big", "r+b") as content:
            content.seek(1_500_000)
            flipped = bytes([content.read(1)[0] ^ 1])
            content.seek(1_500_000)
            content.write(flipped)
        os.utime(Path(swap.side) / "big", ns=(times, times))
        told = differences(source, taken, swap, work)
        assert len(told) == 1
        assert "sha256 is" in told[0]

    def test_excluded_files_are_left_out(self, ground, work, tmp_path):
        top = ground / "shop" / "uploads"
        (top / "cache").mkdir()
        (top / "cache" / "x").touch()
        (top / "sub" / "y.tmp").touch()
        source = Files(
            name="uploads", paths=[str(top)], exclude=["*.tmp", str(top / "cache") + "/", "-dash"]
        )
        taken = Taken(source, work, tmp_path / "store")
        found = {one["name"].rsplit("/", 1)[-1] for one in taken.entries}
        assert found & {"cache", "x", "y.tmp", "-dash"} == set()
        assert "big" in found

    def test_an_exclude_that_leaves_nothing_is_an_error(self, ground, work, tmp_path):
        source = Files(name="u", paths=[str(ground / "shop" / "uploads")], exclude=["shop"])
        with pytest.raises(SourceError, match="the exclude patterns leave nothing of"):
            Taken(source, work, tmp_path / "store")

    def test_options_in_the_environment_change_nothing(
        self, source, work, taken, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("TAR_OPTIONS", "--exclude=big --gzip")
        monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
        again = Taken(source, work, tmp_path / "again")
        assert again.record.inventory_digest == taken.record.inventory_digest

    def test_a_file_that_changes_while_it_is_read_is_a_warning_without_its_name(
        self, ground, work, tmp_path, caplog
    ):
        top = ground / "grows"
        top.mkdir()
        stop = threading.Event()

        def grow() -> None:
            with open(top / "log", "wb", buffering=0) as log:
                while not stop.is_set():
                    log.write(b"x" * 5_000)

        writer = threading.Thread(target=grow)
        writer.start()
        try:
            _wait_for(lambda: (top / "log").exists() and (top / "log").stat().st_size > 20_000_000)
            taken = Taken(Files(name="u", paths=[str(top)]), work, tmp_path / "store")
        finally:
            stop.set()
            writer.join()
        assert taken.warnings == ["1 files changed while they were read"]
        assert [
            one.getMessage().endswith("log: file changed as we read it") for one in caplog.records
        ] == [True]

    @pytest.mark.skipif(not ROOT, reason="needs another user")
    def test_files_that_cannot_be_read_are_named(self, ground, work, tmp_path):
        top = ground / "shop" / "uploads"
        (top / "secret file").write_text("x")
        (top / "secret file").chmod(0)
        for folder in [top, *top.parents][:-2]:
            folder.chmod(0o755)
        source = Files(name="u", paths=[str(top)], placement=Placement(as_user="nobody"))
        with pytest.raises(SourceError, match="tar could not read all of") as told:
            Taken(source, work, tmp_path / "store")
        assert "secret file: Cannot open: Permission denied" in told.value.detail
        assert list(work.bulk.iterdir()) == []

    def test_a_missing_path_is_absent(self, ground, source, work):
        self.destroy(ground)
        with pytest.raises(SourceAbsent, match="source uploads: there is nothing at"):
            source.check()
        with pytest.raises(SourceAbsent), source.open(work):
            pass

    def test_a_link_as_a_path_is_refused_with_where_it_leads(self, ground):
        (ground / "current").symlink_to(ground / "shop")
        with pytest.raises(SourceError, match="is a link") as told:
            Files(name="u", paths=[str(ground / "current")]).check()
        assert str(ground / "shop") in told.value.hint

    @pytest.mark.parametrize(
        ("paths", "reason"),
        [
            (["/usr", "/usr/bin"], "/usr/bin lies in /usr"),
            (["/usr", "/usr/"], "/usr lies in /usr"),
            (["/", "/usr"], "/usr lies in /"),
            ([], "no paths"),
        ],
    )
    def test_paths_that_make_no_sense_are_refused(self, paths, reason):
        with pytest.raises(SourceError, match=reason):
            Files(name="u", paths=paths).check()

    def test_a_relative_path_is_refused_at_once(self):
        with pytest.raises(ConfigError, match="'usr': write an absolute path"):
            Files(name="u", paths=["/etc", "usr"])

    def test_another_tar_is_refused(self, source, monkeypatch, tmp_path):
        (tmp_path / "tar").write_text("#!/bin/sh\necho bsdtar 3.6\n")
        (tmp_path / "tar").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingDependency, match="GNU tar"):
            source.check()

    def test_a_container_is_refused_with_what_to_do(self):
        with pytest.raises(SourceError, match="container"):
            Files(name="u", paths=["/x"], placement=Placement("docker", "shop")).check()

    def test_members_are_forgotten_once_they_are_counted(self, taken):
        with open(taken.plains["tree"].path, "rb") as content:
            stream = Forward(lambda: content.read(4096))
            assert sum(1 for _one in members(stream)) == len(taken.entries)
            # its type: isinstance would ask a proxy of another test for what is gone
            kept = [one for one in gc.get_objects() if issubclass(type(one), tarfile.TarInfo)]
        assert len(kept) <= 3

    # -- verify

    def test_a_flipped_header_fails_the_content_check(self, source, taken, work):
        path = taken.plains["tree"].path
        content = bytearray(path.read_bytes())
        # a name in the middle: python's tarfile alone would take this for the end of the archive
        place = content.index(b"ustar", len(content) // 2)
        content[place - 100] ^= 1
        path.write_bytes(content)
        with pytest.raises(VerifyError, match="damaged"):
            source.check_content(taken.plains, work)

    def test_an_archive_without_its_end_mark_fails_the_content_check(self, source, taken, work):
        path = taken.plains["tree"].path
        content = path.read_bytes().rstrip(b"\0")
        path.write_bytes(content + b"\0" * (-len(content) % 512))
        with pytest.raises(VerifyError):
            source.check_content(taken.plains, work)

    # -- restore

    @pytest.mark.parametrize(
        "hostile",
        [
            {"name": "/etc/passwd"},
            {"name": "TOP/../../escape"},
            {"name": "etc/passwd"},
            {"name": "TOP/x", "type": tarfile.LNKTYPE, "linkname": "etc/passwd"},
            {"name": "TOP/x", "type": tarfile.LNKTYPE, "linkname": "TOP/../../../etc/passwd"},
            {"name": "TOP/away/x"},
        ],
    )
    def test_an_archive_that_would_write_elsewhere_is_never_extracted(
        self, source, taken, work, ground, hostile
    ):
        top = str(ground / "shop" / "uploads").lstrip("/")
        plain = taken.plains["tree"]
        with tarfile.open(plain.path, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(_member({"name": top, "type": tarfile.DIRTYPE}, top))
            archive.addfile(
                _member({"name": "TOP/away", "type": tarfile.SYMTYPE, "linkname": "/tmp"}, top)
            )
            archive.addfile(_member(hostile, top), io.BytesIO())
        before = self.look(ground)
        with pytest.raises(VerifyError, match=r"the archive (has|would)"):
            source.stage(planned(source, taken), taken.record, taken.plains, work)
        assert self.look(ground) == before
        assert self.leftovers(ground) == []

    def test_a_link_planted_while_a_tree_is_unpacked_is_never_written_through(
        self, source, taken, work, ground, monkeypatch
    ):
        swap = planned(source, taken)
        unpacked, elsewhere = Path(swap.side + ".d"), ground / "elsewhere"
        elsewhere.mkdir()
        plain = taken.plains["tree"]
        read = plain.read

        def exchanged(consume):
            unpacked.rename(ground / "away")
            unpacked.symlink_to(elsewhere)
            return read(consume)

        monkeypatch.setattr(plain, "read", exchanged)
        with pytest.raises(SourceError, match="another process has exchanged"):
            source.stage(swap, taken.record, taken.plains, work)
        assert os.listdir(elsewhere) == []
        assert not os.path.lexists(swap.side)

    def test_a_link_planted_where_what_was_lost_would_be_noted_is_refused(
        self, source, taken, work, ground
    ):
        self.destroy(ground)
        swap = staged(source, taken, work)
        os.symlink(ground / "made by root", swap.kept)
        with pytest.raises(SourceError, match="something else lies at"):
            source.swap(swap)
        assert not (ground / "made by root").exists()

    def test_a_restore_into_another_directory_leaves_the_first_alone(
        self, source, taken, work, ground, tmp_path
    ):
        before = self.look(ground)
        self.change(ground)
        changed = self.look(ground)
        into = tmp_path / "elsewhere"
        swap = staged(source, taken, work, into=str(into))
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert seen(Path(str(into) + str(ground / "shop" / "uploads"))) == before
        assert self.look(ground) == changed

    def test_a_single_file_is_a_tree_too(self, ground, work, tmp_path):
        path = ground / "shop" / "-conf\n.ini"
        path.write_text("old")
        source = Files(name="conf", paths=[str(path)])
        taken = Taken(source, work, tmp_path / "store")
        path.write_text("new")
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert path.read_text() == "old"
        source.back(swap)
        assert path.read_text() == "new"

    def test_links_between_files_stay_links(self, source, taken, work, ground):
        source.swap(staged(source, taken, work))
        top = ground / "shop" / "uploads"
        assert os.path.samefile(top / "hard link", top / "sub" / "deeper" / "another")

    @pytest.mark.parametrize(
        ("path", "into", "reason"),
        [
            ("/", None, "/ cannot be replaced"),
            ("/proc", None, "something is mounted at /proc"),
            ("/nonexistent/x", None, "the directory /nonexistent does not exist"),
            ("/x", "relative", "not an absolute path"),
            ("/x", "/etc/hostname", "the directory /etc/hostname does not exist"),
        ],
    )
    def test_a_target_that_cannot_be_restored_to_is_refused(
        self, source, taken, path, into, reason
    ):
        taken.record.facts["trees"] = [{"path": path, "part": "tree"}]
        assert reason in " ".join(source.target(taken.record, into).refusals)

    def test_a_path_that_is_not_configured_is_restored_only_into_another_place(
        self, source, taken, ground, tmp_path
    ):
        taken.record.facts["trees"] = [{"path": str(ground / "cron.d"), "part": "tree"}]
        told = source.target(taken.record, None).refusals
        assert "not configured to restore: use --into" in " ".join(told)
        assert source.target(taken.record, str(tmp_path / "elsewhere")).refusals == ()

    @pytest.mark.parametrize("path", ["/srv/../etc", "srv", "/srv//x", ""])
    def test_a_recorded_path_that_leads_out_of_the_target_is_refused(self, source, taken, path):
        taken.record.facts["trees"] = [{"path": path, "part": "tree"}]
        with pytest.raises(SourceError, match="has a wrong path"):
            source.target(taken.record, "/tmp/into")

    def test_a_target_that_appears_meanwhile_is_not_overwritten(self, source, taken, work, ground):
        self.destroy(ground)
        swap = staged(source, taken, work)
        (ground / "shop" / "uploads").mkdir()
        (ground / "shop" / "uploads" / "mine").touch()
        with pytest.raises(SourceError, match="has appeared"):
            source.swap(swap)
        source.back(swap)
        source.discard(swap)
        assert os.listdir(ground / "shop" / "uploads") == ["mine"]

    def test_what_was_put_in_the_place_of_the_old_tree_is_not_removed(
        self, source, taken, work, ground
    ):
        swap = staged(source, taken, work)
        source.swap(swap)
        kept = Path(swap.kept)
        kept.rename(ground / "away")
        kept.mkdir()
        (kept / "conf").write_text("root's")
        with pytest.raises(SourceError, match="something else lies at"):
            source.discard(swap)
        assert (kept / "conf").read_text() == "root's"
        shutil.rmtree(kept)
        (ground / "away").rename(kept)
        source.discard(swap)
        assert not kept.exists()

    @pytest.mark.parametrize("name", ["side", "unpacked", "kept"])
    @pytest.mark.parametrize("when", ["staged", "swapped", "undone", "undone and moved on"])
    def test_what_is_put_where_a_restore_had_a_tree_is_not_removed(
        self, source, taken, work, ground, when, name
    ):
        """Whoever owns the folder gives a name of ours to a directory of root's that lies in it."""
        roots = ground / "shop" / "roots"
        roots.mkdir()  # of the owner of the tree, as far as that tells
        (roots / "conf").write_text("root's")
        swap = staged(source, taken, work)
        if when != "staged":
            source.swap(swap)
        if when.startswith("undone"):
            source.back(swap)
        if when == "undone and moved on":  # a later restore keeps the old one under another name
            Path(swap.target).rename(ground / "later.old")
            shutil.copytree(ground / "later.old", swap.target, symlinks=True, ignore=_no_fifo)
        put = Path({"side": swap.side, "unpacked": swap.side + ".d", "kept": swap.kept}[name])
        if put.exists():
            put.rename(ground / "away")
        if name != "kept" and when == "swapped":
            Path(swap.kept).rename(ground / "away")  # what else would say that the old one is there
        roots.rename(put)
        with pytest.raises(SourceError, match=r"something else lies at|has appeared in the middle"):
            source.discard(swap)
        assert (put / "conf").read_text() == "root's"
        put.rename(roots)
        source.discard(swap)
        assert sorted(os.listdir(ground / "shop")) == ["roots", "uploads"]

    def test_a_directory_that_has_the_number_of_one_that_went_is_not_removed(
        self, source, taken, work, ground
    ):
        """Its owner removes what was restored; file systems give the number out again, mostly."""
        swap = staged(source, taken, work)
        side = Path(swap.side)
        inode = side.stat().st_ino
        shutil.rmtree(side)
        for one in range(50):
            side.mkdir()
            if side.stat().st_ino == inode:
                break
            side.rename(ground / str(one))
        else:
            side.mkdir()  # somebody else was given the number meanwhile
        (side / "conf").write_text("root's")
        with pytest.raises(SourceError, match="something else lies at"):
            source.discard(swap)
        assert (side / "conf").read_text() == "root's"

    def test_a_failed_stage_removes_nothing_but_its_own(
        self, source, taken, work, ground, monkeypatch
    ):
        roots = ground / "shop" / "roots"
        roots.mkdir()
        (roots / "conf").write_text("root's")
        swap = planned(source, taken)
        real = tree_unpack._extract

        def exchanged(source, tree, *rest):
            real(source, tree, *rest)
            os.rename(tree.unpacked, ground / "away")
            os.rename(roots, tree.unpacked)

        monkeypatch.setattr(tree_unpack, "_extract", exchanged)
        with pytest.raises(SourceError, match="has exchanged"):
            source.stage(swap, taken.record, taken.plains, work)
        assert Path(swap.side + ".d", "conf").read_text() == "root's"

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    def test_killed_at_any_step_nothing_is_left_and_nothing_foreign_removed(
        self, source, taken, work, ground
    ):
        old = self.look(ground)
        (ground / "shop" / "roots").mkdir()
        (ground / "shop" / "roots" / "conf").write_text("root's")
        folder = taken.keep_in.parent
        for step in range(1000):
            swap = planned(source, taken)

            def restore(swap=swap):
                source.stage(swap, taken.record, taken.plains, work)
                source.swap(swap)

            killed = _killed_at(step, restore)
            source.back(swap)
            assert self.look(ground) == old
            if killed:
                assert _killed_at(step % 7, lambda swap=swap: source.discard(swap)) in (True, False)
            source.discard(swap)
            assert sorted(os.listdir(ground / "shop")) == ["roots", "uploads"], step
            assert not folder.exists(), step
            if not killed:
                break
        assert step > 10
        assert (ground / "shop" / "roots" / "conf").read_text() == "root's"

    @pytest.mark.skipif(not ROOT, reason="only root may mount")
    def test_what_is_mounted_inside_is_never_moved_nor_removed(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        inside = ground / "shop" / "uploads" / "empty directory"
        subprocess.run(["mount", "-t", "tmpfs", "none", str(inside)], check=True)
        try:
            (inside / "precious").touch()
            with pytest.raises(SourceError, match="something is mounted at"):
                source.swap(swap)
            assert source.target(taken.record, None).refusals != ()
            assert (inside / "precious").exists()
        finally:
            subprocess.run(["umount", str(inside)], check=True)


class TestSeveralPaths(KeptContract):
    """Two directories and a file are one source, and are restored together."""

    def prepare(self, ground):
        for name in ("one", "two/deep"):
            (ground / name).mkdir(parents=True)
            (ground / name / "x").write_text(name * 2000)
        (ground / "single").write_text("single")

    def make(self, ground):
        return Files(
            name="all", paths=[str(ground / name) for name in ("one", "two/deep", "single")]
        )

    def change(self, ground):
        (ground / "two" / "deep" / "x").write_text("changed")
        (ground / "single").write_text("changed")

    def destroy(self, ground):
        shutil.rmtree(ground / "one")
        shutil.rmtree(ground / "two" / "deep")
        (ground / "single").unlink()

    def look(self, ground):
        return [seen(ground / name) for name in ("one", "two/deep", "single")]

    def test_unchanged_files_give_the_same_bytes(self, source, work, taken, tmp_path):
        again = Taken(source, work, tmp_path / "again")
        assert again.plains["tree"].path.read_bytes() == taken.plains["tree"].path.read_bytes()

    def test_a_tree_that_alone_was_lost_comes_back_with_the_others(
        self, source, taken, work, ground
    ):
        before = self.look(ground)
        shutil.rmtree(ground / "one")
        swap = staged(source, taken, work)
        source.swap(swap)
        assert source.swapped(swap)
        assert self.look(ground) == before
        source.back(swap)
        assert not (ground / "one").exists()
        assert (ground / "single").exists()

    def test_long_names_that_begin_alike_are_restored_each(self, ground, work, tmp_path):
        paths = [ground / ("n" * 200 + end) for end in "ab"]
        for path in paths:
            path.write_text(path.name)
        source = Files(name="long", paths=[str(path) for path in paths])
        source.swap(staged(source, Taken(source, work, tmp_path / "store"), work))
        assert [path.read_text() for path in paths] == [path.name for path in paths]


def _member(fields: dict, top: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    for key, value in fields.items():
        setattr(member, key, value.replace("TOP", top) if isinstance(value, str) else value)
    return member


def _wait_for(condition) -> None:
    for _attempt in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen in 10 seconds")


class TestFilesWithoutExchange(TestFiles):
    """A file system that cannot exchange two names: two renames, and still old or new."""

    @pytest.fixture(autouse=True)
    def _cannot(self, monkeypatch):
        def refuse(one, _other):
            raise OSError(errno.EINVAL, "cannot exchange", str(one))

        monkeypatch.setattr("lifeboat.sources.trees.swap.exchange", refuse)
