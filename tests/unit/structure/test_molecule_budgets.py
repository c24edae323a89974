"""Every Molecule scenario says how long it may take, and together they stay affordable."""

from __future__ import annotations

import re
from pathlib import Path

MOLECULE = Path(__file__).resolve().parents[3] / "molecule"
SCENARIOS = sorted(path.parent for path in MOLECULE.glob("*/molecule.yml"))
MINUTES_IN_ALL = 45
STAGES = (MOLECULE.parent / "scripts" / "stages.py").read_text()


def of_stages(name: str) -> int:
    """A number that the stage knows: how many run side by side, and by what their minutes are multiplied."""
    said = re.search(rf'^{name} = "?(\d+)"?', STAGES, re.MULTILINE)
    assert said, name
    return int(said[1])


def minutes(scenario: Path) -> int:
    return int((scenario / "budget").read_text())


def runs(scenario: Path) -> int:
    listed = scenario / "suites"
    return len(listed.read_text().split()) if listed.exists() else 1


def test_every_scenario_has_a_budget() -> None:
    assert [scenario.name for scenario in SCENARIOS if minutes(scenario) < 1] == []


def test_the_budgets_of_one_run_end_within_45_minutes() -> None:
    in_all = sum(minutes(scenario) * runs(scenario) for scenario in SCENARIOS)
    assert in_all * of_stages("PATIENCE") / of_stages("TOGETHER") <= MINUTES_IN_ALL
