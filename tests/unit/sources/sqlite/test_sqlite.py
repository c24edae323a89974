# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the sqlite source."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from lifeboat.errors import ConfigError, SourceAbsent, SourceError, VerifyError
from lifeboat.model import Archive
from lifeboat.operations.copies.plain import FetchedArchive
from lifeboat.placement import Placement
from lifeboat.sources.sqlite import dump, file
from lifeboat.sources.sqlite import source as module
from lifeboat.sources.sqlite.source import SQLite

from tests.unit.contracts.source_contract import (
    KeptContract,
    Taken,
    differences,
    planned,
    staged,
)

NAME = "it's a %41 shop?#.sqlite"
ROOT = os.geteuid() == 0


def sql(path: Path, *statements: str) -> list:
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


class TestSQLite(KeptContract):
    def prepare(self, ground):
        sql(
            ground / NAME,
            "CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT)",
            'CREATE TABLE "a ""b"" c" (x)',
            "CREATE INDEX by_title ON book (title)",
            "CREATE VIEW titles AS SELECT title FROM book",
            "CREATE TRIGGER t AFTER INSERT ON book BEGIN SELECT 1; END",
            "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<500) "
            "INSERT INTO book SELECT i, hex(randomblob(20)) FROM n",
        )

    def make(self, ground):
        return SQLite(name="db", path=str(ground / NAME))

    def change(self, ground):
        sql(ground / NAME, "DELETE FROM book WHERE id % 2")

    def destroy(self, ground):
        (ground / NAME).unlink()

    def look(self, ground):
        return sql(ground / NAME, "SELECT * FROM book ORDER BY id")

    # -- backup

    def test_objects_are_counted_by_kind(self, taken):
        found = {(one["kind"], one["name"]): one.get("rows") for one in taken.entries}
        assert found == {
            ("table", "book"): 500,
            ("table", 'a "b" c'): 0,
            ("index", "by_title"): None,
            ("view", "titles"): None,
            ("trigger", "t"): None,
        }

    def test_what_is_only_in_the_wal_is_in_the_backup(self, source, work, ground, tmp_path):
        with closing(sqlite3.connect(str(ground / NAME))) as writer:
            writer.execute("PRAGMA journal_mode=WAL")
            writer.execute("PRAGMA wal_autocheckpoint=0")
            writer.execute("INSERT INTO book VALUES (9999, 'fresh')")
            writer.commit()
            taken = Taken(source, work, tmp_path / "store")
        assert taken.record.totals["rows"] == 501
        saved = tmp_path / "store" / "database.sqlite"
        assert sql(saved, "SELECT title FROM book WHERE id = 9999") == [("fresh",)]
        assert sql(saved, "PRAGMA journal_mode") == [("delete",)]

    def test_a_dump_ends_while_others_write_without_pause(self, source, work, ground, tmp_path):
        sql(ground / NAME, "PRAGMA journal_mode=WAL")
        stop = threading.Event()

        def write() -> None:
            with closing(sqlite3.connect(str(ground / NAME), isolation_level=None)) as writer:
                while not stop.is_set():
                    writer.execute("INSERT INTO book (title) VALUES (hex(randomblob(500)))")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            taken = Taken(source, work, tmp_path / "store")
        finally:
            stop.set()
            writer.join()
        assert taken.record.totals["rows"] >= 500
        source.check_content(taken.plains, work)

    def test_a_dump_cleans_up_after_itself_beside_the_database(
        self, source, work, ground, tmp_path
    ):
        sql(ground / NAME, "PRAGMA journal_mode=WAL")
        Taken(source, work, tmp_path / "store")
        assert os.listdir(ground) == [NAME]

    def test_a_writer_that_never_lets_go_is_an_error_and_not_a_wait(
        self, source, work, ground, monkeypatch
    ):
        hasty = partial(file.connect, timeout_s=0.1)
        for one in (file, dump):
            monkeypatch.setattr(one, "connect", hasty)
        with closing(sqlite3.connect(str(ground / NAME), isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceError, match="locked"), source.open(work):
                pass
        assert list(work.bulk.iterdir()) == []

    def test_rows_without_their_parent_are_a_warning(self, source, work, ground, tmp_path):
        sql(
            ground / NAME,
            "CREATE TABLE copy (book REFERENCES book (id))",
            "INSERT INTO copy VALUES (123456)",
        )
        taken = Taken(source, work, tmp_path / "store")
        assert taken.warnings == ["1 rows refer to rows that do not exist"]

    def test_values_that_break_a_constraint_are_a_warning(self, source, work, ground, tmp_path):
        sql(
            ground / NAME,
            "CREATE TABLE age (years CHECK (years > 0))",
            "PRAGMA ignore_check_constraints=1",
            "INSERT INTO age VALUES (-1)",
        )
        taken = Taken(source, work, tmp_path / "store")
        assert taken.warnings == ["CHECK constraint failed in age"]

    def test_a_virtual_table_whose_module_is_missing_is_counted_by_name(
        self, source, work, ground, tmp_path
    ):
        sql(
            ground / NAME,
            "PRAGMA writable_schema=1",
            "INSERT INTO sqlite_master VALUES "
            "('table', 'far', 'far', 0, 'CREATE VIRTUAL TABLE far USING of_the_app(x)')",
        )
        taken = Taken(source, work, tmp_path / "store")
        assert {"kind": "table", "name": "far"} in taken.entries

    def test_a_missing_database_is_absent(self, source, ground, work):
        self.destroy(ground)
        with pytest.raises(SourceAbsent, match="source db: there is no database at"):
            source.check()
        with pytest.raises(SourceAbsent), source.open(work):
            pass
        assert os.listdir(ground) == []

    def test_a_directory_is_refused(self, ground, work):
        with pytest.raises(SourceError, match="not a regular file"):
            SQLite(name="db", path=str(ground)).check()

    def test_an_empty_file_is_refused(self, ground, source):
        (ground / NAME).write_bytes(b"")
        with pytest.raises(SourceError, match="empty"):
            source.check()

    def test_a_file_that_is_no_database_is_refused(self, ground, source, work):
        (ground / NAME).write_bytes(b"hello, world\n" * 1000)
        with pytest.raises(SourceError, match="not a database"):
            source.check()
        with pytest.raises(SourceError, match="not a database"), source.open(work):
            pass

    def test_a_damaged_database_is_never_backed_up(self, ground, source, work):
        with open(ground / NAME, "r+b") as content:
            content.seek(4096 * 3)
            content.write(os.urandom(4096))
        with pytest.raises(SourceError, match="damaged"), source.open(work) as dump:
            [stream.finish(0, "") for stream in dump.streams()]
        assert list(work.bulk.iterdir()) == []

    def test_an_index_that_does_not_match_its_table_is_damage(self, ground, source, work):
        index = "name = 'by_title'"
        sql(
            ground / NAME,
            "CREATE TABLE aside AS SELECT * FROM sqlite_master WHERE " + index,
            "PRAGMA writable_schema=1",
            "DELETE FROM sqlite_master WHERE " + index,
        )
        sql(
            ground / NAME,
            "DELETE FROM book WHERE id = 7",
            "PRAGMA writable_schema=1",
            "INSERT INTO sqlite_master SELECT * FROM aside",
        )
        with pytest.raises(SourceError, match="damaged") as told, source.open(work) as dump:
            [stream.finish(0, "") for stream in dump.streams()]
        assert "index by_title" in told.value.detail

    def test_a_container_is_refused_with_what_to_do(self, ground):
        placed = SQLite(name="db", path="/x", placement=Placement("docker", "shop"))
        with pytest.raises(SourceError, match="container") as told:
            placed.check()
        assert "on this host" in told.value.hint

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    @pytest.mark.skipif(not ROOT, reason="needs another user")
    @pytest.mark.parametrize(("mode", "folder"), [(0o600, 0o755), (0o644, 0o755)])
    def test_a_user_without_the_rights_is_told_which_user_has_them(
        self, ground, mode, folder, tmp_path
    ):
        sql(ground / NAME, "PRAGMA journal_mode=WAL")
        (ground / NAME).chmod(mode)
        ground.chmod(folder)
        for parent in ground.parents[:-2]:
            parent.chmod(0o755)
        code = (
            "import os, sys; os.setgid(65534); os.setuid(65534)\n"
            "from lifeboat.errors import SourceError\n"
            "try: SQLite(name='db', path=sys.argv[1]).check()\n"
            "except SourceError as exc: print(exc.hint)"
        )
        told = _in_child(lambda: exec(code, {"SQLite": SQLite}), str(ground / NAME))
        assert "set the job's `user:` to its owner (root)" in told
        assert os.listdir(ground) == [NAME]

    # -- verify

    def test_a_flipped_page_fails_the_content_check(self, source, taken, work):
        with open(taken.plains["database"].path, "r+b") as content:
            content.seek(4096 * 3)
            content.write(os.urandom(4096))
        with pytest.raises(VerifyError):
            source.check_content(taken.plains, work)

    def test_a_whole_page_missing_fails_the_content_check(self, source, taken, work):
        with pytest.raises(VerifyError, match="not a whole"):
            source.check_content(taken.cut(4096), work)

    # -- restore

    def test_owner_and_mode_are_those_of_the_file_that_is_replaced(
        self, source, taken, work, ground
    ):
        (ground / NAME).chmod(0o664)
        if ROOT:
            os.chown(ground / NAME, 33, 34)
        expected = (ground / NAME).stat()
        source.swap(staged(source, taken, work))
        found = (ground / NAME).stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (
            expected.st_mode,
            expected.st_uid,
            expected.st_gid,
        )

    def test_owner_and_mode_come_from_the_record_when_the_file_is_lost(
        self, ground, work, tmp_path
    ):
        (ground / NAME).chmod(0o640)
        if ROOT:
            os.chown(ground / NAME, 33, 34)
        expected = (ground / NAME).stat()
        source = self.make(ground)
        taken = Taken(source, work, tmp_path / "store")
        self.destroy(ground)
        source.swap(staged(source, taken, work))
        found = (ground / NAME).stat()
        assert (found.st_mode, found.st_uid) == (expected.st_mode, expected.st_uid)

    def test_the_journal_mode_is_restored(self, source, work, ground, tmp_path):
        sql(ground / NAME, "PRAGMA journal_mode=WAL")
        taken = Taken(source, work, tmp_path / "store")
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert sql(ground / NAME, "PRAGMA journal_mode") == [("wal",)]
        source.discard(swap)
        assert self.leftovers(ground) == []

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_a_database_that_an_application_has_open_is_not_replaced(
        self, source, taken, work, ground, mode
    ):
        before = self.look(ground)
        swap = staged(source, taken, work)
        application = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys\n"
                "c = sqlite3.connect(sys.argv[1])\n"
                "c.execute('PRAGMA journal_mode=%s').fetchall()\n"
                "c.execute('SELECT * FROM book LIMIT 1').fetchall()\n"
                "print(flush=True); sys.stdin.read()" % mode,
                str(ground / NAME),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        application.stdout.read(1)
        try:
            with pytest.raises(SourceError, match="in use by process %d" % application.pid):
                source.swap(swap)
            assert not source.swapped(swap)
        finally:
            application.communicate()
        source.swap(swap)
        assert self.look(ground) == before

    def test_a_database_that_is_locked_out_of_sight_is_not_replaced(
        self, source, taken, work, ground, monkeypatch
    ):
        monkeypatch.setattr("lifeboat.sources.sqlite.swap._user_of", lambda path: "")
        swap = staged(source, taken, work)
        with closing(sqlite3.connect(str(ground / NAME), isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(SourceError, match="in use: database is locked"):
                source.swap(swap)

    def test_a_stale_wal_never_meets_the_new_database(self, source, taken, work, ground):
        before = self.look(ground)
        target = ground / NAME
        stale = _crashed_with_wal(target)
        target.write_bytes(b"broken" * 2000)  # a healthy one would be closed cleanly
        swap = staged(source, taken, work)
        source.swap(swap)
        assert self.look(ground) == before
        assert Path(swap.kept + "-wal").read_bytes() == stale
        source.back(swap)
        assert Path(swap.target + "-wal").read_bytes() == stale
        assert target.read_bytes() == b"broken" * 2000

    @pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
    def test_what_a_lost_database_left_never_meets_the_new_one(
        self, source, taken, work, ground, suffix
    ):
        before = self.look(ground)
        stale = _crashed_with_wal(ground / NAME)
        os.rename(ground / (NAME + "-wal"), ground / (NAME + suffix))
        self.destroy(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        assert not os.path.lexists(swap.target + suffix)
        assert self.look(ground) == before
        if suffix != "-shm":
            assert Path(swap.kept + suffix).read_bytes() == stale
            source.back(swap)
            assert Path(swap.target + suffix).read_bytes() == stale
            assert self.leftovers(ground) == [swap.side]
            source.swap(swap)
        source.discard(swap)
        assert self.look(ground) == before
        assert self.leftovers(ground) == []

    def test_what_a_lost_database_left_never_meets_one_that_was_made_meanwhile(
        self, source, taken, work, ground
    ):
        _crashed_with_wal(ground / NAME)
        self.destroy(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        os.rename(swap.target, swap.side)  # as a kill before the last step leaves it
        sql(ground / NAME, "CREATE TABLE mine (x)")
        source.back(swap)
        source.discard(swap)
        assert os.listdir(ground) == [NAME]

    def test_what_was_only_in_the_wal_comes_back_with_undo(self, source, taken, work, ground):
        _crashed_with_wal(ground / NAME)
        swap = staged(source, taken, work)
        source.swap(swap)
        source.back(swap)
        assert sql(ground / NAME, "SELECT title FROM book WHERE id = 9999") == [("fresh",)]

    def test_writes_after_the_restore_stay_with_the_new_database(self, source, taken, work, ground):
        self.change(ground)
        changed = self.look(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        _crashed_with_wal(ground / NAME)
        source.back(swap)
        assert self.look(ground) == changed
        source.swap(swap)
        assert sql(ground / NAME, "SELECT title FROM book WHERE id = 9999") == [("fresh",)]

    def test_without_hard_links_the_swap_still_holds(
        self, source, taken, work, ground, monkeypatch
    ):
        def refuse(*_names):
            raise PermissionError(1, "no hard links on this file system")

        monkeypatch.setattr(os, "link", refuse)
        self.test_every_step_may_be_asked_twice(source, taken, work, ground)

    def test_a_link_in_the_place_of_the_database_is_refused(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        precious = ground / "precious"
        os.rename(ground / NAME, precious)
        before = precious.read_bytes()
        (ground / NAME).symlink_to(precious)
        told = " ".join(source.target(taken.record, None).refusals)
        assert "is a symbolic link" in told
        assert str(precious) in told
        with pytest.raises(SourceError, match="is a symbolic link"):
            source.swap(swap)
        with pytest.raises(SourceError, match="is a symbolic link"):
            source.stage(swap, taken.record, taken.plains, work)
        assert precious.read_bytes() == before

    @pytest.mark.parametrize("end", [".new", ".old"])
    @pytest.mark.parametrize("lost", [False, True])
    def test_a_link_planted_beside_the_database_is_never_written_through(
        self, source, taken, work, ground, monkeypatch, end, lost
    ):
        precious = ground / "precious"
        precious.write_text("precious")
        precious.chmod(0o600)
        if lost:
            self.destroy(ground)
        swap = planned(source, taken)
        name = Path(swap.side[: -len(".new")] + end)
        remove = module.sqlite_swap.take_away

        def removed_and_planted(path: Path) -> None:
            remove(path)
            if path.name == Path(swap.side).name:
                name.unlink(missing_ok=True)
                name.symlink_to(precious)

        monkeypatch.setattr(module.sqlite_swap, "take_away", removed_and_planted)
        before = precious.lstat()
        with pytest.raises(SourceError, match="something"):
            source.stage(swap, taken.record, taken.plains, work)
            source.swap(swap)
        assert precious.read_text() == "precious"
        assert precious.lstat() == before

    def test_a_database_is_proved_where_no_other_user_can_exchange_it(
        self, source, taken, work, ground, monkeypatch
    ):
        proved = []
        monkeypatch.setattr(module, "examine", lambda path: proved.append(path) or ())
        staged(source, taken, work)
        assert [path.parent.parent for path in proved] == [work.bulk]

    def test_a_restore_into_another_path_leaves_the_first_alone(self, source, taken, work, ground):
        before = self.look(ground)
        self.change(ground)
        changed = self.look(ground)
        source.swap(staged(source, taken, work, into=str(ground / "other.sqlite")))
        assert self.look(ground) == changed
        assert sql(ground / "other.sqlite", "SELECT * FROM book ORDER BY id") == before

    def test_a_target_that_appears_meanwhile_is_not_overwritten(self, source, taken, work, ground):
        self.destroy(ground)
        swap = staged(source, taken, work)
        (ground / NAME).write_text("mine")
        with pytest.raises(SourceError, match="has appeared"):
            source.swap(swap)
        assert (ground / NAME).read_text() == "mine"

    @pytest.mark.parametrize(
        ("into", "reason"),
        [
            ("other.sqlite", "not an absolute path"),
            ("/nonexistent/other.sqlite", "the directory /nonexistent does not exist"),
            ("/usr", "not a regular file"),
        ],
    )
    def test_a_target_that_cannot_be_restored_to_is_refused(self, source, taken, into, reason):
        assert reason in " ".join(source.target(taken.record, into).refusals)

    def test_long_names_that_begin_alike_have_other_names_beside_them(self, source, taken, ground):
        one, other = (planned(source, taken, into=str(ground / ("n" * 200 + end))) for end in "ab")
        assert {one.side, one.kept} & {other.side, other.kept} == set()

    def test_a_relative_path_is_refused_at_once(self):
        with pytest.raises(ConfigError, match=r"'db\.sqlite': write an absolute path"):
            SQLite(name="db", path="db.sqlite")

    def test_an_archive_is_saved_to_a_new_file_only(self, taken, tmp_path):
        path = taken.plains["database"].path
        size = path.stat().st_size
        archive = Archive("a", "db", "database", "sqlite", (), size, size, "")
        (tmp_path / "precious").write_text("precious")
        (tmp_path / "link").symlink_to(tmp_path / "precious")
        with pytest.raises(FileExistsError):
            FetchedArchive(archive, path, {}, None).save(tmp_path / "link")
        assert (tmp_path / "precious").read_text() == "precious"

    def test_the_longest_file_name_can_be_restored(self, taken, source, work, ground):
        name = str(ground / ("ü" * 126 + ".x"))
        source.swap(staged(source, taken, work, into=name))
        assert os.path.exists(name)

    @pytest.mark.parametrize("end", ["", "-wal"])
    @pytest.mark.parametrize("name", ["side", "kept"])
    def test_a_directory_that_was_put_where_ours_was_is_not_removed(
        self, source, taken, work, ground, name, end
    ):
        swap = staged(source, taken, work)
        source.swap(swap)
        put = Path(getattr(swap, name) + end)
        if put.exists():
            put.rename(ground / "away")
        put.mkdir()
        (put / "conf").write_text("root's")
        with pytest.raises(SourceError, match="something else lies at"):
            source.discard(swap)
        assert (put / "conf").read_text() == "root's"

    def test_discard_removes_nothing_while_the_target_is_missing(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        os.rename(swap.target, swap.kept)
        with pytest.raises(SourceError, match="nothing was removed"):
            source.discard(swap)
        assert os.path.exists(swap.kept)


def _crashed_with_wal(path: Path) -> bytes:
    """Leave the state of an application that was killed: a committed row in the -wal only."""
    safe = path.parent / "aside"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("INSERT INTO book VALUES (9999, 'fresh')")
        shutil.copy(str(path), safe)
        shutil.copy(str(path) + "-wal", str(safe) + "-wal")
    os.rename(safe, path)
    os.rename(str(safe) + "-wal", str(path) + "-wal")
    return Path(str(path) + "-wal").read_bytes()


def _in_child(action, argument: str) -> str:
    """What `action` prints in a forked child with sys.argv[1] set."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(write_end, 1)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.argv = ["-", argument]
            action()
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text
