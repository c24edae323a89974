"""Every Molecule scenario says how long it may take, and together they stay affordable."""

from __future__ import annotations

from pathlib import Path

MOLECULE = Path(__file__).resolve().parents[3] / "molecule"
SCENARIOS = sorted(path.parent for path in MOLECULE.glob("*/molecule.yml"))
MINUTES_IN_ALL = 40


def minutes(scenario: Path) -> int:
    return int((scenario / "budget").read_text())


def runs(scenario: Path) -> int:
    listed = scenario / "suites"
    return len(listed.read_text().split()) if listed.exists() else 1


def test_every_scenario_has_a_budget() -> None:
    assert [scenario.name for scenario in SCENARIOS if minutes(scenario) < 1] == []


def test_the_budgets_of_one_run_sum_to_40_minutes_at_most() -> None:
    assert sum(minutes(scenario) * runs(scenario) for scenario in SCENARIOS) <= MINUTES_IN_ALL
