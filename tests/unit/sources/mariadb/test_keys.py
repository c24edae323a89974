# SPDX-License-Identifier: GPL-3.0-or-later
"""A foreign key that the server writes without quoting its names is found, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from lifeboat.errors import SourceError
from lifeboat.sources.mariadb import keys

RIGHT = "  CONSTRAINT `k``1` FOREIGN KEY (`a`, `pa``ge`) REFERENCES `pa``ge` (`b`, `i``d`),"


class Answers:
    """A server whose one table has one key, written so. Which server writes wrongly depends on its version."""

    def __init__(self, line: str) -> None:
        self.line = line

    def ask(self, statement: str) -> list[list[str]]:
        if statement.startswith("SHOW CREATE TABLE"):
            assert statement == "SHOW CREATE TABLE `shop`.`odd ``name`"
            return [["odd `name", f"CREATE TABLE `odd ``name` (\n{self.line}\n) ENGINE=InnoDB"]]
        return [["odd `name", "2", "k`1", "pa`ge", "i`d"]]


def refuse(line: str) -> None:
    answers: Any = Answers(line)
    keys.refuse(answers, "wiki", "shop")


@pytest.mark.parametrize(
    "right",
    [
        RIGHT,
        RIGHT.replace(", `pa``ge`", ", `PA``GE`").rstrip(",") + " ON DELETE CASCADE",
        RIGHT.replace("REFERENCES ", "REFERENCES `other`."),
    ],
)
def test_a_key_that_is_quoted_is_fine(right: str) -> None:
    refuse(right)


@pytest.mark.parametrize(
    ("quoted", "not_quoted"),
    [("`k``1`", "`k`1`"), (", `pa``ge`)", ", `pa`ge`)"), (", `i``d`)", ", `i`d`)")],
)
def test_a_name_of_a_key_that_is_not_quoted_is_refused(quoted: str, not_quoted: str) -> None:
    assert quoted in RIGHT
    with pytest.raises(SourceError, match=r"source wiki: .*'k`1' of table 'odd `name'"):
        refuse(RIGHT.replace(quoted, not_quoted))
