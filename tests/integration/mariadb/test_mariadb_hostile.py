"""What a user of the database, or an archive, says is SQL of that database, and never more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import Taken, staged

from .conftest import Server


@pytest.fixture
def shop(server: Server) -> Server:
    server.drop("shop", "pwned", *[one for one in server.databases() if "_lb_" in one])
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a TEXT);"
        "CREATE OR REPLACE USER app@localhost IDENTIFIED BY 'x'; GRANT ALL ON shop.* TO app@localhost"
    )
    return server


def rewrite(taken: Taken, part: str, old: bytes, new: bytes) -> None:
    content = taken.plains[part].path.read_bytes()
    assert old in content
    taken.plains[part].path.write_bytes(content.replace(old, new, 1))


def as_app(shop: Server, statement: bytes, character_set: str = "utf8mb4") -> None:
    """One statement, however many delimiters are in it."""
    words = ["--binary-mode", "--comments", "--password=x", "--database=shop"]
    argv = [*shop.argv("mariadb", "app"), *words, f"--default-character-set={character_set}"]
    subprocess.run(argv, input=b"DELIMITER ;;;\n" + statement + b"\n;;;\n", check=True)


def test_accounts_in_an_archive_start_no_shell(
    shop: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    shop.sql("DROP USER app@localhost")
    for sneaked in (b"\\! id > %s\n", b"system id > %s\n", b"DROP DATABASE shop;\n# %s\n"):
        made = b"CREATE USER IF NOT EXISTS `app`@`localhost`"
        rewrite(taken, "grants", made, sneaked % bytes(tmp_path / "pwned") + made)
        source = shop.source()
        source.discard(staged(source, taken, work))
        assert not (tmp_path / "pwned").exists()
    assert "shop" in shop.databases()
    assert "not only statements about accounts" in caplog.text
    assert shop.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'app'") == "0"


def test_names_of_accounts_start_no_shell_at_a_backup(
    shop: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    secret = "a'' \n\\\\! id > %s\n" % (tmp_path / "pwned")
    shop.sql(
        "CREATE OR REPLACE USER evil@localhost IDENTIFIED VIA unix_socket USING '%s';"
        "GRANT SELECT ON shop.* TO evil@localhost" % secret
    )
    taken = Taken(shop.source(), work, tmp_path / "store")
    shop.sql("DROP USER evil@localhost")
    assert shop.source().check_content(taken.plains, work) is None
    source = shop.source()
    source.discard(staged(source, taken, work))
    with shop.source()._server.access() as access:
        name = "x'\nsystem id > %s\n\\! id > %s\n#" % (tmp_path / "pwned", tmp_path / "pwned")
        with pytest.raises(SourceError):
            access.ask(["SELECT 1", f"SELECT '{name}"])
    assert not (tmp_path / "pwned").exists()


def test_an_archive_reads_no_file_of_this_host(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    (tmp_path / "shadow").write_text("root:hash\n")
    load = b"LOAD DATA LOCAL INFILE '%s' INTO TABLE t;\n" % bytes(tmp_path / "shadow")
    rewrite(taken, "database", b"UNLOCK TABLES;", load + b"UNLOCK TABLES;")
    with pytest.raises(SourceError):
        staged(shop.source(), taken, work)
    assert shop.leftovers() == []


def test_comments_of_routines_are_kept_by_a_restore_and_its_undo(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    as_app(shop, b"CREATE PROCEDURE p() BEGIN\n -- why\n /* a note */ # third\n SELECT 1; END")
    bodies = (
        "SELECT ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'"
    )
    before = shop.sql(bodies)
    assert "why" in before
    source = shop.source()
    swap = staged(source, Taken(source, work, tmp_path / "store"), work)
    source.swap(swap)
    assert shop.sql(bodies) == before
    source.back(swap)
    assert shop.sql(bodies) == before
    source.discard(swap)


def test_what_the_server_says_of_an_account_shows_no_hash(shop: Server) -> None:
    with shop.source()._server.access(admin=True) as access, pytest.raises(SourceError) as told:
        access.ask("CREATE USER `x`@`y` IDENTIFIED WITH 'caching_sha2_password' AS 0x24SECRET")
    assert "SECRET" not in f"{told.value} {told.value.detail} {told.value.__cause__}"
    assert "1064" in str(told.value)


SPLIT = b"SELECT '\xe8\\' -- ' ;; CREATE DATABASE pwned ;; -- \n"
# what the dump writes after a program stands in this one, as a string: nothing has changed back
PRETENDING = (
    b"SELECT ';;\nDELIMITER ;\n/*!50003 SET character_set_client = utf8mb4 */ ;\nDELIMITER ;;\n"
    b"', '\xe8\\', ' ;; CREATE DATABASE pwned ;; -- '"
)


@pytest.mark.parametrize(
    "statement",
    [
        b"CREATE PROCEDURE p() " + SPLIT,
        b"CREATE PROCEDURE p() " + PRETENDING,
        b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT '\xe8\\'",
        b"CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = '\xe8\\', @b = ' ;; DROP"
        b" DATABASE shop ;; -- '",
        b"CREATE VIEW v AS SELECT '\xe8\\' AS a, ' AS b; CREATE DATABASE pwned; -- ' AS c",
    ],
    ids=["procedure", "pretending", "event", "trigger", "view"],
)
def test_text_in_another_character_set_is_never_run(
    shop: Server, work: Workspace, tmp_path: Path, statement: bytes
) -> None:
    source = shop.source()
    sound = Taken(source, work, tmp_path / "sound")
    as_app(shop, statement, "sjis")
    before = shop.look("shop")
    taken = Taken(source, work, tmp_path / "store")
    assert [one for one in taken.warnings if "only by hand" in one]
    with pytest.raises(SourceError, match="take text in it for statements") as told:
        staged(source, taken, work)
    assert "utf8mb4" in told.value.hint
    swap = staged(source, sound, work)  # nor from the database that is replaced
    with pytest.raises(SourceError, match="take text in it for statements"):
        source.swap(swap)
    source.back(swap)
    source.discard(swap)
    assert "pwned" not in shop.databases()
    assert shop.look("shop") == before
    assert shop.leftovers() == []


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE TABLE `a\r\nb` (a int)", "table 'a"),
        ("CREATE TABLE `a\nDELIMITER ;;\nb` (a int)", "table 'a"),
        ("CREATE TABLE b (`a\nDELIMITER ;;\nb` int)", "a column of 'b'"),
        ("CREATE TABLE b (a int, KEY `a\nb` (a))", "an index of 'b'"),
        ("CREATE TABLE b (a int, CONSTRAINT `a\nb` CHECK (a > 0))", "a constraint of 'b'"),
        ("CREATE VIEW v AS SELECT 1 AS b FROM (SELECT 2 AS `a\nb`) c", "view 'v'"),
        ("CREATE PROCEDURE `a\nb`() SELECT 1", "routine 'a"),
    ],
)
def test_a_name_with_a_line_end_is_refused_at_a_backup_and_a_restore(
    shop: Server, work: Workspace, tmp_path: Path, made: str, named: str
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    as_app(shop, made.encode())
    with pytest.raises(SourceError) as told:
        shop.source().check()
    assert named in str(told.value)
    assert named in shop.source().target(taken.record, None).refusals[0]


def test_a_name_with_a_line_end_made_during_a_dump_is_an_error(
    shop: Server, work: Workspace
) -> None:
    with shop.source().open(work) as dump:
        stream = next(iter(dump.streams()))
        as_app(shop, b"CREATE TABLE `a\nb` (a int)")
        with pytest.raises(SourceError, match="line end"):
            stream.finish(0, "")


def test_a_foreign_key_that_the_server_does_not_quote_is_refused_and_no_other(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    """MariaDB 11.8 writes `k`1`, and 10.11 `k``1`: an archive with that cannot be read, or runs what is in it."""
    made = "CREATE TABLE `a``b` (`i``d` INT PRIMARY KEY, CONSTRAINT `k``1` FOREIGN KEY (`i``d`)"
    as_app(shop, f"{made} REFERENCES `a``b` (`i``d`))".encode())
    if "CONSTRAINT `k``1` FOREIGN KEY (`i``d`)" in shop.sql("SHOW CREATE TABLE shop.`a``b`"):
        taken = Taken(shop.source(), work, tmp_path / "store")
        staged(shop.source(), taken, work)
        return
    with pytest.raises(
        SourceError, match=r"does not quote a ` in the names of foreign keys.*'k`1'"
    ):
        shop.source().check()
    with shop.source().open(work) as dump, pytest.raises(SourceError, match="does not quote"):
        next(iter(dump.streams())).finish(0, "")


