# SPDX-License-Identifier: GPL-3.0-or-later
"""What every source promises, whatever it protects. A test class per source inherits this.

class TestSQLite(FileSwapContract):
    def prepare(self, ground): ...      # make the thing to protect below `ground`
    def make(self, ground): ...         # the Source for it
    def change(self, ground): ...       # change it so that `look` differs
    def destroy(self, ground): ...      # lose it
    def look(self, ground): ...         # what a user of it sees, comparable
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lifeboat import inventory
from lifeboat.errors import LifeboatError
from lifeboat.files import remove
from lifeboat.model import Command, SourceRecord, Stream, Swap, Workspace
from lifeboat.pipeline import Pipeline, feed

TOKEN = "t0k3n"


class FilePlain:
    """ports.Plain over a file."""

    def __init__(self, part: str, format: str, path: Path) -> None:
        self.part = part
        self.format = format
        self.path = path

    def feed(self, command: Command) -> None:
        with Pipeline(self.path, []) as flow:
            feed(flow, command)

    def save(self, path: Path) -> None:
        path.write_bytes(self.path.read_bytes())
        path.chmod(0o600)

    def read(self, consume: Callable[[Any], Any]) -> Any:
        with open(self.path, "rb") as content:
            result = consume(content)
            while content.read(1 << 20):
                pass
        return result


class Taken:
    """One dump: its record, its archives as plain files, its inventory, its warnings."""

    def __init__(self, source: Any, work: Workspace, store: Path) -> None:
        store.mkdir(exist_ok=True)
        self.plains: dict[str, FilePlain] = {}
        self.warnings: list[str] = []
        with source.open(work) as dump:
            for stream in dump.streams():
                self._take(stream, store / (stream.part + "." + stream.extension))
            counted = dump.inventory()
            lines = counted.path.read_bytes()
            self.entries = list(inventory.read(lines.splitlines(keepends=True)))
            self.record = SourceRecord(
                source.name,
                source.kind,
                "good",
                taken_at=dump.taken_at,
                facts={
                    **dump.facts,
                    **(getattr(dump, "private", None) or {}),
                },  # as a restore has them
                totals=counted.totals,
                inventory_digest=counted.digest,
            )
        (store / "inventory.jsonl").write_bytes(lines)
        self.plains["inventory"] = FilePlain("inventory", "jsonl", store / "inventory.jsonl")
        self.keep_in = store.parent / "kept" / TOKEN

    def _take(self, stream: Stream, path: Path) -> None:
        how = {"tap": stream.tap, "surplus": stream.surplus}
        with Pipeline(stream.feed, [], **how) as flow, open(path, "wb") as out:
            for block in flow.blocks():
                out.write(block)
            flow.check()
        complaint = stream.complaint(flow.head, flow.tail, flow.plain_bytes)
        if complaint:
            raise LifeboatError(complaint)
        if stream.finish is not None:
            self.warnings += stream.finish(flow.feed_status, flow.feed_said)
        self.stream = stream
        self.plains[stream.part] = FilePlain(stream.part, stream.extension, path)

    def sizes(self) -> dict[str, int]:
        """Of the archives of data; zeros that fill up their last block are nothing."""
        return {
            part: len(plain.path.read_bytes().rstrip(b"\0"))
            for part, plain in self.plains.items()
            if part != "inventory"
        }

    def keep(self, sizes: Mapping[str, int], percent: int) -> Mapping[str, FilePlain]:
        """The archives, each cut after so much of what it had."""
        for part, size in sizes.items():
            os.truncate(self.plains[part].path, size * percent // 100)
        return self.plains

    def cut(self, count: int) -> Mapping[str, FilePlain]:
        """The archives of data, each without its last `count` bytes."""
        for part in sorted(set(self.plains) - {"inventory"}):
            plain = self.plains[part]
            os.truncate(plain.path, plain.path.stat().st_size - count)
        return self.plains


def planned(source: Any, taken: Taken, into: str | None = None) -> Swap:
    target = source.target(taken.record, into)
    assert target.refusals == ()
    return source.plan(taken.record, replace(target, keep_in=str(taken.keep_in)), TOKEN)


def staged(source: Any, taken: Taken, work: Workspace, into: str | None = None) -> Swap:
    swap = planned(source, taken, into)
    source.stage(swap, taken.record, taken.plains, work)
    return swap


def differences(source: Any, taken: Taken, swap: Swap, work: Workspace) -> list[str]:
    found = source.count(swap, work)
    return inventory.differences(taken.entries, inventory.read(open(found.path, "rb")))


class SourceContract:
    """Steps and what must hold after each. Subclasses say how to make, change and look."""

    def prepare(self, ground: Path) -> None:
        raise NotImplementedError

    def make(self, ground: Path) -> Any:
        raise NotImplementedError

    def change(self, ground: Path) -> None:
        raise NotImplementedError

    def destroy(self, ground: Path) -> None:
        raise NotImplementedError

    def look(self, ground: Path) -> Any:
        raise NotImplementedError

    def leftovers(self, ground: Path) -> list[str]:
        """What a restore left beside the target, after `discard`."""
        return sorted(str(path) for path in ground.rglob("*lifeboat-*"))

    # -- fixtures

    @pytest.fixture
    def ground(self, tmp_path: Path) -> Path:
        ground = tmp_path / "ground"
        ground.mkdir()
        self.prepare(ground)
        return ground

    @pytest.fixture
    def source(self, ground: Path) -> Any:
        return self.make(ground)

    @pytest.fixture
    def work(self, tmp_path: Path) -> Iterator[Workspace]:
        return self.workspace(tmp_path)

    def workspace(self, place: Path) -> Workspace:
        for name in ("bulk", "secret"):
            (place / name).mkdir(mode=0o700, exist_ok=True)
        return Workspace(place / "bulk", place / "secret")

    @pytest.fixture
    def full_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system that takes 4096 bytes and no more."""
        folder = tmp_path / "full"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a small file system here")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    @pytest.fixture
    def taken(self, source: Any, work: Workspace, tmp_path: Path) -> Taken:
        return Taken(source, work, tmp_path / "store")

    # -- backup

    def test_check_tells_facts_and_changes_nothing(self, source, ground):
        before = self.look(ground)
        assert source.check()
        assert self.look(ground) == before

    def test_a_dump_has_an_instant_facts_and_totals(self, taken):
        assert taken.record.taken_at.tzinfo is not None
        assert taken.record.facts
        assert taken.record.totals

    def test_unchanged_data_has_the_same_inventory(self, source, work, taken, tmp_path):
        again = Taken(source, work, tmp_path / "again")
        assert again.record.inventory_digest == taken.record.inventory_digest

    def test_changed_data_has_another_inventory(self, source, work, taken, ground, tmp_path):
        self.change(ground)
        again = Taken(source, work, tmp_path / "again")
        assert again.record.inventory_digest != taken.record.inventory_digest

    def test_a_dump_leaves_nothing_in_the_work_directories(self, taken, work):
        assert list(work.bulk.iterdir()) == []
        assert list(work.secret.iterdir()) == []

    def test_a_dump_that_is_given_up_leaves_nothing_either(self, source, work):
        with source.open(work) as dump:
            stream = next(iter(dump.streams()))
            with Pipeline(stream.feed, [], tap=stream.tap) as flow:
                next(flow.blocks())
        assert list(work.bulk.iterdir()) == []
        assert list(work.secret.iterdir()) == []

    def test_a_disk_that_is_full_in_the_middle_ends_the_dump_and_leaves_nothing(
        self, source, work, ground, full_disk, tmp_path
    ):
        before = self.look(ground)
        with pytest.raises((OSError, LifeboatError)) as told:
            Taken(source, work, full_disk)
        assert "space" in str(told.value)
        assert _programs() == [], _programs()
        assert list(work.bulk.iterdir()) == list(work.secret.iterdir()) == []
        assert self.look(ground) == before
        assert Taken(source, work, tmp_path / "store").record.totals

    def test_a_work_directory_on_a_full_disk_is_one_clear_error(
        self, source, work, ground, full_disk, tmp_path
    ):
        """Where a source needs none of it, the dump is whole all the same."""
        before = self.look(ground)
        (full_disk / "filler").write_bytes(b"x" * 4096)
        bulk = full_disk / "bulk"
        bulk.mkdir()
        try:
            Taken(source, replace(work, bulk=bulk), tmp_path / "store")
        except (LifeboatError, OSError) as told:  # a run tells both: operations/backup/backup.py
            said = " ".join([str(told), getattr(told, "hint", ""), getattr(told, "detail", "")])
            assert "space" in said or "full" in said, said
        assert _programs() == [], _programs()
        assert list(bulk.iterdir()) == list(work.secret.iterdir()) == []
        assert self.look(ground) == before

    # -- verify

    def test_a_whole_archive_passes_the_content_check(self, source, taken, work):
        source.check_content(taken.plains, work)

    @pytest.mark.parametrize("count", [1, 600, 6000])
    def test_a_truncated_archive_fails_the_content_check(self, source, taken, work, count):
        cut = taken.cut(count)
        with pytest.raises(LifeboatError):
            source.check_content(cut, work)
        assert list(work.bulk.iterdir()) == []

    def test_an_archive_cut_anywhere_is_told_and_touches_nothing(self, source, taken, work, ground):
        before = self.look(ground)
        whole = taken.sizes()
        for percent in (99, 50, 1):
            cut = taken.keep(whole, percent)
            with pytest.raises(LifeboatError):
                source.check_content(cut, work)
            swap = planned(source, taken)
            with pytest.raises(LifeboatError):
                source.stage(swap, taken.record, cut, work)
            source.discard(swap)  # as whoever restores does then
            assert self.look(ground) == before
            assert self.leftovers(ground) == []
            assert list(work.bulk.iterdir()) == []

    def test_an_archive_of_another_kind_is_told_and_touches_nothing(
        self, source, taken, work, ground
    ):
        before = self.look(ground)
        for part in taken.sizes():
            taken.plains[part].path.write_bytes(
                b"\x1f\x8b\x08" + b"something else entirely\n" * 1000
            )
        with pytest.raises(LifeboatError):
            source.check_content(taken.plains, work)
        swap = planned(source, taken)
        with pytest.raises(LifeboatError):
            source.stage(swap, taken.record, taken.plains, work)
        source.discard(swap)
        assert self.look(ground) == before
        assert self.leftovers(ground) == []

    def test_a_missing_archive_fails_the_content_check(self, source, taken, work):
        with pytest.raises(LifeboatError):
            source.check_content({}, work)

    # -- restore

    def test_a_restore_brings_back_what_was_there(self, source, taken, work, ground):
        before = self.look(ground)
        self.change(ground)
        assert self.look(ground) != before
        swap = staged(source, taken, work)
        assert self.look(ground) != before
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert self.look(ground) == before

    def test_a_restore_after_a_loss_brings_everything_back(self, source, taken, work, ground):
        before = self.look(ground)
        self.destroy(ground)
        swap = staged(source, taken, work)
        assert not swap.existed
        assert not source.swapped(swap)
        source.swap(swap)
        assert source.swapped(swap)
        assert self.look(ground) == before

    def test_every_step_may_be_asked_twice(self, source, taken, work, ground):
        old = self.look(ground)
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.stage(swap, taken.record, taken.plains, work)
        assert not source.swapped(swap)
        source.swap(swap)
        source.swap(swap)
        assert source.swapped(swap)
        assert self.look(ground) == old
        source.back(swap)
        source.back(swap)
        assert not source.swapped(swap)
        assert self.look(ground) == changed
        source.swap(swap)
        assert source.swapped(swap)
        assert self.look(ground) == old
        source.discard(swap)
        source.discard(swap)
        assert self.look(ground) == old
        assert self.leftovers(ground) == []

    def test_what_was_lost_can_be_lost_again(self, source, taken, work, ground):
        old = self.look(ground)
        self.destroy(ground)
        swap = staged(source, taken, work)
        source.back(swap)
        source.swap(swap)
        source.back(swap)
        source.back(swap)
        assert not source.swapped(swap)
        source.swap(swap)
        assert self.look(ground) == old
        source.discard(swap)
        assert self.look(ground) == old
        assert self.leftovers(ground) == []

    def test_giving_up_a_staged_restore_leaves_the_old_state_alone(
        self, source, taken, work, ground
    ):
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.back(swap)
        source.discard(swap)
        source.discard(swap)
        assert self.look(ground) == changed
        assert self.leftovers(ground) == []

    def test_a_failed_stage_touches_nothing_and_leaves_nothing(self, source, taken, work, ground):
        before = self.look(ground)
        swap = planned(source, taken)
        cut = taken.cut(6000)
        with pytest.raises(LifeboatError):
            source.stage(swap, taken.record, cut, work)
        source.discard(swap)  # as whoever restores does then
        assert self.look(ground) == before
        assert self.leftovers(ground) == []

    def test_a_target_tells_what_would_be_replaced(self, source, taken, ground):
        there = source.target(taken.record, None)
        assert there.exists
        assert there.size_bytes > 0
        self.destroy(ground)
        gone = source.target(taken.record, None)
        assert not gone.exists
        assert gone.refusals == ()


