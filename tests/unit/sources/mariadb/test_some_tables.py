# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a dump the rows of some tables alone are loaded; all else of it comes through, byte for byte."""

from __future__ import annotations

import pytest
from lifeboat.sources.mariadb.tables import rows_of

HEAD = b"-- MariaDB dump 10.19\n\nDROP TABLE IF EXISTS `%s`;\nCREATE TABLE `%s` (\n  `id` int\n);\n"
ROWS = b"INSERT INTO `x` VALUES\n(1,'LOCK TABLES `a` WRITE;'),\n(2,'UNLOCK TABLES;\\n');\n"


def table(name: bytes, rows: bytes) -> bytes:
    held = b"LOCK TABLES `%s` WRITE;\n%sUNLOCK TABLES;\n"
    return HEAD.replace(b"%s", name) + held % (name, rows)


TRIGGER = b"""DELIMITER ;;
CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN /*
LOCK TABLES `b` WRITE;
INSERT INTO `b` VALUES (1);
UNLOCK TABLES;
*/ END ;;
DELIMITER ;
"""
TAIL = b"\n-- Dump completed on 2026-11-21  2:00:00\n"


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_rows_of_others_are_left_out_and_nothing_else(size: int) -> None:
    large = b"INSERT INTO `x` VALUES (" + b"9" * 5000 + b");\n"
    parts = [b"a", b"b", b"odd``one", b"empty"]
    rows = {b"a": ROWS, b"b": ROWS + large, b"odd``one": large, b"empty": b""}
    dump = b"".join(table(name, rows[name]) + TRIGGER for name in parts) + TAIL
    wanted = b"".join(
        table(name, rows[name] if name in (b"a", b"odd``one") else b"") + TRIGGER for name in parts
    )
    blocks = (dump[at : at + size] for at in range(0, len(dump), size))
    assert b"".join(rows_of(blocks, ["a", "odd`one"])) == wanted + TAIL
