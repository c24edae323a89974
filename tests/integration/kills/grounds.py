# SPDX-License-Identifier: GPL-3.0-or-later
"""What each kind of source protects in a campaign of kills: enough of it that a kill can hit a middle."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.integration.containers.conftest import Container, podman
from tests.integration.mariadb.conftest import ME
from tests.integration.mariadb.test_mariadb_contract import fill as fill_mariadb
from tests.integration.mongodb.conftest import tools
from tests.integration.mongodb.test_mongodb_contract import leftovers as mongodb_leftovers
from tests.integration.mongodb.test_mongodb_contract import look as mongodb_look
from tests.integration.postgresql.conftest import OS_USER
from tests.integration.redis.test_redis_contract import content as redis_content
from tests.integration.redis.test_redis_contract import fill as fill_redis


class Trees:
    def __init__(self, data: Path, merge: bool) -> None:
        self.merge = merge
        self.data = data
        self.tops = [data / name for name in ("one", "two", "three")]
        self.source = {"type": "files", "paths": [str(top) for top in self.tops]}

    def new(self) -> None:
        self._make(range(60), "new")

    def old(self) -> None:
        self._make(range(30, 90), "old")

    def _make(self, numbers: range, said: str) -> None:
        for top in self.tops:
            shutil.rmtree(top, ignore_errors=True)
            for number in numbers:
                path = top / f"folder {number % 7}" / f"file {number}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(said * number if number % 5 else "the same")
                os.utime(path, (1.6e9, 1.6e9))
            (top / "link").symlink_to(said)

    def look(self) -> Any:
        return sorted(
            (
                str(path.relative_to(self.data)),
                path.readlink() if path.is_symlink() else path.is_file() and path.read_text(),
            )
            for top in self.tops
            for path in top.rglob("*")
            if ".lifeboat-" not in str(path)  # what a merge keeps, until it is confirmed
        )

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.data.rglob("*lifeboat*")]


class SQLite:
    merge = False

    def __init__(self, data: Path) -> None:
        self.data, self.path = data, data / "app.db"
        self.source = {"type": "sqlite", "path": str(self.path)}

    def new(self) -> None:
        self._fill(20000, "new")

    def old(self) -> None:
        self._fill(15000, "old")

    def _fill(self, rows: int, said: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY, title)")
            connection.execute("DELETE FROM book")
            titles = [(f"{said} {number}",) for number in range(rows)]
            connection.executemany("INSERT INTO book (title) VALUES (?)", titles)
        connection.close()

    def look(self) -> Any:
        connection = sqlite3.connect(self.path)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return connection.execute("SELECT * FROM book ORDER BY id").fetchall()
        finally:
            connection.close()

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.data.rglob("*lifeboat*")]


NOTES = """
import json, pathlib, sys
home = pathlib.Path(sys.argv[0]).parent / "kept"
asked = sys.argv[1]
if asked == "dump":
    json.dump({path.name: path.read_text() for path in sorted(home.glob("*"))}, sys.stdout)
elif asked == "load":
    for name, text in json.load(sys.stdin).items():
        (home / name).write_text(text)
elif asked == "clear":
    for path in home.glob("*"):
        path.unlink()
elif asked == "count":
    json.dump({"kind": "shelf", "name": "n", "notes": len(list(home.glob("*")))}, sys.stdout)