class FileSwapContract(SourceContract):
    """For sources that are swapped by system calls of ours: killed before each, they hold."""

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    @pytest.mark.parametrize("lost", [False, True])
    @pytest.mark.parametrize("first", ["swap", "back"])
    @pytest.mark.parametrize("then", ["swap", "back"])
    def test_a_kill_at_any_moment_leaves_the_old_or_the_new_state(
        self, tmp_path, first, then, lost
    ):
        killed = 0
        for moment in range(100):
            place = tmp_path / str(moment)
            ground = place / "ground"
            ground.mkdir(parents=True)
            self.prepare(ground)
            source, work = self.make(ground), self.workspace(place)
            new = self.look(ground)
            taken = Taken(source, work, place / "store")
            (self.destroy if lost else self.change)(ground)
            old = None if lost else self.look(ground)
            swap = staged(source, taken, work)
            if first == "back":
                source.swap(swap)
            if not _killed_before_change(moment, partial(getattr(source, first), swap)):
                break
            killed += 1
            self.recover(source, swap, then, old, new, ground)
        assert killed >= 1

    def recover(self, source, swap, then, old, new, ground):
        """As recovery does: complete it, or roll it back, then clean up."""
        getattr(source, then)(swap)
        assert source.swapped(swap) == (then == "swap")
        expected = new if then == "swap" else old
        assert expected is None or self.look(ground) == expected
        source.discard(swap)
        assert expected is None or self.look(ground) == expected
        assert self.leftovers(ground) == []


