# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of source has a test for every kind of bad input, or a reason why it needs none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lifeboat import registry

from tests.unit.contracts.bad_input import BAD_INPUT

TESTS = Path(__file__).resolve().parents[2]
AS = {"mysql": "mariadb", "valkey": "redis"}
OF_EVERY_KIND = ("unit/contracts/", "integration/kills/")
NAMED = {
    (name, path.relative_to(TESTS).as_posix())
    for path in TESTS.rglob("*.py")
    for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("wrong", sorted(BAD_INPUT))
@pytest.mark.parametrize("kind", sorted(registry.SOURCES))
def test_bad_input_is_tested_or_cannot_be(kind: str, wrong: str) -> None:
    row, own = BAD_INPUT[wrong], AS.get(kind, kind)
    proof = row.get(own) or row.get("*", "")
    assert proof, f"say in tests/unit/contracts/bad_input.py what proves it of {kind}"
    where = [path for name, path in NAMED if name == proof]
    assert proof.startswith("-- ") or [
        path for path in where if own in path or path.startswith(OF_EVERY_KIND)
    ], f"{proof} is no test of {kind}, but of {where}"


def test_no_kind_is_in_the_table_that_is_none() -> None:
    assert {kind for row in BAD_INPUT.values() for kind in row} - {"*"} <= set(registry.SOURCES)