"""


class Command:
    merge = False

    def __init__(self, data: Path) -> None:
        self.home = data / "kept"
        self.home.mkdir()
        program = data / "notes.py"
        program.write_text(NOTES)
        run = [sys.executable, str(program)]
        self.source = {
            "type": "command",
            **{what: [*run, what] for what in ("dump", "clear", "count")},
            "restore": [*run, "load"],
            "extension": "json",
        }

    def new(self) -> None:
        self._fill(range(400), "new")

    def old(self) -> None:
        self._fill(range(200, 500), "old")

    def _fill(self, numbers: range, said: str) -> None:
        shutil.rmtree(self.home)
        self.home.mkdir()
        for number in numbers:
            (self.home / f"note {number}").write_text(said)

    def look(self) -> Any:
        return {path.name: path.read_text() for path in sorted(self.home.glob("*"))}

    def leftovers(self) -> list[str]:
        return []


class Volume:
    """A named volume of podman, and a container that uses it and has to run again."""

    merge = False

    def __init__(self, name: str, user: Container) -> None:
        self.name, self.user = name, user
        self.source = {"type": "volume", "podman": name}

    @property
    def place(self) -> Path:
        return Path(podman("volume", "inspect", "-f", "{{.Mountpoint}}", self.name))

    def new(self) -> None:
        self._fill(range(300), "new")

    def old(self) -> None:
        self._fill(range(150, 400), "old")

    def _fill(self, numbers: range, said: str) -> None:
        place = self.place
        for entry in place.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for number in numbers:
            path = place / f"folder {number % 7}" / f"file {number}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(said * number)
            os.chown(path, number % 3 * 33, 33)

    def look(self) -> Any:
        within = self.user.run("sh", "-c", "cd /data; find . -type f -exec cksum {} + | sort")
        place = self.place
        return [
            f"runs: {self.user.running}",
            *within.splitlines(),
            *sorted(f"{path.relative_to(place)} {path.stat().st_uid}" for path in place.rglob("*")),
        ]

    def leftovers(self) -> list[str]:
        return [path.name for path in self.place.parent.iterdir() if path.name != "_data"]


class PostgreSQL:
    merge = False

    def __init__(self, server: Any) -> None:
        self.server = server
        self.source = {
            "type": "postgresql",
            "database": "shop",
            "host": str(server.folder),
            "port": server.port,
            **({} if OS_USER else {"user": "postgres"}),
        }

    def new(self) -> None:
        self._fill(5000, "new")

    def old(self) -> None:
        self._fill(4000, "old")

    def _fill(self, rows: int, said: str) -> None:
        server = self.server
        server.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        server.sql("CREATE DATABASE shop")
        server.sql(
            "CREATE TABLE author (id serial PRIMARY KEY, name text);"
            f"INSERT INTO author (name) SELECT '{said} ' || n FROM generate_series(1, {rows}) n;"
            "CREATE TABLE book (id bigint PRIMARY KEY, by int REFERENCES author);"
            f"INSERT INTO book SELECT n, n FROM generate_series(1, {rows}) n;"
            "CREATE VIEW titles AS SELECT * FROM book;"
            f"SELECT lo_from_bytea(4711, convert_to(repeat('{said}', 1000), 'utf8'));",
            "shop",
        )

    def look(self) -> Any:
        asked = (
            "SELECT md5(string_agg(a::text, ',' ORDER BY id)), count(*) FROM author a;"
            "SELECT md5(string_agg(b::text, ',' ORDER BY id)), count(*) FROM titles b;"
            "SELECT last_value FROM author_id_seq; SELECT md5(lo_get(4711));"
        )
        return self.server.sql(asked, "shop")

    def leftovers(self) -> list[str]:
        return sorted(set(self.server.databases()) - {"postgres", "shop"})


class MariaDB:
    merge = False

    def __init__(self, server: Any) -> None:
        self.server = server
        self.source = {"type": "mariadb", "database": "shop", "socket": server.socket, "user": ME}

    def new(self) -> None:
        fill_mariadb(self.server)

    def old(self) -> None:
        fill_mariadb(self.server)
        self.server.sql(
            "DELETE FROM loan; DROP VIEW a_a; DROP TRIGGER book_gone; DROP PROCEDURE tidy;"
            "CREATE TABLE later (id int); INSERT INTO later VALUES (1);"
            "CREATE VIEW a_new AS SELECT * FROM later;"
            "ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_bin",
            "shop",
        )

    def look(self) -> Any:
        return self.server.look("shop")

    def leftovers(self) -> list[str]:
        found: list[str] = self.server.leftovers()
        return found


class MongoDB:
    merge = False

    def __init__(self, server: Any) -> None:
        self.server = server
        self.source = {
            "type": "mongodb",
            "databases": ["shop"],
            "port": server.port,
            "programs_path": tools(),
        }

    def new(self) -> None:
        self._fill(500, ("book", "author", "loan", "since"), "new")

    def old(self) -> None:
        self._fill(300, ("book", "author", "later"), "old")

    def _fill(self, rows: int, collections: tuple[str, ...], said: str) -> None:
        with self.server.client() as client:
            client.drop_database("shop")
            for name in collections:
                documents = [{"_id": number, "said": f"{said} {number}"} for number in range(rows)]
                client.shop[name].insert_many(documents)
                client.shop[name].create_index("said")

    def look(self) -> Any:
        return mongodb_look(self.server, "shop")

    def leftovers(self) -> list[str]:
        return mongodb_leftovers(self.server, "shop")


class Redis:
    merge = False

    def __init__(self, server: Any) -> None:
        self.server = server
        self.source = {"type": server.product, "socket": server.socket}

    def new(self) -> None:
        self.server.cli("FLUSHALL")
        fill_redis(self.server)
        self.server.cli("DEBUG", "POPULATE", "20000")
        self.server.cli("EXPIREAT", "session", "4102444800")

    def old(self) -> None:
        self.new()
        self.server.pour(("SET", "since", "1"), ("DEL", "list"), ("SET", "number", "0"))
        self.server.pour(("FLUSHDB",), database=15)

    def look(self) -> Any:
        return redis_content(self.server)

    def leftovers(self) -> list[str]:
        role = self.server.cli("INFO", "replication").split("\r\n")[1]
        marks = self.server.cli("KEYS", "lifeboat*").split("\n")
        return [one for one in marks if one] + [role] * (role != "role:master")


class Bucket:
    merge = False

    def __init__(self, place: Any, config: Path) -> None:
        self.place = place
        key = config / "credentials" / "docs_s3"
        key.parent.mkdir(mode=0o700, exist_ok=True)
        used = place.key
        secret = {"access_key_id": used["access_key"], "secret_access_key": used["secret_key"]}
        key.write_text(json.dumps(secret))
        key.chmod(0o600)
        self.source = {
            "type": "s3_bucket",
            "endpoint": place.endpoint,
            "region": "us-east-1",
            "bucket": place.bucket,
            "credential": "docs_s3",
        }

    def new(self) -> None:
        self._fill(range(40), b"new")

    def old(self) -> None:
        self._fill(range(20, 60), b"old")

    def _fill(self, numbers: range, said: bytes) -> None:
        self.place.remove(*self.place.keys())
        for number in numbers:
            self.place.put(f"né {number % 3}/{number}", said * number, Metadata={"n": str(number)})

    def look(self) -> Any:
        return self.place.look()

    def leftovers(self) -> list[str]:
        listed = self.place.owner.list_multipart_uploads(Bucket=self.place.bucket)
        return [upload["Key"] for upload in listed.get("Uploads", [])]
