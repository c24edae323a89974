# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of some tables alone come beside, into a new database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

from .conftest import ME, Server
from .test_mariadb_contract import fill

ODD = 'or`der (\'s) "q"; é'


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Host:
    fill(server)
    made = Host(tmp_path)
    source = {"type": "mariadb", "database": "shop", "socket": server.socket, "user": ME}
    made.job["sources"] = {"db": source}
    made.configure()
    return made


def test_the_rows_of_some_tables_alone_come_beside(server: Server, host: Host) -> None:
    before = server.look("shop")
    id_ = host.run()

    done = host.restore(id_, "--into", "shop_some", "--path", "many", "--path", ODD)

    assert done.returncode == 0, done.stderr
    for table in ("many", ODD):
        rows = "SELECT * FROM `{}` ORDER BY 1".format(table.replace("`", "``"))
        assert server.sql(rows, "shop_some") == server.sql(rows, "shop") != ""
    tables = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}'"
    assert server.sql(tables.format("shop_some")) == server.sql(tables.format("shop"))
    assert server.sql("SELECT COUNT(*) FROM book", "shop") != "0"
    assert server.sql("SELECT COUNT(*) FROM book", "shop_some") == "0"
    assert server.look("shop") == before
    server.drop("shop_some")
    assert server.leftovers() == []


def test_what_cannot_be_is_told_and_leaves_nothing(server: Server, host: Host) -> None:
    id_ = host.run()
    before = server.databases()
    for words, told in (
        (("--path", "many"), "bring them beside with --into NAME"),
        (("--into", "shop_some", "--path", "mny"), "the backup has no table mny"),
        (("--into", "shop_some", "--path", "many", "--merge"), "--merge is for files"),
    ):
        done = host.restore(id_, *words)
        assert done.returncode != 0
        assert told in done.stdout + done.stderr
        assert server.databases() == before
