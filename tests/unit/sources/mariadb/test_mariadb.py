"""What is read out of a dump of MariaDB or MySQL, and what is asked of which program; without a server."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifeboat.errors import SourceError
from lifeboat.sources.mariadb import accounts, facts
from lifeboat.sources.mariadb.dump import complain
from lifeboat.sources.mariadb.programs import FLAVOURS, MARIADB, MYSQL, Programs, flavour_of
from lifeboat.sources.mariadb.server import literal, option_file
from lifeboat.sources.mariadb.stream import Found, Moved, Scanner
from lifeboat.sources.mariadb.swap import fitting

TRIGGER = b"""/*!50032 DROP TRIGGER IF EXISTS `added` */;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 %s BEGIN
  INSERT INTO `book` VALUES
(1);
-- DELIMITER ;
END */;;
DELIMITER ;
"""
# As mysqldump of MySQL 8.0 writes it: all rows of a statement on one line, sets on their own lines.
MYSQL_DUMP = rb"""-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
--
DROP TABLE IF EXISTS `book`;
CREATE TABLE `book` (
  `id` int NOT NULL
) ENGINE=InnoDB;
LOCK TABLES `book` WRITE;
/*!40000 ALTER TABLE `book` DISABLE KEYS */;
INSERT INTO `book` VALUES (1,'a),(\'\\'),(2,'(;',NULL),(3,_binary 'x',0x28);
INSERT INTO `book` (`id`, `a (b`) VALUES (4,'\\\\'),(5,'\'');
/*!40000 ALTER TABLE `book` ENABLE KEYS */;
UNLOCK TABLES;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER `t``u v` AFTER INSERT ON `book` FOR EACH ROW BEGIN
  INSERT INTO `book` VALUES