def test_an_event_that_the_dump_program_never_ends_with_is_refused(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    as_app(shop, b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 'a;;b'")
    with pytest.raises(SourceError, match="never ends with ;; in an event: e"):
        shop.source().check()
    assert "event e" in shop.source().target(taken.record, None).refusals[0]


def test_an_error_about_rows_shows_none_of_them_and_takes_none_for_an_error(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql("INSERT INTO shop.t VALUES ('ERROR 1049 (42000): Unknown database shop_lb SECRET')")
    taken = Taken(shop.source(), work, tmp_path / "store")
    rewrite(taken, "database", b"INSERT INTO `t` VALUES\n(", b"INSERT INTO `t` VALUES\n(1,")
    with pytest.raises(SourceError) as told:
        staged(shop.source(), taken, work)
    assert "(1136)" in str(told.value)
    assert "SECRET" not in f"{told.value} {told.value.detail} {told.value.__cause__}"


def test_a_row_that_the_server_does_not_take_is_told_with_what_to_do(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql(
        "CREATE TABLE shop.b (b longblob); INSERT INTO shop.b VALUES (REPEAT(0xFF00, 5000000))"
    )
    taken = Taken(shop.source(), work, tmp_path / "store")
    with pytest.raises(SourceError) as told:
        staged(shop.source(), taken, work)
    assert "max_allowed_packet" in told.value.hint
    assert "FF00FF00" not in told.value.detail
