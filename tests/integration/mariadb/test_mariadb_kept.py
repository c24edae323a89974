"""What hangs on a database, and a dump does not hold, is there after a restore and after its undo."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace
from lifeboat.sources.mariadb.packing import Packer
from lifeboat.sources.mariadb.swap import Mover
from lifeboat.throwaway import server_user

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import Server


@pytest.fixture
def shop(server: Server) -> Server:
    server.drop("shop", *[one for one in server.databases() if "_lb_" in one])
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a int); INSERT INTO shop.t VALUES (0);"
        "CREATE OR REPLACE USER app@localhost"
    )
    return server


def test_rights_in_single_routines_survive_a_restore_and_its_undo(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql(
        "CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION `f x`() RETURNS int RETURN 1;"
        "GRANT EXECUTE ON PROCEDURE p TO app@localhost;"
        "GRANT EXECUTE, ALTER ROUTINE ON FUNCTION `f x` TO app@localhost WITH GRANT OPTION",
        "shop",
    )
    rights = "SHOW GRANTS FOR app@localhost"
    before = sorted(shop.sql(rights).split("\n"))
    assert len(before) == 3
    source = shop.source()
    swap = staged(source, Taken(source, work, tmp_path / "store"), work)
    source.swap(swap)
    assert sorted(shop.sql(rights).split("\n")) == before
    source.back(swap)
    assert sorted(shop.sql(rights).split("\n")) == before
    source.discard(swap)


def test_an_event_whose_time_has_passed_is_no_difference(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql(
        "CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 1 DAY DO SELECT 1;"
        "CREATE EVENT ends ON SCHEDULE EVERY 1 DAY ENDS NOW() + INTERVAL 2 DAY DO SELECT 1;"
        "CREATE EVENT kept ON SCHEDULE AT NOW() + INTERVAL 1 DAY ON COMPLETION PRESERVE DO SELECT 1;"
        "CREATE EVENT ever ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
        "shop",
    )
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    assert "not compared at a restore, for they end: the events ends, once" in taken.warnings
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.discard(swap)
    year = int(time.strftime("%Y"))
    dump = taken.plains["database"].path
    dump.write_bytes(
        dump.read_bytes()
        .replace(b"'%d-" % year, b"'2020-")
        .replace(b"'%d-" % (year + 1), b"'2020-")
    )
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    events = (
        "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = 'shop' ORDER BY 1"
    )
    assert shop.sql(events).split("\n") == ["ever\tDISABLED", "kept\tDISABLED"]
    source.back(swap)
    assert shop.sql(events).count("ENABLED") == 3
    source.discard(swap)


def test_events_run_where_they_are_at_home_alone(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql("CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO UPDATE t SET a = a + 1", "shop")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    seen, pack = [], Packer.pack

    def packing(packer: Packer, database: str, *awake: set[bytes]) -> None:
        seen.append(
            shop.sql(
                "SELECT STATUS FROM information_schema.EVENTS"
                f" WHERE EVENT_SCHEMA = '{database}' AND EVENT_SCHEMA <> 'shop'"
            )
        )
        pack(packer, database, *awake)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Packer, "pack", packing)
        swap = staged(source, taken, work)
    assert seen == ["DISABLED"]
    source.swap(swap)
    events = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'shop'"
    assert shop.sql(events) == "ENABLED"
    source.discard(swap)


def test_an_undo_that_is_refused_a_trigger_can_be_done_again(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", "shop")
    source = shop.source()
    swap = staged(source, Taken(source, work, tmp_path / "store"), work)
    source.swap(swap)
    shop.sql("SET GLOBAL lock_wait_timeout = 1")
    rename, holds = Mover._rename, []

    def renaming(mover: Mover, moves: list[tuple[str, str]]) -> None:
        rename(mover, moves)
        argv = [*shop.argv("mariadb"), "--unbuffered", "--database=shop"]
        holds.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        holds[0].stdin.write(b"BEGIN; SELECT * FROM t;\n")
        holds[0].stdin.flush()
        assert holds[0].stdout.readline() == b"a\n", holds[0].poll()

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Mover, "_rename", renaming)
            with pytest.raises(SourceError, match="1205"):
                source.back(swap)
    finally:
        shop.sql("SET GLOBAL lock_wait_timeout = 86400")
        for hold in holds:
            hold.kill()
            hold.communicate()
    source.back(swap)
    assert shop.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS") == "tr"
    source.discard(swap)


def test_accounts_that_a_restore_made_go_with_it_and_stay_with_what_is_in_place(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    """A restore may be taken back after all was loaded: a comparison that fails, a kill."""
    shop.sql("GRANT ALL ON shop.* TO app@localhost WITH GRANT OPTION")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    shop.sql("DROP USER app@localhost")
    made = "SELECT COUNT(*) FROM mysql.user WHERE User = 'app'"
    swap = staged(source, taken, work)
    assert shop.sql(made) == "1"
    source.back(swap)
    source.discard(swap)
    assert shop.sql(made) == "0"
    swap = staged(source, taken, work)
    source.swap(swap)
    source.discard(swap)
    source.discard(swap)  # as when a confirm was killed
    assert shop.sql(made) == "1"
    shop.sql("DROP USER app@localhost")


def test_a_failed_restore_leaves_no_accounts(shop: Server, work: Workspace, tmp_path: Path) -> None:
    shop.sql("GRANT ALL ON shop.* TO app@localhost WITH GRANT OPTION")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    shop.sql("DROP USER app@localhost")
    dump = taken.plains["database"].path
    dump.write_bytes(dump.read_bytes().replace(b"UNLOCK", b"XUNLOCK"))
    with pytest.raises(SourceError):
        staged(source, taken, work)
    assert shop.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'app'") == "0"


def test_a_view_whose_definer_is_gone_comes_back(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    """Of such a one, and of no other, the server writes its own database before the columns."""
    shop.sql(
        "CREATE TABLE `x.``y` (`c.d` int); CREATE OR REPLACE USER gone@localhost;"
        "GRANT ALL ON *.* TO gone@localhost; CREATE DEFINER = gone@localhost VIEW v AS"
        " SELECT t.a, '`shop`.`t`.`a`' AS b, q.`c.d` FROM t JOIN `x.``y` q"
        " WHERE t.a IN (SELECT `c.d` FROM `x.``y`); DROP USER gone@localhost",
        "shop",
    )
    shown = "SHOW CREATE VIEW shop.v"
    before = shop.sql(shown)
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    assert b"`shop`.`t`.`a`" in taken.plains["database"].path.read_bytes()
    for lost in (False, True):
        if lost:
            shop.drop("shop")
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert shop.sql(shown) == before
        if not lost:
            source.back(swap)
            assert shop.sql(shown) == before
        source.discard(swap)


@pytest.mark.parametrize(
    "broken", ["DROP USER gone@localhost", "REVOKE ALL ON *.* FROM gone@localhost"]
)
def test_views_over_a_view_that_is_broken_come_back(
    shop: Server, work: Workspace, tmp_path: Path, broken: str
) -> None:
    """The server makes none over such a one; the dump has them by their names."""
    made = "CREATE DEFINER = gone@localhost VIEW"
    shop.sql(
        "CREATE OR REPLACE USER gone@localhost; GRANT ALL ON *.* TO gone@localhost;"
        f"{made} mid AS SELECT a AS n FROM t; {made} `o``dd` AS SELECT n FROM mid;"
        "CREATE VIEW above AS SELECT x.n, y.a FROM t y JOIN `o``dd` x;"
        "CREATE VIEW zenith AS SELECT n FROM above UNION SELECT n FROM mid;"
        f"CREATE VIEW mid_is_here AS SELECT ' from `zenith`' AS `mid` FROM t; {broken}",
        "shop",
    )
    names = ("above", "mid", "mid_is_here", "`o``dd`", "zenith")
    shown = ";".join(f"SHOW CREATE VIEW shop.{one}" for one in names)
    before = shop.sql(shown)
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    for lost in (False, True):
        if lost:
            shop.drop("shop")
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert shop.sql(shown) == before
        if not lost:
            assert source.back(swap) is None
            assert shop.sql(shown) == before
        source.discard(swap)


OTHER_MODES = r"""
CREATE VIEW few AS SELECT a FROM t WHERE a < 10 WITH CASCADED CHECK OPTION;
CREATE ALGORITHM = TEMPTABLE SQL SECURITY INVOKER VIEW a_over AS SELECT a, (SELECT MAX(a) FROM few) FROM few;
CREATE VIEW fewer AS SELECT a FROM few WHERE a > 0 WITH LOCAL CHECK OPTION;
SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES';
DELIMITER //
CREATE PROCEDURE "p"() BEGIN SELECT 'C:\'; SELECT "a" FROM "t" -- ;
; END//
CREATE TRIGGER "r" BEFORE INSERT ON "t" FOR EACH ROW SET @last = '\'//
CREATE VIEW "v" AS SELECT 'a\' AS "q`x", "a" FROM "few"//
CREATE EVENT "e" ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DISABLE DO SELECT '\'//
SET sql_mode = 'ORACLE'//
CREATE PACKAGE pk AS FUNCTION f(a INT) RETURN INT; END//
CREATE PACKAGE BODY pk AS FUNCTION f(a INT) RETURN INT AS BEGIN RETURN a * 2; END; END//
CREATE FUNCTION f(a VARCHAR2(10)) RETURN VARCHAR2(10) AS BEGIN RETURN a || 'x'; END//
"""


def test_programs_of_other_modes_and_packages_come_back(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    if shop.mysql:
        pytest.skip("only MariaDB has packages")
    shop.sql(OTHER_MODES, "shop")
    before = shop.look("shop")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.totals["package_bodies"] == 1
    for lost in (False, True):
        if lost:
            shop.drop("shop")
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        assert shop.look("shop") == before
        if not lost:
            assert source.back(swap) is None
            assert shop.look("shop") == before
        source.discard(swap)


def test_a_table_numbered_by_a_sequence_comes_back_with_its_rows(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    if shop.mysql:
        pytest.skip("only MariaDB has sequences")
    shop.sql(
        "CREATE SEQUENCE s START 5; CREATE TABLE n (id int DEFAULT NEXTVAL(s), a int);"
        "INSERT INTO n (a) VALUES (1), (2)",
        "shop",
    )
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    shop.sql("DELETE FROM shop.n")
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    source.discard(swap)
    assert shop.sql("SELECT id FROM shop.n ORDER BY id").split() == ["5", "6"]
    assert int(shop.sql("INSERT INTO shop.n (a) VALUES (3); SELECT MAX(id) FROM shop.n")) > 6


def test_rows_that_are_older_than_their_check_come_back(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    if shop.mysql:
        pytest.skip("MySQL looks at the rows whenever a CHECK is enforced")
    shop.sql(
        "SET check_constraint_checks = 0; ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)",
        "shop",
    )
    source = shop.source()
    swap = staged(source, Taken(source, work, tmp_path / "store"), work)
    source.swap(swap)
    assert shop.sql("SELECT a FROM shop.t") == "0"
    refused = [*shop.argv("mariadb"), "-e", "INSERT INTO shop.t VALUES (-1)"]
    assert b"positive" in subprocess.run(refused, capture_output=True).stderr
    source.discard(swap)


def test_what_everybody_may_and_accounts_with_a_blank_come_back(
    shop: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    if shop.mysql:
        pytest.skip("only MariaDB gives rights to PUBLIC")
    shop.sql(
        "GRANT SELECT ON shop.* TO PUBLIC; GRANT INSERT ON shop.t TO PUBLIC;"
        "CREATE OR REPLACE USER `a b`@localhost IDENTIFIED BY 'x' REQUIRE SSL;"
        "GRANT ALL ON shop.* TO `a b`@localhost"
    )
    shown = (
        "SHOW GRANTS FOR PUBLIC; SHOW GRANTS FOR `a b`@localhost; SHOW CREATE USER `a b`@localhost"
    )
    before = shop.sql(shown)
    gone = (
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM PUBLIC; DROP USER IF EXISTS `a b`@localhost;"
        "DELETE FROM mysql.global_priv WHERE User = 'PUBLIC'; FLUSH PRIVILEGES"
    )
    try:
        source = shop.source()
        taken = Taken(source, work, tmp_path / "store")
        grants = taken.plains["grants"].path.read_text()
        assert [one for one in grants.split("\n") if "IDENTIFIED" in one and "`a b`" in one] == [
            one for one in grants.split("\n") if one.startswith("CREATE USER") and "`a b`" in one
        ]
        shop.sql(gone)
        swap = staged(source, taken, work)
        source.swap(swap)
        assert shop.sql(shown) == before
        assert "not made" not in caplog.text
        source.back(swap)
        source.discard(swap)
        assert "PUBLIC" not in shop.sql("SHOW GRANTS FOR PUBLIC")
        assert shop.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'a b'") == "0"
    finally:
        shop.sql(gone)


def test_a_drill_leaves_the_temporary_tables_of_other_servers_alone(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    source = shop.source()
    taken = Taken(source, work, tmp_path / "store")
    folder = Path(tempfile.mkdtemp(prefix="lb-my-", dir="/tmp"))
    theirs = Path(tempfile.gettempdir(), f"#sql-temptable-{folder.name}.MAI")
    theirs.write_bytes(b"of a query that runs")
    if server_user():
        shutil.chown(theirs, server_user())
    try:
        with source.arena(folder, taken.record) as arena:
            staged(arena.source, taken, work)
            assert theirs.exists()
    finally:
        theirs.unlink(missing_ok=True)
        shutil.rmtree(folder)
