# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the sqlite source: hard content, constant writers, and files that other users own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lifeboat.errors import LifeboatError, SourceError
from lifeboat.model import Workspace
from lifeboat.sources.sqlite import swap as sqlite_swap
from lifeboat.sources.sqlite.source import SQLite

from tests.unit.contracts.source_contract import Taken, differences, planned, staged

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
USER = 33

HARD = [
    "CREATE TABLE keyed (a TEXT, b BLOB, PRIMARY KEY (b, a)) WITHOUT ROWID",
    "INSERT INTO keyed VALUES ('x', x'00ff'), ('', x''), ('\u2603', zeroblob(3))",
    "CREATE VIRTUAL TABLE words USING fts5 (body)",
    "INSERT INTO words VALUES ('man overboard'), ('all hands on deck')",
    "CREATE VIRTUAL TABLE places USING rtree (id, x0, x1, y0, y1)",
    "INSERT INTO places VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6)",
    "CREATE TABLE price (net INTEGER, gross INTEGER GENERATED ALWAYS AS (net * 2) STORED, "
    "half GENERATED ALWAYS AS (net / 2) VIRTUAL)",
    "INSERT INTO price (net) VALUES (10), (-9223372036854775808 / 4), (NULL)",
    'CREATE TABLE "odd "" name; DROP TABLE x --\n" ("select" TEXT, "\u00fc " REAL)',
    'INSERT INTO "odd "" name; DROP TABLE x --\n" VALUES (\'\', 1e308), (NULL, -0.0)',
    "CREATE TABLE bytes (t TEXT)",
    "INSERT INTO bytes VALUES (CAST(x'610062' AS TEXT)), (CAST(x'ff00fe80' AS TEXT)), ('a' || char(0))",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, t)",
    "INSERT INTO counted (t) VALUES (1), (2.5), ('three'), (NULL), (x'04')",
    "CREATE TABLE empty (x)",
    "CREATE INDEX half_of ON price (net) WHERE net > 0",
    "CREATE INDEX folded ON bytes (lower(t))",
    "CREATE VIEW seen AS SELECT * FROM keyed",
    "CREATE TRIGGER grown AFTER INSERT ON counted BEGIN INSERT INTO empty VALUES (new.id); END",
    "ANALYZE",
]


def everything(path: Path) -> list:
    """Every row of every table as raw bytes, and the schema."""
    with closing(sqlite3.connect(str(path))) as connection:
        connection.text_factory = bytes
        schema = connection.execute("SELECT * FROM sqlite_master ORDER BY name").fetchall()
        tables = [row[1].decode() for row in schema if row[0] == b"table"]
        rows = [
            sorted(map(repr, connection.execute('SELECT * FROM "%s"' % name.replace('"', '""'))))
            for name in tables
        ]
        return [[row[:3] + row[4:] for row in schema], rows]


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_hard_content_comes_back_row_by_row(tmp_path: Path, work: Workspace, encoding: str) -> None:
    path = tmp_path / "hard.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA encoding='%s'" % encoding)
        connection.execute("PRAGMA page_size=512")
        for statement in HARD:
            connection.execute(statement)
    before = everything(path)
    source = SQLite(name="db", path=str(path))
    taken = Taken(source, work, tmp_path / "store")
    path.unlink()

    swap = staged(source, taken, work)

    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert everything(path) == before
    with closing(sqlite3.connect(str(path))) as connection:
        found = connection.execute("SELECT body FROM words WHERE words MATCH 'deck'").fetchall()
        assert found == [("all hands on deck",)]
        assert connection.execute("SELECT id FROM places WHERE x0 > 2").fetchall() == [(2,)]


def test_a_row_that_is_missing_after_a_restore_is_a_difference(
    tmp_path: Path, work: Workspace
) -> None:
    path = tmp_path / "hard.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        for statement in HARD:
            connection.execute(statement)
    source = SQLite(name="db", path=str(path))
    taken = Taken(source, work, tmp_path / "store")
    swap = staged(source, taken, work)
    with closing(sqlite3.connect(swap.side, isolation_level=None)) as connection:
        connection.execute("DELETE FROM keyed WHERE a = ''")

    told = differences(source, taken, swap, work)

    assert told == ["table keyed: rows is 2, the backup recorded 3"]


