# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/design.md says what the code does, where that can be compared; decisions are numbered and listed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from lifeboat import gate, retention, sweeping, trend
from lifeboat.operations.restore import journal, settle
from lifeboat.paths import Paths, paths
from lifeboat.stored import Copy
from lifeboat.units import human_duration

from tests.unit.docs import markdown
from tests.unit.docs.markdown import DESIGN, ROOT

DECISIONS = sorted((ROOT / "docs/adr").glob("*.md"))
ENGINE = ROOT / "plugins/module_utils/engine"
HOME = {"HOME": "~"}


def test_the_layers_are_those_of_the_engine() -> None:
    docstring = ast.get_docstring(ast.parse((ENGINE / "__init__.py").read_text())) or ""
    rows = re.findall(r"^    .+$", docstring, re.MULTILINE)
    assert any(
        [row.strip() for row in block.text.splitlines()] == [row.strip() for row in rows]
        for block in markdown.blocks(DESIGN)
    ), "\n".join(rows)


def test_the_paths_are_those_of_the_engine() -> None:
    names = [name for name in Paths.__dataclass_fields__ if name != "scope"]
    here = [paths("system"), paths("user", None, HOME), paths("user", "ROOT", HOME)]
    expected = [[name, *(f"`{getattr(scope, name)}`" for scope in here)] for name in names]
    assert [cells[:4] for cells in markdown.tables(DESIGN)["Paths"]] == expected


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("Retention", human_duration(retention.STALE_AFTER)),
        ("Retention", human_duration(sweeping.PRUNED_FOR)),
        ("Retention", human_duration(retention._UNPROVED_FOR)),
        ("Retention", human_duration(sweeping.ORPHAN_AFTER)),
        ("Good", f"{trend.WINDOW} good runs"),
        ("Good", f"{trend.FEWEST} "),
        ("Restore", human_duration(settle.KEPT_FOR)),
        ("The gate", gate.PHRASE),
        ("The gate", f"{gate.PAUSE_S} s"),
    ],
)
def test_the_numbers_are_those_of_the_code(heading: str, told: str) -> None:
    text = _section(heading)
    spoken = {"2d": "48 h", "1d": "24 h", "7d": "7 days"}.get(told, told)
    assert spoken in text


def test_every_step_of_the_journal_is_analysed() -> None:
    steps = {"staging", "stopping", "swapping", "returning"}
    steps |= {"swapped", "undoing", "undone", "discarding"}
    assert steps >= set(journal.OPEN)
    written = {cells[1].strip("`") for cells in markdown.tables(DESIGN)["What a crash leaves"]}
    assert steps <= written


def test_every_state_of_a_copy_is_in_the_glossary() -> None:
    states = set(re.findall(r'"([a-z]+)"', _source_of(Copy.state)))
    states -= {"intact", "drilled", "bad", "partial"}
    words = markdown.tables(DESIGN)["Glossary"]
    told = next(cells[1] for cells in words if cells[0] == "copy")
    assert [state for state in states if state not in told] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=markdown.name)
def test_a_decision_is_one_page_with_its_four_parts(path: Path) -> None:
    assert markdown.headings(path)[1:] == ["Context", "Decision", "Consequences"]
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {int(path.name[:4])}\. [A-Z].+\n\nStatus: (accepted|replaced)", text)
    assert len(text.splitlines()) <= 60


def test_every_decision_is_listed_in_the_design() -> None:
    assert [path.name for path in DECISIONS if f"adr/{path.name}" not in DESIGN.read_text()] == []


def _section(heading: str) -> str:
    text = DESIGN.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found.group(1)


def _source_of(method: object) -> str:
    import inspect

    assert isinstance(method, property)
    assert method.fget is not None
    return inspect.getsource(method.fget)
