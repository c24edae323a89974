"""The contract of sources, on a real server with hard content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.contracts.source_contract import SourceContract

from .conftest import MYSQLD, Server

HERE = Path(__file__).parent


def fill(server: Server, database: str = "shop") -> None:
    """A database with all that is hard about one, and accounts that have rights in it."""
    quoted = database.replace("`", "``")
    server.drop(database, *[one for one in server.databases() if "_lb_" in one])
    server.sql(f"CREATE DATABASE `{quoted}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    content = (HERE / "hard.sql").read_text().replace("SHOP", quoted)
    if not server.mysql:
        content += (HERE / "hard_mariadb.sql").read_text()
    server.sql(content, database)


def add_readers(server: Server) -> None:
    """Accounts, so many that 6000 bytes can be cut off their list."""
    server.sql(
        "".join(
            f"CREATE USER IF NOT EXISTS 'reader{n}'@'10.0.0.{n}' IDENTIFIED BY 'p;\\'{n}';"
            f"GRANT SELECT, INSERT ON `shop`.* TO 'reader{n}'@'10.0.0.{n}';"
            for n in range(30)
        )
    )


class TestMariaDB(SourceContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: Server) -> None:
        self.server = server

    def prepare(self, ground: Path) -> None:
        fill(self.server)
        add_readers(self.server)

    def make(self, ground: Path) -> Any:
        return self.server.source()

    def change(self, ground: Path) -> None:
        self.server.sql(
            "DELETE FROM loan; DROP VIEW a_a; DROP TRIGGER book_gone; DROP PROCEDURE tidy;"
            "CREATE TABLE later (id int); INSERT INTO later VALUES (1); INSERT INTO book (title) VALUES ('new');"
            "CREATE VIEW a_new AS SELECT * FROM later;"
            "ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_bin",
            "shop",
        )

    def destroy(self, ground: Path) -> None:
        self.server.drop("shop")

    def look(self, ground: Path) -> Any:
        return self.server.look("shop")

    def leftovers(self, ground: Path) -> list[str]:
        return self.server.leftovers()


@pytest.mark.skipif(not MYSQLD, reason="LIFEBOAT_TEST_MYSQLD names no mysqld")
class TestMySQL(TestMariaDB):
    @pytest.fixture(autouse=True)
    def _server(self, make_mysql: Callable[[], Server]) -> None:
        self.server = make_mysql()


class TestMySQLByMariaDB(TestMySQL):
    """By the programs of MariaDB, which is what a Debian host has."""

    def prepare(self, ground: Path) -> None:
        super().prepare(ground)
        self.server.sql("ALTER TABLE book DROP twice, DROP next", "shop")  # they are refused

    def make(self, ground: Path) -> Any:
        return self.server.source(programs_path="")
