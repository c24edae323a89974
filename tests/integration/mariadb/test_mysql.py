"""What MySQL 9 has in a way of its own, on a real server: accounts, roles, JavaScript, whose programs do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import MissingDependency, SourceError
from lifeboat.model import SourceRecord, Workspace
from lifeboat.sources.mariadb.packing import Packer
from lifeboat.sources.mariadb.source import MySQL

from tests.lab.moved import for_everyone
from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import MYSQLD, Server, secret
from .test_mariadb_contract import fill
from .test_mariadb_managed import GIVEN

pytestmark = pytest.mark.skipif(not MYSQLD, reason="LIFEBOAT_TEST_MYSQLD names no mysqld")

# What 8.0 and 9 have, and MariaDB has not.
NEWER = """
CREATE TABLE newer (
  id int PRIMARY KEY, a int DEFAULT (1 + 2), j json DEFAULT (JSON_ARRAY()), c int INVISIBLE, v vector(3),
  g point SRID 4326, KEY ((a + 1)), KEY (a DESC), KEY ((CAST(j AS UNSIGNED ARRAY))), CHECK (a > 0) NOT ENFORCED);
INSERT INTO newer (id, c, v) VALUES (1, 7, STRING_TO_VECTOR('[1,2,3]'));
CREATE JSON RELATIONAL DUALITY VIEW document AS
  SELECT JSON_DUALITY_OBJECT(WITH (INSERT, UPDATE, DELETE) '_id': id, 'a': a) FROM newer;