def test_a_blob_of_100_mb_comes_back(tmp_path: Path, work: Workspace) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (b)")
        connection.execute("INSERT INTO t VALUES (?)", (bytes(range(256)) * 409_600,))
    source = SQLite(name="db", path=str(path))
    taken = Taken(source, work, tmp_path / "store")
    path.unlink()
    source.swap(staged(source, taken, work))
    with closing(sqlite3.connect(str(path))) as connection:
        size, end = connection.execute("SELECT length(b), substr(b, -3) FROM t").fetchone()
    assert (size, end) == (104_857_600, b"\xfd\xfe\xff")


_WRITER = """
import sqlite3, sys, random
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while True:
    c.execute("BEGIN IMMEDIATE")
    amount, one, other = random.randrange(100), *random.sample(range(1, 101), 2)
    c.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, one))
    c.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, other))
    c.execute("INSERT INTO moved VALUES (hex(randomblob(200)))")
    c.execute("COMMIT")
"""


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_dump_beside_constant_writers_is_of_one_instant(
    tmp_path: Path, work: Workspace, mode: str
) -> None:
    path = tmp_path / "bank.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=" + mode)
        connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance)")
        connection.execute("CREATE TABLE moved (x)")
        connection.executemany(
            "INSERT INTO account VALUES (?, 1000)", [(n,) for n in range(1, 101)]
        )
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path)]) for _one in range(3)]
    try:
        _wait_for_rows(path)
        taken = Taken(SQLite(name="db", path=str(path)), work, tmp_path / "store")
        alive = [writer.poll() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert alive == [None] * 3
    with closing(sqlite3.connect(str(tmp_path / "store" / "database.sqlite"))) as connection:
        assert connection.execute("SELECT sum(balance) FROM account").fetchone() == (100_000,)
        moved = connection.execute("SELECT count(*) FROM moved").fetchone()[0]
    assert taken.record.totals["rows"] == 100 + moved


def _wait_for_rows(path: Path) -> None:
    with closing(sqlite3.connect(str(path), timeout=60)) as connection:
        for _attempt in range(500):
            if connection.execute("SELECT count(*) FROM moved").fetchone()[0] > 50:
                return
            time.sleep(0.02)
    raise AssertionError("nobody writes")


def test_an_encrypted_database_is_told_with_what_to_do(tmp_path: Path, work: Workspace) -> None:
    path = tmp_path / "secret.db"
    path.write_bytes(os.urandom(8192))  # as SQLCipher leaves it: no header, salt and noise
    with pytest.raises(SourceError, match="not a database") as told:
        SQLite(name="db", path=str(path)).check()
    assert "encrypted" in told.value.hint
    assert "command" in told.value.hint


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE word (a COLLATE german); CREATE INDEX by_word ON word (a)",
        "CREATE TABLE word (a); CREATE INDEX by_word ON word (sounds(a))",
        "CREATE TABLE word (a COLLATE german PRIMARY KEY) WITHOUT ROWID",
    ],
)
def test_what_only_the_application_can_sort_is_not_called_damage(
    tmp_path: Path, work: Workspace, made: str
) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.create_collation("german", lambda one, other: (one > other) - (one < other))
        connection.create_function("sounds", 1, str.upper, deterministic=True)
        connection.executescript(made)
        connection.execute("INSERT INTO word VALUES ('a'), ('b')")
    with pytest.raises(SourceError, match=r"cannot be judged: .*(german|sounds)") as told:
        Taken(SQLite(name="db", path=str(path)), work, tmp_path / "store")
    assert "command" in told.value.hint


# -- where other users are at home


