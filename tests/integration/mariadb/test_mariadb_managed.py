"""A managed server: over the network only, as an administrator without SUPER and without a shell there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.model import Workspace
from lifeboat.sources.mariadb.source import MariaDB

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import Server, secret

# What the administrator of a managed server is given (no SUPER, no FILE, no rights on mysql.*).
GIVEN = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER,"
    " SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW,"
    " CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)
WORD = "cloud: word'"


@pytest.fixture
def cloud(server: Server) -> Iterator[Server]:
    _clear(server)
    server.sql("CREATE DATABASE crm; CREATE DATABASE elsewhere")
    server.sql(
        f"CREATE USER cloud@'127.0.0.1' IDENTIFIED BY '{WORD.replace(chr(39), chr(39) * 2)}'"
    )
    server.sql(f"GRANT {GIVEN} ON *.* TO cloud@'127.0.0.1' WITH GRANT OPTION")
    server.sql(
        """CREATE TABLE person (id int PRIMARY KEY, name varchar(50));
        INSERT INTO person VALUES (1, 'Ada'), (2, 'Grace');
        CREATE DEFINER=cloud@'127.0.0.1' VIEW names AS SELECT name FROM person;
        CREATE DEFINER=cloud@'127.0.0.1' TRIGGER loud BEFORE INSERT ON person
          FOR EACH ROW SET NEW.name = UPPER(NEW.name);""",
        "crm",
    )
    yield server
    _clear(server)


def _clear(server: Server) -> None:
    server.drop("crm", "elsewhere", "crm2", *[one for one in server.databases() if "_lb_" in one])
    server.sql("DROP USER IF EXISTS cloud@'127.0.0.1'; DROP USER IF EXISTS owner@localhost")


def managed(server: Server, **options: object) -> MariaDB:
    chosen = {"host": "127.0.0.1", "port": server.port, "user": "cloud", "password": secret(WORD)}
    return MariaDB(
        "db", database="crm", programs_path=server.programs_path, **{**chosen, **options}
    )


def test_it_is_replaced_and_put_back(cloud: Server, work: Workspace, tmp_path: Path) -> None:
    source = managed(cloud)
    taken = Taken(source, work, tmp_path / "store")
    cloud.sql("DELETE FROM person WHERE id = 2", "crm")
    target = source.target(taken.record, None)
    assert target.refusals == ()
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert cloud.sql("SELECT GROUP_CONCAT(name ORDER BY id) FROM person", "crm") == "Ada,Grace"
    source.back(swap)
    assert cloud.sql("SELECT GROUP_CONCAT(name) FROM person", "crm") == "Ada"
    source.discard(swap)
    assert cloud.leftovers() == []


def test_it_comes_back_under_another_name(cloud: Server, work: Workspace, tmp_path: Path) -> None:
    source = managed(cloud)
    taken = Taken(source, work, tmp_path / "store")
    assert source.target(taken.record, "crm2").refusals == ()
    swap = staged(source, taken, work, "crm2")
    source.swap(swap)
    assert cloud.sql("SELECT COUNT(*) FROM person", "crm2") == "2"
    source.discard(swap)


def test_rights_in_one_database_alone_are_not_enough_and_it_is_said(
    cloud: Server, work: Workspace, tmp_path: Path
) -> None:
    taken = Taken(managed(cloud), work, tmp_path / "store")
    cloud.sql("REVOKE ALL, GRANT OPTION FROM cloud@'127.0.0.1'")
    cloud.sql("GRANT ALL ON crm.* TO cloud@'127.0.0.1'")
    refusals = " ".join(managed(cloud).target(taken.record, None).refusals)
    assert "the user cloud@127.0.0.1 lacks SELECT, INSERT" in refusals.replace("'", "")


def test_what_another_account_defines_is_refused_where_that_needs_more(
    cloud: Server, work: Workspace, tmp_path: Path
) -> None:
    """A DEFINER that is not ours needs SET USER, which a managed server may not give."""
    cloud.sql("CREATE USER owner@localhost; GRANT SELECT ON crm.* TO owner@localhost")
    cloud.sql("CREATE DEFINER=owner@localhost VIEW theirs AS SELECT 1 AS one", "crm")
    source = managed(cloud)
    taken = Taken(source, work, tmp_path / "store")
    refusals = " ".join(source.target(taken.record, None).refusals)
    assert "SET USER" in refusals
    assert "owner@localhost" in refusals.replace("'", "").replace("`", "")