"""
LIBRARY = """
DELIMITER //
CREATE LIBRARY `a library` LANGUAGE JAVASCRIPT AS
$$ export function f(n) { for (;;) { return 'it\\'s `so`' } } $$//
CREATE FUNCTION uses_it(n int) RETURNS int DETERMINISTIC LANGUAGE JAVASCRIPT USING (`a library` AS l)
AS $$ return l.f(n) $$//
"""
LIBRARIES = "SELECT LIBRARY_NAME FROM information_schema.LIBRARIES WHERE LIBRARY_SCHEMA = 'shop'"
ACCOUNTS = (
    "app@localhost",
    "'shop.role'@'%'",
    "reader@'%'",
    "dumper@localhost",
    "cloud@'127.0.0.1'",
)


@pytest.fixture
def shop(make_mysql: Callable[[], Server]) -> Iterator[Server]:
    server = make_mysql()
    fill(server)
    server.sql(NEWER, "shop")
    yield server
    for account in ACCOUNTS:
        server.sql(f"DROP USER IF EXISTS {account}")
    server.drop("shop", "crm", *[one for one in server.databases() if "_lb_" in one])


def by_mariadb(shop: Server) -> MySQL:
    """The source by the programs in PATH, which are MariaDB's."""
    return MySQL("db", database="shop", socket=shop.socket, user="root", restore_user="root")


def test_what_is_new_goes_and_comes_back(shop: Server, work: Workspace, tmp_path: Path) -> None:
    shop.sql(LIBRARY, "shop")
    before = shop.look("shop")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.totals["libraries"] == 1
    shop.sql(
        "DROP FUNCTION uses_it; DROP LIBRARY `a library`; DROP VIEW document; DROP TABLE newer",
        "shop",
    )
    changed = shop.look("shop")
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert shop.look("shop") == before
    source.back(swap)
    assert shop.look("shop") == changed
    source.swap(swap)
    source.discard(swap)
    assert shop.look("shop") == before
    assert shop.leftovers() == []


def test_an_account_made_by_site_yml_dumps_everything_over_the_network(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    """By caching_sha2_password, the only one that MySQL 9 has by default."""
    shop.sql(LIBRARY, "shop")
    admin = shop.source(user="dumper", password=secret())
    made = admin.prepare("nobody", dry_run=False)
    assert made[0] == "CREATE USER 'dumper'@'localhost' IDENTIFIED BY '***'"
    assert admin.prepare("nobody", dry_run=True) == []
    assert "caching_sha2_password" in shop.sql("SHOW CREATE USER dumper@localhost")
    taken = Taken(shop.over_tcp(tls="required"), work, tmp_path / "store")
    told = {"triggers": 3, "procedures": 1, "functions": 2, "events": 2, "views": 4, "libraries": 1}
    assert told.items() <= taken.record.totals.items()
    assert "grants" in taken.plains
    assert not {"INSERT", "ALL", "SUPER"} & set(
        shop.sql("SHOW GRANTS FOR dumper@localhost").split()
    )


def test_a_password_that_only_tls_may_carry_is_told(shop: Server) -> None:
    shop.source(user="dumper", password=secret()).prepare("nobody", dry_run=False)
    with pytest.raises(SourceError, match="secure connection") as told:
        shop.over_tcp(tls="disabled").check()
    assert "tls: required" in told.value.hint


@pytest.mark.parametrize("right", ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"])
def test_a_user_who_sees_a_part_is_refused(shop: Server, right: str) -> None:
    shop.source(user="dumper", password=secret()).prepare("nobody", dry_run=False)
    shop.sql(f"REVOKE {right} ON shop.* FROM dumper@localhost")
    with pytest.raises(SourceError, match=f"lacks {right}"):
        shop.over_tcp().check()


def test_rights_by_a_role_do(shop: Server, work: Workspace, tmp_path: Path) -> None:
    shop.sql(
        "CREATE ROLE 'shop.role'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO 'shop.role';"
        "GRANT SHOW_ROUTINE ON *.* TO 'shop.role'; GRANT SELECT ON mysql.* TO 'shop.role';"
        "CREATE USER dumper@localhost IDENTIFIED BY 'x' DEFAULT ROLE 'shop.role'"
    )
    taken = Taken(shop.over_tcp(password=secret("x")), work, tmp_path / "store")
    assert taken.record.totals["triggers"] == 3


def test_accounts_and_their_roles_come_back(shop: Server, work: Workspace, tmp_path: Path) -> None:
    shop.sql(
        "CREATE ROLE 'shop.role'; GRANT SELECT ON shop.* TO 'shop.role';"
        "GRANT ALLOW_NONEXISTENT_DEFINER, CONNECTION_ADMIN ON *.* TO 'shop.role';"
        "CREATE USER app@localhost IDENTIFIED BY 'it''s;' DEFAULT ROLE 'shop.role'"
        ' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2 ATTRIBUTE \'{"team": "a\\\\nb"}\';'
        "CREATE USER reader IDENTIFIED BY 'r'; GRANT SELECT (id) ON shop.loan TO reader;"
        "GRANT EXECUTE ON PROCEDURE shop.tidy TO reader WITH GRANT OPTION"
    )
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    asked = [f"SHOW {what} {one}" for one in ACCOUNTS[:3] for what in ("CREATE USER", "GRANTS FOR")]
    before = [shop.sql(one) for one in asked]
    shop.drop("shop")
    shop.sql(f"DROP USER {', '.join(ACCOUNTS[:3])}")
    swap = staged(source, taken, work)
    source.swap(swap)
    assert [shop.sql(one) for one in asked] == before
    login = shop.source(user="app", password=secret("it's;"), restore_user="root")
    assert login.ask("SELECT 1") == ["1"]
    source.discard(swap)


def test_an_unpacking_that_was_cut_off_is_gone_on_with(shop: Server) -> None:
    """MySQL's dump program writes nothing that drops a trigger before it is made."""
    before = shop.look("shop")
    with shop.source()._server.access(admin=True) as access:
        packer = Packer(access)
        packer.pack("shop")
        packer.feed("shop", [packer.text("shop")])  # all of it, and then the end
        assert packer.unpack("shop") == []
    assert shop.look("shop") == before


def test_mariadb_s_programs_are_refused_for_what_they_do_not_know(shop: Server) -> None:
    with pytest.raises(
        MissingDependency, match=r": column book\.next, column book\.twice$"
    ) as told:
        by_mariadb(shop).check()
    assert "programs_path" in told.value.hint
    shop.sql("ALTER TABLE book DROP twice, DROP next", "shop")
    assert by_mariadb(shop).check()["client"].startswith("MariaDB")
    shop.sql(LIBRARY, "shop")
    with pytest.raises(MissingDependency, match="library a library"):
        by_mariadb(shop).check()
    record: Any = SourceRecord("db", "mysql", "good", None, _FACTS, {}, "")  # type: ignore[arg-type]
    assert "library a library" in " ".join(by_mariadb(shop).target(record, None).refusals)


_FACTS = {"definers": [], "collations": [], "engines": [], "server_version": "9.7.4"}


def test_mysql_s_programs_are_refused_for_a_server_of_mariadb(server: Server, shop: Server) -> None:
    server.sql("CREATE DATABASE IF NOT EXISTS mixed")
    server.sql("CREATE OR REPLACE USER lone@localhost IDENTIFIED BY 'x'")
    server.sql("GRANT ALL ON *.* TO lone@localhost")
    lone = {"user": "lone", "password": secret("x"), "programs_path": shop.programs_path}
    with pytest.raises(SourceError, match="cannot be loaded") as told:
        server.source("mixed", **lone).check()
    assert "programs_path" in told.value.hint
    server.sql("DROP USER lone@localhost; DROP DATABASE mixed")


def test_an_administrator_without_super_restores(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    """As managed servers give: log_bin_trust_function_creators is theirs to set."""
    shop.sql(
        "SET GLOBAL log_bin_trust_function_creators = 1; CREATE DATABASE crm;"
        f"CREATE USER cloud@'127.0.0.1' IDENTIFIED BY 'w';"
        f"GRANT {GIVEN} ON *.* TO cloud@'127.0.0.1' WITH GRANT OPTION;"
        "GRANT SHOW_ROUTINE ON *.* TO cloud@'127.0.0.1';"
        "CREATE USER reader; GRANT SELECT ON crm.* TO reader"
    )
    shop.sql(
        "CREATE TABLE person (id int PRIMARY KEY); INSERT INTO person VALUES (1), (2);"
        "CREATE DEFINER=cloud@'127.0.0.1' TRIGGER `in use` BEFORE INSERT ON person"
        " FOR EACH ROW SET NEW.id = NEW.id;"
        "CREATE DEFINER=cloud@'127.0.0.1' FUNCTION f() RETURNS int DETERMINISTIC RETURN 1",
        "crm",
    )
    before = shop.look("crm")
    over = {"host": "127.0.0.1", "port": shop.port, "programs_path": shop.programs_path}
    source = MySQL("db", database="crm", user="cloud", password=secret("w"), **over)  # type: ignore[arg-type]
    taken = Taken(source, work, tmp_path / "store")
    shop.sql("DELETE FROM person; DROP TRIGGER `in use`", "crm")
    swap = staged(source, taken, work)
    source.swap(swap)
    assert shop.look("crm") == before
    source.discard(swap)
    shop.sql("SET GLOBAL log_bin_trust_function_creators = 0")
    told = " ".join(source.target(taken.record, None).refusals)
    assert "log_bin_trust_function_creators" in told


def test_a_drill_has_a_server_of_mysql(shop: Server, work: Workspace, tmp_path: Path) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    with for_everyone(shop.programs_path) as programs:
        source = shop.source(programs_path=programs)
        folder = Path(f"/tmp/lb-drill-{shop.port}")
        folder.mkdir()
        try:
            with source.arena(folder, taken.record) as arena:
                swap = staged(arena.source, taken, work)
                assert differences(arena.source, taken, swap, work) == []
        finally:
            shutil.rmtree(folder)
