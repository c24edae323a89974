# SPDX-License-Identifier: GPL-3.0-or-later
"""A dropped table, deleted rows: what a host's runbook says of them brings them back, typed as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.mariadb import conftest as mariadb
from tests.integration.postgresql import conftest as postgresql
from tests.typed import blocks, typed

from .host import PHRASE, Host

make_postgresql = postgresql.make_server
make_mariadb = mariadb.make_server
TITLE = "### A table of db was dropped, or rows of it were deleted"


def beside(host: Host, table: str) -> str:
    """The page, after its block was typed for a time before now: the table lies beside."""
    page = host.lifeboat("runbook").stdout
    (commands,) = blocks(page, TITLE)
    moment = time.strftime("%F %T", time.gmtime(time.time() + 1))
    commands = re.sub("^WHAT=.*$", f"WHAT={table}", commands, flags=re.MULTILINE)
    commands = re.sub("^WHEN=.*$", f'WHEN="{moment}"', commands, flags=re.MULTILINE)
    program = f'lifeboat() {{ {shlex.join(host.argv())} "$@"; }}\n'
    answers = {
        "paste the private key": host.key.read_text().splitlines()[-1],
        f"type {PHRASE}": PHRASE,
    }
    code, said = typed(["bash", "-e", "-c", program + commands], answers)
    assert code == 0, said
    return page


def test_a_dropped_table_of_postgresql_and_deleted_rows_come_back(
    tmp_path: Path, make_postgresql: Callable[[], Any]
) -> None:
    server = make_postgresql()
    server.sql("CREATE ROLE keeper; CREATE DATABASE shop OWNER keeper")
    server.sql(
        "CREATE TABLE book (id serial PRIMARY KEY, words text);"
        "INSERT INTO book (words) SELECT 'a word' FROM generate_series(1, 3);"
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " book int REFERENCES book, at int UNIQUE);"
        "INSERT INTO orders (book, at) VALUES (3, 1), (3, 2);"
        # more than a pipe holds: pg_restore leaves what it does not want
        "CREATE TABLE zoo AS SELECT md5(n::text) AS it FROM generate_series(1, 200000) AS n",
        "shop",
    )
    host = Host(tmp_path)
    address = {"host": str(server.folder), "port": server.port}
    host.job["sources"] = {"db": {"type": "postgresql", "database": "shop", **address}}
    host.configure()
    id_ = host.run()
    server.sql(
        "DROP TABLE orders; INSERT INTO book (words) VALUES ('new'); DELETE FROM book WHERE id < 3",
        "shop",
    )

    def take_over(table: str, how: int) -> None:
        page = beside(host, table)
        assert "bin/initdb -D" in page  # where it has a server of that kind
        command = re.findall(r"^- [a-z ]*: `([^`]*)`", page, re.MULTILINE)[how]
        assert f"-h {server.folder} " in command  # without it, psql would ask the usual place
        command = command.replace("psql -h", "psql -q -v ON_ERROR_STOP=1 -h")
        done = subprocess.run(
            ["bash", "-c", f"set -e -o pipefail; WHAT={table}; {command}"],
            env={**os.environ, "PATH": f"{postgresql.BIN}:{os.environ['PATH']}"},
            cwd="/",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        undo = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
        assert undo.returncode == 0, undo.stderr
        assert "db_then" not in server.databases()

    take_over("public.orders", 0)
    assert server.sql("SELECT count(*) FROM orders", "shop") == "2"
    # with its keys, and it goes on counting where it was
    keys = (
        "SELECT string_agg(contype, '' ORDER BY contype) FROM pg_constraint"
        " WHERE conrelid = 'orders'::regclass AND contype <> 'n'"
    )
    assert server.sql(keys, "shop") == "fpu"
    assert server.sql("INSERT INTO orders (book) VALUES (3) RETURNING id", "shop") == "3"
    assert server.sql("SELECT string_agg(id::text, ',') FROM book", "shop") == "3,4"
    take_over("public.book", 1)
    assert server.sql("SELECT count(*) FROM book", "shop") == "4"
    assert server.sql("INSERT INTO book (words) VALUES ('next') RETURNING id", "shop") == "5"


def test_a_dropped_table_of_mariadb_comes_back(
    tmp_path: Path, make_mariadb: Callable[..., Any]
) -> None:
    server = make_mariadb()
    server.sql("CREATE DATABASE shop")
    server.sql(
        "CREATE TABLE book (id int PRIMARY KEY); INSERT INTO book VALUES (1);"
        "CREATE TABLE orders (id int PRIMARY KEY, book int DEFAULT 1, FOREIGN KEY (book) REFERENCES book (id));"
        "INSERT INTO orders (id) VALUES (1), (2);"
        "CREATE TRIGGER placed BEFORE INSERT ON orders FOR EACH ROW SET NEW.book = 1",
        "shop",
    )
    host = Host(tmp_path)
    host.job["sources"] = {"db": {"type": "mariadb", "database": "shop", "socket": server.socket}}
    host.configure()
    host.run()
    server.sql("DROP TABLE orders", "shop")

    page = beside(host, "orders")
    assert "initdb" not in page
    statements = re.findall(r"`((?:CREATE|INSERT) [^`]*)`", page)
    (client,) = re.findall(r"`(mariadb[^`]*)`", page)
    subprocess.run(
        ["sh", "-c", client], input="; ".join(statements), text=True, timeout=60, check=True
    )

    assert server.sql("SELECT count(*) FROM orders", "shop") == "2"
    keys, triggers = (server.sql(one) for one in re.findall(r"`(SHOW [^`]*)`", page))
    assert "FOREIGN KEY" in keys
    assert "placed" in triggers