@pytest.fixture
def shop() -> Iterator[Path]:
    """A directory of another user that he can reach, with his database in it."""
    with tempfile.TemporaryDirectory(prefix="shop-") as base:
        os.chmod(base, 0o755)
        folder = Path(base) / "shop"
        folder.mkdir()
        with closing(sqlite3.connect(str(folder / "app.db"), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE book (id)")
            connection.execute("INSERT INTO book VALUES (1), (2)")
        for path in (folder, folder / "app.db"):
            os.chown(path, USER, USER)
        yield folder


@needs_root
def test_root_opens_a_database_where_it_lies_as_its_owner_only(
    shop: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SQLite(name="db", path=str(shop / "app.db"))
    taken = Taken(source, work, tmp_path / "store")
    swap = staged(source, taken, work)

    def tell(_path: Path) -> None:
        raise sqlite3.OperationalError("locked by %d %d" % (os.getuid(), os.getegid()))

    monkeypatch.setattr(sqlite_swap, "_checkpoint", tell)
    with pytest.raises(SourceError, match="locked by %d %d" % (USER, USER)):
        source.swap(swap)


@needs_root
def test_a_database_of_another_user_is_counted_closed_restored_and_taken_back(
    shop: Path, work: Workspace, tmp_path: Path
) -> None:
    source = SQLite(name="db", path=str(shop / "app.db"))
    taken = Taken(source, work, tmp_path / "store")
    _with_a_wal(shop / "app.db")
    assert source.target(taken.record, None).totals == {"tables": 1, "rows": 3}
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert sorted(os.listdir(shop)) == sorted(["app.db", os.path.basename(swap.kept)])
    assert (shop / "app.db").stat().st_uid == USER
    source.back(swap)
    with closing(sqlite3.connect(str(shop / "app.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM book").fetchone() == (3,)


@needs_root
def test_what_is_counted_is_never_opened_in_the_directory_of_another_user(
    shop: Path, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SQLite(name="db", path=str(shop / "app.db"))
    taken = Taken(source, work, tmp_path / "store")
    swap = staged(source, taken, work)
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **how: opened.append(name) or connect(name, **how)
    )
    source.count(swap, work)
    assert opened
    assert [name for name in opened if str(work.bulk) not in name] == []


def test_a_link_is_refused_when_it_is_backed_up_and_not_first_when_it_is_restored(
    tmp_path: Path, work: Workspace
) -> None:
    path, link = tmp_path / "shared.db", tmp_path / "app.db"
    with closing(sqlite3.connect(str(path))) as connection:
        connection.execute("CREATE TABLE t (b)")
    link.symlink_to(path)
    source = SQLite(name="db", path=str(link))
    for look in (source.check, lambda: Taken(source, work, tmp_path / "store")):
        with pytest.raises(SourceError, match="is a link, and a restore follows none") as told:
            look()
        assert told.value.hint == f"give the path it leads to: {path}"


@needs_root
@pytest.mark.parametrize("lost", [True, False])
def test_a_link_above_the_database_that_its_owner_planted_is_not_followed(
    shop: Path, work: Workspace, tmp_path: Path, lost: bool
) -> None:
    (shop / "data").mkdir()
    os.chown(shop / "data", USER, USER)
    os.rename(shop / "app.db", shop / "data" / "app.db")
    source = SQLite(name="db", path=str(shop / "data" / "app.db"))
    taken = Taken(source, work, tmp_path / "store")
    if lost:
        (shop / "data" / "app.db").unlink()
    swap = planned(source, taken)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.rename(shop / "data", shop / "away")
    os.symlink(elsewhere, shop / "data")
    os.lchown(shop / "data", USER, USER)

    for step in (
        lambda: source.stage(swap, taken.record, taken.plains, work),
        lambda: source.swap(swap),
        lambda: source.back(swap),
        lambda: source.discard(swap),
    ):
        with pytest.raises(LifeboatError, match="root does not follow the link data"):
            step()
    assert os.listdir(elsewhere) == []
    told = " ".join(source.target(taken.record, None).refusals)
    assert "root does not follow the link data" in told
    assert str(elsewhere) in told


def _with_a_wal(path: Path) -> None:
    """As an application that was killed leaves it: a committed row in the -wal only."""
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA wal_autocheckpoint=0'); c.execute('INSERT INTO book VALUES (3)')\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    for suffix in ("-wal", "-shm"):
        os.chown(str(path) + suffix, USER, USER)
    assert os.path.getsize(str(path) + "-wal") > 0