(9);
END */;;
DELIMITER ;
DROP TABLE IF EXISTS `v`;
/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50003 DROP PROCEDURE IF EXISTS `p``q` */;
DELIMITER ;;
CREATE DEFINER=`root`@`localhost` PROCEDURE `p``q`()
BEGIN
LOCK TABLES `book` WRITE;
INSERT INTO `book` VALUES (9);
DROP TABLE IF EXISTS `made`;
END ;;
DELIMITER ;
/*!50106 DROP EVENT IF EXISTS `e1` */;
DELIMITER ;;
/*!50106 CREATE*/ /*!50106 EVENT `e1` DO select 1 */ ;;
/*!50106 DROP EVENT IF EXISTS `e2` */;;
DELIMITER ;;
/*!50106 CREATE*/ /*!50106 EVENT `e2` DO select 1 */ ;;
DELIMITER ;
"""
MARIADB_ROWS = rb"""DROP TABLE IF EXISTS `book`;
LOCK TABLES `book` WRITE;
INSERT INTO `book` VALUES
(1,'a),('),
(2,'(');
INSERT INTO `book` VALUES
(3,';');
UNLOCK TABLES;
DROP TABLE IF EXISTS `more`;
LOCK TABLES `more` WRITE;
INSERT INTO `more` (`id`, `a (
b`) VALUES (1,2),
(3,4);
UNLOCK TABLES;
"""


def scan(dump: bytes, size: int = 1 << 20) -> Found:
    scanner = Scanner()
    for at in range(0, len(dump), size):
        scanner(dump[at : at + size])
    return scanner.close()


def moved(dump: bytes, size: int = 1 << 20) -> bytes:
    mover = Moved()
    return b"".join(mover(dump[at : at + size]) for at in range(0, len(dump), size)) + mover.close()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1 << 20])
def test_rows_and_objects_of_mysql_are_counted_however_the_blocks_fall(size: int) -> None:
    found = scan(MYSQL_DUMP, size)
    assert found.rows == {"book": 5}
    programs = {("procedure", "p`q"), ("event", "e1"), ("event", "e2"), ("trigger", "t`u v")}
    assert found.others == {("view", "v"), *programs}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1 << 20])
def test_rows_on_lines_of_their_own_are_counted_however_the_blocks_fall(size: int) -> None:
    assert scan(MARIADB_ROWS, size).rows == {"book": 3, "more": 2}


@given(st.lists(st.text("'\\(),;\n\0ab"), min_size=1, max_size=6), st.integers(1, 40))
def test_no_value_is_taken_for_a_row(values: list[str], size: int) -> None:
    escaped = [
        one.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
        for one in values
    ]
    for first, between in ((" ", ","), ("\n", ",\n")):
        rows = between.join(f"({n},'{one}')" for n, one in enumerate(escaped))
        dump = f"DROP TABLE IF EXISTS `t`;\nLOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES{first}{rows};\n"
        assert scan(dump.encode(), size).rows == {"t": len(values)}


def test_what_a_user_may_not_see_is_noticed() -> None:
    told = b"-- insufficient privileges to SHOW CREATE PROCEDURE `pay`\n"
    assert scan(b"/*!50003 DROP PROCEDURE IF EXISTS `pay` */;\n" + told).lacking != []


def view(name: str, text: str) -> str:
    return (
        f"--\n-- Final view structure for view `{name}`\n--\n\n/*!50001 DROP VIEW IF EXISTS `{name}`*/;\n"
        "/*!50001 CREATE ALGORITHM=MERGE */\n/*!50013 DEFINER=`a`@`b` SQL SECURITY INVOKER */\n"
        f"/*!50001 VIEW `{name}` AS {text} */;\n"
        "/*!50001 SET collation_connection      = @saved_col_connection */;\n\n"
    )


@pytest.mark.parametrize("size", [1, 7, 63, 1 << 20])
def test_a_view_is_made_first_by_who_restores_and_last_by_its_definer(size: int) -> None:
    told = "INSERT INTO `t` VALUES ('-- Final view structure for view `b`');\n"
    program = "DELIMITER ;;\nx\n-- Final view structure for view `b`\n;;\nDELIMITER ;\n"
    a, b, c = (
        view("a", "select 1 AS `b` from (`t` join `c`)"),
        view("b", "select 1 from `a`"),
        view("c", "select ' from `c`'"),
    )
    end = "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n\n-- Dump completed\n"
    out = moved((told + program + a + b + c + end).encode(), size).decode()
    made = re.findall(r"CREATE ALGORITHM=MERGE \*/\n/\*!50013 (DEFINER)?.*\n.* VIEW `(\w)`", out)
    assert made == [
        *[("", one) for one in "cab"],
        *[("DEFINER", one) for one in "bac"],
    ]
    assert out.startswith(told + program)
    assert out.endswith(end)
    alone = (told + program + c + end).encode()
    assert moved(alone, size) == alone
    cut = (told + program + a + b)[:-20].encode()
    assert moved(cut, size) == cut


def unlocked(dump: bytes) -> bytes:
    """As tables go on: one may need a sequence, which a lock on it alone forbids. Routines keep theirs."""
    return re.sub(rb"(?m)(?<!BEGIN\n)^LOCK TABLES .*$", b"", dump)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("typed", "bare"),
    [
        (b"TRIGGER shop.added BEFORE INSERT ON shop.book FOR EACH ROW", None),
        (b"trigger `shop`.`added`  before\ninsert on `sh``op` . `book` for each row", None),
        (b'TRIGGER /* x */ shop . added -- y\n AFTER DELETE ON\n"shop"."book" FOR EACH ROW', None),
        (b"TRIGGER IF NOT EXISTS added BEFORE UPDATE ON book FOR EACH ROW", b""),
    ],
)
def test_triggers_lose_the_name_of_their_database(
    typed: bytes, bare: bytes | None, size: int
) -> None:
    dump = MARIADB_ROWS + TRIGGER % typed + MYSQL_DUMP
    out = moved(dump, size)
    if bare is not None:
        assert out == unlocked(dump)
    assert b"shop" not in out.replace(b"`sh``op`", b"shop")
    assert out.endswith(unlocked(MYSQL_DUMP))
    assert out.startswith(unlocked(MARIADB_ROWS))
    assert b"(1);\n-- DELIMITER ;\nEND */;;\nDELIMITER ;\n" in out


@pytest.mark.parametrize("size", [1, 7, 30, 1 << 20])
def test_columns_of_views_lose_the_name_of_their_database(size: int) -> None:
    head = b"-- Host: localhost    Database: sh`op\n"
    rows = b"INSERT INTO `t` VALUES\n('x'),\n('/*!50001 VIEW `v` `sh``op`.`t`.`a`');\n"
    view = b"/*!50001 VIEW `v` AS select %s`t`.`a` AS `a`,'\\'`sh``op`.`t`.`a`',`b`.`t`.`a` from `t` */;\n"
    out = moved(head + rows + view % b"`sh``op`." + MARIADB_ROWS, size)
    assert out == head + rows + view % b"" + unlocked(MARIADB_ROWS)


def test_routines_use_the_libraries_that_come_with_them() -> None:
    made = b"\nDELIMITER ;;\nCREATE LIBRARY `a b`\n    LANGUAGE JAVASCRIPT\nAS $$ x $$ ;;\nDELIMITER ;\n"
    uses = b"\nDELIMITER ;;\nCREATE FUNCTION `f`() RETURNS int\n    USING (%s)\nAS $$ y $$ ;;\nDELIMITER ;\n"
    told = uses % b"`shop`.`a b` AS `l`, `else`.`where` AS `m`"
    assert moved(made + told, 7) == made + uses % b"`a b` AS `l`, `else`.`where` AS `m`"


def test_a_trigger_that_cannot_be_read_is_told_and_never_run() -> None:
    odd = MARIADB_ROWS + TRIGGER % b"TRIGGER ? BEFORE"
    assert scan(odd).odd_triggers == ["added"]
    with pytest.raises(SourceError, match="beginning cannot be read"):
        moved(odd)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_is_no_trigger_passes_unchanged(content: bytes, size: int) -> None:
    assert moved(content, size) == content


@pytest.mark.parametrize(
    ("tail", "whole"),
    [
        (b"\n-- Dump completed\n", True),
        (b"\n-- Dump completed on 2026-11-21  2:00:00\n", True),
        (b"\n-- Dump completed", False),
        (b"UNLOCK TABLES;\n", False),
    ],
)
def test_a_dump_is_whole_when_its_last_line_is_there(tail: bytes, whole: bool) -> None:
    for head in (
        b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19",
        b"-- MySQL dump 10.13  Distrib 8.0.36",
        b"/*!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19",
    ):
        assert (complain(head, tail, 9000) == "") == whole
    assert "does not begin" in complain(b"PGDMP", tail, 9000)
    assert "nothing" in complain(b"", b"", 0)


def test_differences_between_the_families_are_told_to_their_programs() -> None:
    mysql = Programs(MYSQL, "mysql", "mysqldump", "8.0.36")
    mariadb = Programs(MARIADB, "mariadb", "mariadb-dump", "10.11.19")
    assert mysql.dump_words(MYSQL, (8, 0)) == ("--set-gtid-purged=OFF",)
    assert "--column-statistics=0" in mysql.dump_words(MYSQL, (5, 7))
    dropped = ("--add-drop-trigger",)  # MySQL's writes their names without quotes
    assert mariadb.dump_words(MYSQL, (8, 0)) == mariadb.dump_words(MARIADB, (10, 11)) == dropped
    assert flavour_of("10.11.19-MariaDB-0+deb12u1") == MARIADB
    assert flavour_of("8.0.36") == MYSQL
    assert FLAVOURS[MYSQL].tls["verify"] == ("--ssl-mode=VERIFY_IDENTITY",)


@pytest.mark.parametrize(
    ("pattern", "name", "covers"),
    [
        (r"my\_shop", "my_shop", True),
        (r"my\_shop", "myxshop", False),
        ("my_shop", "myxshop", True),
        ("sh%", "shop", True),
        ("shop", "shop2", False),
    ],
)
def test_a_grant_on_a_pattern_covers_what_it_matches(pattern: str, name: str, covers: bool) -> None:
    assert ("SELECT" in facts.covering({(pattern, "*"): {"SELECT"}}, name)) == covers


def test_a_right_in_a_table_is_none_in_the_database() -> None:
    assert facts.covering({("shop", "book"): {"SELECT"}}, "shop") == set()


def test_an_option_file_keeps_every_password() -> None:
    assert option_file('a"b\\c#d;e') == '[client]\npassword="a\\"b\\\\c#d;e"\n'
    with pytest.raises(SourceError, match="line end"):
        option_file("a\nb")


def test_a_literal_is_free_of_quotes() -> None:
    assert literal("a'b\\") == "CONVERT(0x6127625c USING utf8mb4)"
    assert literal("") == "''"


def test_accounts_are_found_again_in_their_archive() -> None:
    text = (
        b"-- x\n\n-- account a@b\nCREATE USER `a`@`b`;\nGRANT 1;\n\n-- account r@\nCREATE ROLE r;\n"
    )
    read = accounts.read(io.BytesIO(text + b"\n-- accounts completed\n"))
    assert read == {"a@b": ["CREATE USER `a`@`b`", "GRANT 1"], "r@": ["CREATE ROLE r"]}


def test_a_side_has_a_name_that_fits_and_is_its_own() -> None:
    assert fitting("shop", "t0k", "new") == "shop_lb_t0k_new"
    one, other = fitting("n" * 63 + "a", "t0k", "old"), fitting("n" * 63 + "b", "t0k", "old")
    assert len(one) == 64
    assert one != other
