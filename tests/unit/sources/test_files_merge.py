# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of restores of files that are merged into what is there, or take a part of the backup only."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lifeboat.errors import SourceError, UsageError, VerifyError
from lifeboat.files import remove
from lifeboat.inventory import differences, read
from lifeboat.model import Command
from lifeboat.pipeline import Pipeline, feed
from lifeboat.sources.files import Files
from lifeboat.sources.trees import merge as tree_merge

from tests.unit.contracts.source_contract import (
    TOKEN,
    FilePlain,
    FileSwapContract,
    KeptContract,
    Taken,
    planned,
    staged,
)

from .test_files import NOT_UTF8, ROOT, fill, seen

NOBODY = 65534
needs_root = pytest.mark.skipif(not ROOT, reason="only root may do that")


def compared(source, taken, swap, work):
    """As operations/restore/restore.py does."""
    with open(source.count(swap, work).path, "rb") as lines:
        return differences(*source.alike(swap, iter(taken.entries), read(lines)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
class TestMerge(KeptContract):
    def prepare(self, ground):
        (ground / "shop" / "uploads").mkdir(parents=True)
        fill(ground / "shop" / "uploads")

    def top(self, ground):
        return ground / "shop" / "uploads"

    def make(self, ground):
        return Files(name="uploads", paths=[str(self.top(ground))]).narrowed((), True)

    @pytest.fixture
    def opened(self, ground):
        """Another user can come here, and had a directory when the backup was made."""
        for folder in (ground, *ground.parents):
            if os.stat(folder).st_uid == os.geteuid():
                folder.chmod(folder.stat().st_mode | 0o111)
        for folder in (ground / "shop", self.top(ground), self.top(ground) / "sub"):
            folder.chmod(0o755)
        os.chown(self.top(ground) / "sub", NOBODY, NOBODY)

    def change(self, ground):
        top = self.top(ground)
        (top / "sub" / "a").unlink()  # one of the names of a file
        (top / "sub" / "a").write_text("two\n" * 5000)
        shutil.rmtree(top / "empty directory")
        (top / "broken link").unlink()
        (top / "broken link").mkdir()
        (top / "broken link" / "inside").write_text("a directory in a link's place")
        shutil.rmtree(top / "sub" / "deeper")
        (top / "sub" / "deeper").write_text("a file in a directory's place")
        (top / NOT_UTF8).unlink()
        (top / "link out").unlink()
        (top / "link out").symlink_to("/etc/passwd")

    def destroy(self, ground):
        shutil.rmtree(self.top(ground))

    def destroy_again(self, swap, ground):
        for path in self.top(ground).iterdir():
            if ".lifeboat-" not in path.name:
                remove(path)

    def look(self, ground):
        found = seen(self.top(ground))
        kept = {name: entry for name, entry in found.items() if ".lifeboat-" not in name}
        for name in ("hard link", "sub/deeper/another", "sub/a"):  # each its own file by now
            kept.get(name, [])[5:6] = []
        return kept

    def test_what_came_since_stays_and_what_was_lost_comes_back(self, source, taken, work, ground):
        before, top = self.look(ground), self.top(ground)
        (top / "new").write_text("new")
        (top / "sub" / "newer").write_text("newer")
        (top / "big").unlink()
        source.swap(staged(source, taken, work))
        found = self.look(ground)
        assert (found.pop("new")[3], found.pop("sub/newer")[3]) != (None, None)
        assert found == before

    def test_an_undo_brings_back_exactly_what_was_there(self, source, taken, work, ground):
        self.change(ground)
        (self.top(ground) / "new").write_text("new")
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        (self.top(ground) / "after").write_text("written after the restore")
        source.back(swap)
        found = self.look(ground)
        found.pop("after")
        assert found == changed
        source.discard(swap)
        assert self.leftovers(ground) == []

    def test_an_undo_without_one_file_that_was_kept_is_refused(self, source, taken, work, ground):
        self.change(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        new = self.look(ground)
        (Path(swap.kept) / "tree" / "sub" / "a").unlink()
        with pytest.raises(SourceError, match="sub/a before the restore is not kept"):
            source.undoing(swap)
        assert self.look(ground) == new

    def test_a_confirm_needs_nothing_of_what_was_left_of_the_restored(
        self, source, taken, work, ground
    ):
        self.change(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        new = self.look(ground)
        remove(Path(swap.side))
        source.discard(swap)
        assert self.look(ground) == new
        assert self.leftovers(ground) == []

    def test_what_another_restore_has_kept_is_not_put_back(self, source, taken, work, ground):
        self.change(ground)
        first = staged(source, taken, work)
        source.swap(first)
        another = source.plan(
            taken.record,
            replace(source.target(taken.record, None), keep_in=str(taken.keep_in)),
            "0ther",
        )
        source.stage(another, taken.record, taken.plains, work)
        source.swap(another)
        shutil.rmtree(another.kept)
        os.rename(first.kept, another.kept)
        with pytest.raises(SourceError, match="is not kept at"):
            source.undoing(another)

    def test_an_undo_makes_directories_anew_that_were_removed_since(
        self, source, taken, work, ground
    ):
        (self.top(ground) / "sub" / "a").write_text("changed")
        mode = (self.top(ground) / "sub").stat().st_mode
        swap = staged(source, taken, work)
        source.swap(swap)
        shutil.rmtree(self.top(ground) / "sub")
        source.back(swap)
        assert (self.top(ground) / "sub" / "a").read_text() == "changed"
        assert (self.top(ground) / "sub").stat().st_mode == mode

    def test_a_reader_never_finds_a_file_missing(self, source, taken, work, ground, monkeypatch):
        swap = staged(source, taken, work)
        big, seen_missing = self.top(ground) / "big", []
        rename = os.rename

        def watched(*names, **how):
            rename(*names, **how)
            seen_missing.append(not big.exists())

        monkeypatch.setattr(os, "rename", watched)
        source.swap(swap)
        source.back(swap)
        assert seen_missing
        assert not any(seen_missing)

    def test_existing_directories_keep_their_mode(self, source, taken, work, ground):
        (self.top(ground) / "sub").chmod(0o711)
        source.swap(staged(source, taken, work))
        assert stat.S_IMODE((self.top(ground) / "sub").stat().st_mode) == 0o711

    def test_a_link_in_a_directorys_place_is_never_followed(
        self, source, taken, work, ground, tmp_path
    ):
        outside = tmp_path / "outside"
        outside.mkdir()
        shutil.rmtree(self.top(ground) / "sub")
        (self.top(ground) / "sub").symlink_to(outside)
        swap = staged(source, taken, work)
        source.swap(swap)
        assert list(outside.iterdir()) == []
        assert (self.top(ground) / "sub" / "a").read_text() == "one\n" * 5000
        source.back(swap)
        assert os.readlink(self.top(ground) / "sub") == str(outside)

    @needs_root
    def test_a_link_planted_in_the_middle_is_never_followed(
        self, source, taken, work, ground, tmp_path, monkeypatch
    ):
        outside = tmp_path / "outside"
        outside.mkdir()
        swap = staged(source, taken, work)
        link = os.link

        def planting(*names, **how):
            link(*names, **how)
            if (self.top(ground) / "sub").is_dir():
                os.rename(self.top(ground) / "sub", ground / "away")
                (self.top(ground) / "sub").symlink_to(outside)

        monkeypatch.setattr(os, "link", planting)
        with pytest.raises((SourceError, OSError)):
            source.swap(swap)
        assert list(outside.iterdir()) == []

    @needs_root
    @pytest.mark.parametrize("name", ["evil", "conf"])
    def test_whose_a_directory_was_cannot_put_a_file_into_what_is_roots_now(
        self, opened, source, taken, work, ground, name
    ):
        top = self.top(ground)
        (top / "sub" / "conf").write_text("root's")
        os.chown(top / "sub", 0, 0)
        swap = staged(source, taken, work)
        assert compared(source, taken, swap, work) == []
        side = Path(swap.side)
        for folder in (side / "sub", side / side.name / "sub"):
            assert not _as_nobody(lambda folder=folder: (folder / name).write_text("evil"))
        source.swap(swap)
        assert (top / "sub" / "conf").read_text() == "root's"
        assert not (top / "sub" / "evil").exists()

    @needs_root
    def test_another_directory_in_the_place_of_what_was_restored_is_not_merged(
        self, opened, source, taken, work, ground
    ):
        top = self.top(ground)
        os.chown(top, NOBODY, NOBODY)
        os.chown(top / "sub", 0, 0)
        swap = staged(source, taken, work)
        side = Path(swap.side)

        def plant():
            side.rename(top / "away")
            (side / side.name / "sub").mkdir(parents=True)
            (side / side.name / "sub" / "evil").write_text("evil")
            side.chmod(0o700)

        assert _as_nobody(plant)
        with pytest.raises(SourceError, match="something else lies at"):
            source.swap(swap)
        assert not (top / "sub" / "evil").exists()

    @needs_root
    @pytest.mark.parametrize("mode", [0o755, 0o700])
    @pytest.mark.parametrize("end", [".old", ".new"])
    def test_a_directory_of_roots_in_the_place_of_ours_is_not_removed(
        self, opened, source, taken, work, ground, end, mode
    ):
        top = self.top(ground)
        os.chown(top, NOBODY, NOBODY)
        (top / "roots").mkdir(mode=mode)
        (top / "roots" / "conf").write_text("root's")
        swap = staged(source, taken, work)
        source.swap(swap)
        source.back(swap)
        name = top / Path(swap.side).with_suffix(end).name
        assert _as_nobody(lambda: (name.rename(top / "away"), (top / "roots").rename(name)))
        with pytest.raises(SourceError, match="something else lies at"):
            source.discard(swap)
        assert (name / "conf").read_text() == "root's"

    @needs_root
    @pytest.mark.parametrize("mode", [0o755, 0o700])
    def test_a_directory_of_roots_is_not_given_away_for_one_that_was_made(
        self, opened, source, taken, work, ground, monkeypatch, mode
    ):
        top = self.top(ground)
        os.chown(top, NOBODY, NOBODY)
        (top / "roots").mkdir(mode=mode)
        (top / "roots" / "conf").write_text("root's")
        swap = staged(source, taken, work)
        write_list = tree_merge._write_list

        def then_gone(*given):
            write_list(*given)
            shutil.rmtree(top / "sub")

        mkdir = os.mkdir

        def raced(name, mode=0o777, *, dir_fd=None):
            mkdir(name, mode, dir_fd=dir_fd)
            if name == "sub" and not (top / "sub" / "conf").exists():
                _as_nobody(lambda: (top / "roots").rename(top / "sub"))

        monkeypatch.setattr(tree_merge, "_write_list", then_gone)
        monkeypatch.setattr(os, "mkdir", raced)
        (top / "sub" / "a").unlink()  # or its loss would be told first
        with pytest.raises(SourceError) as told:
            source.swap(swap)
        assert (top / "sub" / "conf").exists()
        assert os.stat(top / "sub").st_uid == 0
        assert "another process has put a directory at sub" in str(told.value)

    @pytest.mark.parametrize("end", [".old", ".new"])
    def test_a_link_planted_for_what_is_kept_is_never_followed(
        self, source, taken, work, ground, tmp_path, end
    ):
        outside = tmp_path / "outside"
        outside.mkdir()
        swap = staged(source, taken, work)
        name = self.top(ground) / (".lifeboat-" + TOKEN + end)
        if name.exists():
            name.rename(ground / "away")
        name.symlink_to(outside)
        with pytest.raises((SourceError, OSError)):
            source.swap(swap)
        assert list(outside.iterdir()) == []

    @needs_root
    def test_a_mount_point_is_merged_into(self, ground, work, tmp_path):
        top = tmp_path / "disk"
        top.mkdir()
        with _mounted(top):
            (top / "a").write_text("old")
            source = Files(name="disk", paths=[str(top)])
            taken = Taken(source, work, tmp_path / "store")
            (top / "a").write_text("new")
            (top / "b").write_text("stays")
            told = " ".join(source.target(taken.record, None).refusals)
            assert "something is mounted at" in told
            assert "--merge" in told
            merging = source.narrowed((), True)
            swap = staged(merging, taken, work)
            merging.swap(swap)
            assert ((top / "a").read_text(), (top / "b").read_text()) == ("old", "stays")
            merging.back(swap)
            assert (top / "a").read_text() == "new"
            merging.discard(swap)
            assert sorted(os.listdir(top)) == ["a", "b"]

    @needs_root
    def test_what_is_mounted_inside_is_left_alone(self, source, taken, work, ground):
        before = self.look(ground)
        inside = self.top(ground) / "empty directory"
        with _mounted(inside):
            (inside / "precious").touch()
            (self.top(ground) / "big").unlink()
            swap = staged(source, taken, work)
            source.swap(swap)
            assert (self.top(ground) / "big").exists()
            source.back(swap)
            source.discard(swap)
            assert (inside / "precious").exists()
        assert self.look(ground).keys() | {"big"} == before.keys()

    @needs_root
    def test_what_is_mounted_where_something_must_go_is_an_error_before_anything_moves(
        self, source, taken, work, ground
    ):
        (self.top(ground) / "big").unlink()
        with _mounted(self.top(ground) / "sub"):
            changed = self.look(ground)
            swap = staged(source, taken, work)
            with pytest.raises(
                SourceError, match=r"another file system is mounted at .*/sub"
            ) as told:
                source.swap(swap)
            assert str(self.top(ground) / "sub") in told.value.hint
            source.back(swap)
            source.discard(swap)
            assert self.look(ground) == changed

    def test_a_file_of_the_backup_is_not_merged_into_a_directory(self, ground, work, tmp_path):
        path = ground / "conf"
        path.write_text("a file")
        source = Files(name="conf", paths=[str(path)]).narrowed((), True)
        taken = Taken(source, work, tmp_path / "store")
        path.unlink()
        path.mkdir()
        with pytest.raises(SourceError, match="is a directory here, and none in the backup"):
            staged(source, taken, work)
        assert list(path.iterdir()) == []

    def test_a_link_as_the_target_is_refused(self, source, taken, ground):
        self.top(ground).rename(ground / "elsewhere")
        self.top(ground).symlink_to(ground / "elsewhere")
        assert "is a link" in " ".join(source.target(taken.record, None).refusals)

    def test_a_list_of_moves_that_is_not_ours_moves_nothing(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        source.swap(swap)
        (moves,) = Path(swap.kept).glob("*.jsonl")
        moves.write_text('["../../outside", true]\n')
        with pytest.raises(SourceError, match="not ours"):
            source.back(swap)

    def test_without_hard_links_the_merge_still_holds(
        self, source, taken, work, ground, monkeypatch
    ):
        def refuse(*_names, **_how):
            raise PermissionError(1, "no hard links on this file system")

        monkeypatch.setattr(os, "link", refuse)
        self.test_every_step_may_be_asked_twice(source, taken, work, ground)

    def test_what_restores_keep_is_in_no_backup(self, ground, work, tmp_path):
        top = self.top(ground)
        for name in (".lifeboat-0a1b2c.old", ".lifeboat-0a1b2c.new", ".x.lifeboat-0a1b2c.old"):
            (top / name).mkdir()
            (top / name / "kept").touch()
        (top / ".lifeboat-ignore").touch()
        taken = Taken(self.make(ground), work, tmp_path / "store")
        found = [one["name"] for one in taken.entries if "lifeboat" in one["name"]]
        assert [name.rsplit("/", 1)[-1] for name in found] == [".lifeboat-ignore"]


def _as_nobody(action):
    """Whether another user can do it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            action()
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


class Late(FilePlain):
    """An archive whose last zeros come late."""

    def feed(self, command):
        with Pipeline(Command(self._argv()), []) as flow:
            feed(flow, command)

    def read(self, consume):
        with subprocess.Popen(self._argv(), stdout=subprocess.PIPE) as program:
            result = consume(program.stdout)
            program.stdout.read()
        return result

    def _argv(self):
        end = len(self.path.read_bytes().rstrip(b"\0")) // 512 * 512 + 512 + 1024
        end += -end % 10240  # what tar reads at once
        script = 'head -c "$1" "$0"; sleep 0.5; tail -c "+$(($1 + 1))" "$0"'
        return ("sh", "-c", script, str(self.path), str(end))


class TestChosen:
    """Only some paths of a source."""

    top = TestMerge.top
    leftovers = FileSwapContract.leftovers
    workspace = FileSwapContract.workspace
    work = FileSwapContract.work

    @pytest.fixture
    def ground(self, tmp_path):
        (tmp_path / "ground" / "shop" / "uploads").mkdir(parents=True)
        fill(tmp_path / "ground" / "shop" / "uploads")
        return tmp_path / "ground"

    @pytest.fixture
    def source(self, ground):
        return Files(name="uploads", paths=[str(self.top(ground))])

    @pytest.fixture
    def taken(self, source, work, tmp_path):
        return Taken(source, work, tmp_path / "store")

    def change(self, top):
        (top / "sub" / "deeper" / "since").write_text("since")
        (top / "sub" / "a").unlink()
        (top / "big").write_text("changed")

    def test_a_chosen_directory_is_exchanged_and_nothing_else(self, source, taken, work, ground):
        top = self.top(ground)
        self.change(top)
        chosen = source.narrowed(["sub"], False)
        swap = staged(chosen, taken, work)
        assert compared(chosen, taken, swap, work) == []
        source.swap(swap)
        assert (top / "sub" / "a").read_text() == "one\n" * 5000
        assert not (top / "sub" / "deeper" / "since").exists()
        assert (top / "big").read_text() == "changed"
        source.back(swap)
        assert (top / "sub" / "deeper" / "since").exists()
        source.discard(swap)
        assert self.leftovers(ground) == []

    def test_a_chosen_file_is_merged_and_nothing_else(self, source, taken, work, ground):
        top = self.top(ground)
        self.change(top)
        chosen = source.narrowed([str(top / "sub" / "a"), "new\nline", "-dash"], True)
        (top / "-dash").unlink()
        swap = staged(chosen, taken, work)
        assert compared(chosen, taken, swap, work) == []
        chosen.swap(swap)
        assert (top / "sub" / "a").read_text() == "one\n" * 5000
        assert (top / "-dash").read_text() == "dash"
        assert (top / "sub" / "deeper" / "since").exists()
        assert (top / "big").read_text() == "changed"
        chosen.back(swap)
        assert not (top / "sub" / "a").exists()
        assert not (top / "-dash").exists()

    def test_an_archive_whose_last_zeros_come_late_is_whole(self, source, taken, work, ground):
        """tar has gone by then: it reads no further than the mark of the end."""
        chosen = source.narrowed(["sub"], False)
        swap = planned(chosen, taken)
        late = {part: Late(part, one.format, one.path) for part, one in taken.plains.items()}
        chosen.stage(swap, taken.record, late, work)
        assert compared(chosen, taken, swap, work) == []
        chosen.discard(swap)

    def test_merged_directories_that_were_lost_come_back_with_their_modes(
        self, source, work, ground, tmp_path
    ):
        top = self.top(ground)
        (top / "sub").chmod(0o2750)
        (top / "sub" / "deeper").chmod(0o700)
        (top / "sub" / "deeper" / "own").write_text("own")
        taken = Taken(source, work, tmp_path / "store")
        shutil.rmtree(top / "sub")
        chosen = source.narrowed(["sub/deeper/own"], True)
        swap = staged(chosen, taken, work)
        assert compared(chosen, taken, swap, work) == []
        chosen.swap(swap)
        modes = [stat.S_IMODE((top / one).stat().st_mode) for one in ("sub", "sub/deeper")]
        assert modes == [0o2750, 0o700]
        assert os.listdir(top / "sub") == ["deeper"]

    def test_a_name_of_a_file_whose_other_names_were_not_chosen_comes_with_its_content(
        self, source, taken, work, ground
    ):
        top = self.top(ground)
        for name in ("hard link", "sub/a", "sub/deeper/another"):
            (top / name).unlink()
        for merge, paths in ((False, ["sub/a"]), (True, ["sub/deeper/another"])):
            chosen = source.narrowed(paths, merge)
            swap = staged(chosen, taken, work)
            assert compared(chosen, taken, swap, work) == []
            chosen.swap(swap)
            assert (top / paths[0]).read_text() == "one\n" * 5000
            chosen.discard(swap)
        assert not (top / "hard link").exists()

    def test_a_chosen_file_is_restored_into_another_directory(
        self, source, taken, work, ground, tmp_path
    ):
        chosen = source.narrowed(["sub/a"], False)
        into = tmp_path / "look" / "here"
        swap = staged(chosen, taken, work, into=str(into))
        chosen.swap(swap)
        chosen.discard(swap)
        found = Path(str(into) + str(self.top(ground) / "sub" / "a"))
        assert found.read_text() == "one\n" * 5000
        assert [one for one in into.rglob("*") if one.is_file()] == [found]

    def test_a_byte_that_differs_is_a_difference_here_too(self, source, taken, work, ground):
        chosen = source.narrowed(["big"], True)
        swap = staged(chosen, taken, work)
        side = Path(swap.side) / Path(swap.side).name / "big"
        times = side.stat().st_mtime_ns
        with open(side, "r+b") as content:
            content.write(b"flipped")
        os.utime(side, ns=(times, times))
        assert "sha256 is" in " ".join(compared(chosen, taken, swap, work))

    def test_a_path_that_the_archive_does_not_hold_touches_nothing(
        self, source, taken, work, ground
    ):
        chosen = source.narrowed(["nowhere"], True)
        with pytest.raises(VerifyError, match=r"holds no .*nowhere"):
            staged(chosen, taken, work)
        assert self.leftovers(ground) == []

    @pytest.mark.parametrize("path", ["/etc", "..", "sub/../../other"])
    def test_a_path_outside_of_the_source_is_refused(self, source, taken, path):
        with pytest.raises(UsageError, match="does not hold"):
            source.narrowed([path], False).target(taken.record, None)

    def test_with_several_paths_a_relative_one_is_refused(self, taken, ground):
        both = Files(name="u", paths=[str(self.top(ground)), str(ground / "other")])
        taken.record.facts["trees"].append({"path": str(ground / "other"), "part": "tree2"})
        with pytest.raises(UsageError, match="several paths"):
            both.narrowed(["sub"], False).target(taken.record, None)

    def test_a_chosen_path_without_its_directory_is_refused_with_what_to_do(
        self, source, taken, ground
    ):
        shutil.rmtree(self.top(ground) / "sub")
        told = source.narrowed(["sub/a"], False).target(taken.record, None).refusals
        assert "does not exist: make it, or use --into, or --merge" in " ".join(told)


class _mounted:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "none", str(self.place)], check=True)

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["umount", str(self.place)], check=True)
