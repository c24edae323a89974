# SPDX-License-Identifier: GPL-3.0-or-later
"""Some tables of an SQLite database alone come beside, into a new file."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from .host import Host

ODD = "or\"der ('s); é"
MORE = """
CREATE TABLE "or""der ('s); é" (id INTEGER PRIMARY KEY AUTOINCREMENT, book INT REFERENCES book (id),
  twice INT AS (book * 2) STORED);
INSERT INTO "or""der ('s); é" (book) VALUES (1), (2), (2);
CREATE INDEX by_book ON "or""der ('s); é" (book);
CREATE VIEW titles AS SELECT title FROM book;
CREATE TRIGGER gone AFTER DELETE ON book BEGIN DELETE FROM "or""der ('s); é" WHERE book = old.id; END;
CREATE VIRTUAL TABLE words USING fts5 (body);
INSERT INTO words VALUES ('all hands on deck');
"""


@pytest.fixture
def filled(host: Host) -> Host:
    with closing(sqlite3.connect(host.database)) as connection:
        connection.executescript(MORE)
    return host


def ask(path: object, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(str(path))) as connection:
        return connection.execute(query).fetchall()


def test_some_tables_alone_come_beside_with_their_indexes(filled: Host) -> None:
    host = filled
    id_ = host.run()
    live = ask(host.database, "SELECT * FROM sqlite_master")
    then = host.data / "then.db"

    done = host.restore(id_, "--into", str(then), "--path", ODD, "--path", "words")

    assert done.returncode == 0, done.stderr
    rows = 'SELECT id, book, twice FROM "or""der (\'s); é" ORDER BY id'
    assert ask(then, rows) == ask(host.database, rows) == [(1, 1, 2), (2, 2, 4), (3, 2, 4)]
    assert ask(then, "SELECT body FROM words WHERE words MATCH 'deck'") == [("all hands on deck",)]
    kinds = ask(
        then, "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'words!_%' ESCAPE '!'"
    )
    assert sorted(one for one in kinds if one[1] != "sqlite_sequence") == [
        ("index", "by_book"),
        ("table", ODD),
        ("table", "words"),
    ]
    assert then.stat().st_size < host.database.stat().st_size
    assert ask(host.database, "SELECT * FROM sqlite_master") == live
    assert host.rows() == 1000


def test_what_cannot_be_is_told_and_leaves_nothing(filled: Host) -> None:
    host = filled
    id_ = host.run()
    before = sorted(host.data.iterdir())
    then = str(host.data / "then.db")
    for words, told in (
        (("--path", "book"), "bring them beside with --into NAME"),
        (("--into", then, "--path", "bok"), "the backup has no table bok"),
        (("--into", then, "--path", "book", "--merge"), "--merge is for files"),
        (("--into", str(host.database), "--path", "book"), "this one is there"),
    ):
        done = host.restore(id_, *words)
        assert done.returncode != 0
        assert told in done.stdout + done.stderr
        assert sorted(host.data.iterdir()) == before
