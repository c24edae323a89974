"""What a role takes is said three times, in defaults, specs and README; it is the same each time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).resolve().parents[3] / "roles").iterdir())
pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def _options(role: Path) -> dict[str, dict[str, Any]]:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"]["main"]["options"]


def _defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8")) or {}


def _computed(value: Any) -> bool:
    """A template: the specs describe it in words, since their defaults are values of their type."""
    return isinstance(value, str) and "{{" in value


def test_every_default_is_an_option_and_has_its_value(role: Path) -> None:
    optional = {
        name: option["default"] for name, option in _options(role).items() if "default" in option
    }
    fixed = {name: value for name, value in _defaults(role).items() if not _computed(value)}
    assert optional == fixed


def test_an_option_without_a_default_is_required(role: Path) -> None:
    without = {name for name in _options(role) if name not in _defaults(role)}
    assert without == {name for name, option in _options(role).items() if option.get("required")}


def test_every_default_is_in_the_specs(role: Path) -> None:
    assert set(_defaults(role)) <= set(_options(role))


def test_every_option_begins_with_the_role_and_is_explained(role: Path) -> None:
    unexplained = {
        name
        for name, option in _options(role).items()
        if not option.get("description")
        or not option.get("type")
        or not name.startswith(role.name + "_")
    }
    assert unexplained == set()


def test_the_readme_lists_the_options_in_their_order(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(_options(role))
