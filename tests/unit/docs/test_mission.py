# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/mission.md has every line that was asked for, and its proofs are tests that are really run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.docs import markdown
from tests.unit.docs.markdown import ROOT

PAGE = ROOT / "docs/mission.md"
ASKED = {"bookstack": "BS", "b11": "PG", "medisecure": "MS", "nightscan": "NS", "bolibana": "DJ"}
LINES = {"BS": 11, "PG": 8, "MS": 8, "NS": 11, "DJ": 8}
CITED = re.compile(r"`([^`]+\.py)::(?:(\w+)::)?(\w+)`( \(nightly\))?")


@dataclass(frozen=True)
class Line:
    deployment: str
    id: str
    what: str
    where: str
    proved: str

    @property
    def proofs(self) -> list[tuple[str, str, str, bool]]:
        """Path, class if any, name, and whether the page says that only a nightly run takes it."""
        return [(path, of, name, bool(late)) for path, of, name, late in CITED.findall(self.proved)]

    @property
    def missing(self) -> str:
        return self.proved.partition("not yet:")[2].strip()


def lines() -> Iterator[Line]:
    for deployment, rows in markdown.tables(PAGE).items():
        for row in rows:
            yield Line(deployment, *row)


@pytest.fixture(params=list(lines()), ids=lambda line: line.id)
def line(request: pytest.FixtureRequest) -> Line:
    return request.param


def test_every_line_that_was_asked_for_is_there_once() -> None:
    for deployment, letters in ASKED.items():
        found = [line.id for line in lines() if line.deployment == deployment]
        assert found == [f"{letters}{number}" for number in range(1, LINES[letters] + 1)]
    assert {line.deployment for line in lines()} == set(ASKED)


def test_a_line_says_what_where_and_by_what(line: Line) -> None:
    assert line.what
    paths = re.findall(r"`([^`]+)`", line.where)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert line.proofs or line.missing


def test_nothing_but_proofs_and_what_is_missing_stands_in_the_last_cell(line: Line) -> None:
    left = CITED.sub("", line.proved.partition("not yet:")[0])
    assert left.strip(" ,;") == ""
    assert "not yet:" not in line.proved or line.missing


def test_a_proof_is_a_test_that_is_run_and_at_night_only_where_that_is_said(line: Line) -> None:
    for path, of, name, said_nightly in line.proofs:
        found = [one for one in promises_in(ROOT / path, of) if one.name == name]
        assert found, f"{path} has no test {name}"
        assert is_run(path), f"nothing runs {path}"
        nightly = all(one.nightly for one in found) or not is_run_by_day(path)
        assert said_nightly == nightly, f"{path}::{name} is {'' if nightly else 'not '}nightly"


def test_no_line_is_left_without_a_proof() -> None:
    assert {line.id: line.missing for line in lines() if line.missing} == {}


@dataclass(frozen=True)
class Test:
    __test__ = False

    name: str
    nightly: bool


def promises_in(path: Path, of: str = "") -> list[Test]:
    """The tests of a file; with `of`, those of that class, also inherited ones."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = any(isinstance(one, ast.Assign) and is_mark(one) and is_late(one) for one in tree.body)
    if not of:
        return list(_tests(tree.body, late))
    made = next(
        (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == of), None
    )
    assert made, f"{path} has no class {of}"
    inherited = [
        test
        for base in map(ast.unparse, made.bases)
        for test in (
            promises_in(contract_of(tree, base), base) if base.endswith("Contract") else []
        )
    ]
    return [*_tests([made], late), *(Test(one.name, late or one.nightly) for one in inherited)]


def contract_of(tree: ast.Module, base: str) -> Path:
    """The file that a class is imported from."""
    for one in tree.body:
        if isinstance(one, ast.ImportFrom) and base in [name.name for name in one.names]:
            return (ROOT / str(one.module).replace(".", "/")).with_suffix(".py")
    raise AssertionError(f"where is {base} from?")


def is_mark(node: ast.Assign) -> bool:
    return "pytestmark" in ast.unparse(node.targets[0])


def _tests(body: list[ast.stmt], late: bool) -> Iterator[Test]:
    for one in body:
        if isinstance(one, ast.ClassDef):
            yield from _tests(one.body, late or any(map(is_late, one.decorator_list)))
        elif isinstance(one, ast.FunctionDef) and one.name.startswith("test_"):
            yield Test(one.name, late or any(map(is_late, one.decorator_list)))


def is_late(node: ast.AST) -> bool:
    said = ast.unparse(node)
    return "mark.nightly" in said or "LIFEBOAT_NIGHTLY" in said


def is_run(path: str) -> bool:
    """scripts/stages.py gives these folders to pytest, and every scenario to scripts/molecule."""
    if not re.search(r"/test_\w+\.py$", path):
        return False
    if path.startswith(("tests/unit/", "tests/integration/")):
        return True
    found = re.fullmatch(r"molecule/(\w+)/(story|tests)/\w+\.py", path)
    return bool(found) and (ROOT / "molecule" / found.group(1) / "molecule.yml").exists()


def is_run_by_day(path: str) -> bool:
    """A scenario whose file `suites` names none is for the night."""
    suites = ROOT / "molecule" / path.split("/")[1] / "suites"
    return (
        not path.startswith("molecule/") or not suites.exists() or bool(suites.read_text().strip())
    )