class KeptContract(FileSwapContract):
    """For sources that keep what was there beside, where somebody may remove it."""

    @pytest.mark.parametrize("lost", [False, True])
    def test_an_undo_without_what_was_kept_is_refused(self, source, taken, work, ground, lost):
        (self.destroy if lost else self.change)(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        assert source.undoing(swap) == swap
        new = self.look(ground)
        remove(Path(swap.kept))
        with pytest.raises(LifeboatError, match=r"not kept at .* any more, so nothing was undone"):
            source.undoing(swap)
        assert self.look(ground) == new
        source.discard(swap)
        assert self.look(ground) == new
        assert self.leftovers(ground) == []

    def test_what_was_kept_comes_back_although_what_was_restored_is_gone(
        self, source, taken, work, ground
    ):
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        self.destroy_again(swap, ground)
        source.back(source.undoing(swap))
        assert self.look(ground) == changed

    def destroy_again(self, swap: Swap, ground: Path) -> None:
        self.destroy(ground)


def _programs() -> list[str]:
    """What this process has started and not ended, but for the servers of the tests."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        name = os.path.basename(words[0])
        if parent == os.getpid() and name in _ENDING:
            found.append(" ".join(words))
    return found


# what dumps; servers and what drives the tests go on
_ENDING = ("tar", "pg_dump", "psql", "mariadb-dump", "mariadb", "mongodump", "redis-cli", "podman")
_CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "shutil.move")


def _killed_before_change(moment: int, action: Callable[[], Any]) -> bool:
    """Run `action` in a child that is killed before its change number `moment`; False = it ended first."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: Any) -> None:
            nonlocal seen
            exchange = event == "ctypes.dlsym" and arguments[1] == "renameat2"
            if event in _CHANGES or exchange:
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        status = 1
        try:
            sys.addaudithook(hook)
            action()
            status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the step itself failed"
    return status == signal.SIGKILL
