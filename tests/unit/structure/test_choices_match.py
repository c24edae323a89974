# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be chosen is listed in several places, for different readers: they say the same."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lifeboat.backup.plugins.module_utils import arguments
from lifeboat import gate, paths, registry
from lifeboat.configuring import encryption, keeping
from lifeboat.operations.upkeep import verify

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "plugins" / "module_utils" / "engine"
PLUGINS = "ansible_collections.lifeboat.backup.plugins"
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
FRAGMENTS = sorted(
    path.stem for path in ROOT.glob("plugins/doc_fragments/*.py") if path.stem != "attributes"
)
FAMILIES = dict(inspect.getmembers(arguments, inspect.isfunction))


def documented(fragment: str) -> dict[str, Any]:
    loaded = importlib.import_module(f"{PLUGINS}.doc_fragments.{fragment}")
    options: dict[str, Any] = yaml.safe_load(loaded.ModuleDocFragment.DOCUMENTATION)["options"]
    return options


def module_documentation(name: str) -> dict[str, Any]:
    loaded = importlib.import_module(f"{PLUGINS}.modules.{name}")
    documentation: dict[str, Any] = yaml.safe_load(loaded.DOCUMENTATION)
    return documentation


def as_spec(option: dict[str, Any]) -> dict[str, Any]:
    """A documented option as an argument spec has it."""
    spec = {
        key: option[key]
        for key in ("type", "elements", "required", "default", "choices")
        if key in option
    }
    if "suboptions" in option:
        spec["options"] = {key: as_spec(one) for key, one in option["suboptions"].items()}
    return spec


def without_secrecy(spec: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in spec.items() if key != "no_log"}
    if "options" in told:
        told["options"] = {key: without_secrecy(one) for key, one in told["options"].items()}
    return told


def listed(text: str) -> set[str]:
    """The kinds in "The types are V(files), V(sqlite).\""""
    found = re.search(r"The types are (.*?)\.", text)
    assert found
    return set(re.findall(r"V\((\w+)\)", found.group(1)))


def test_each_family_of_options_has_its_fragment() -> None:
    assert sorted(FAMILIES) == FRAGMENTS


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_documents_the_options_as_they_are(name: str) -> None:
    told = {key: as_spec(option) for key, option in documented(name).items()}
    assert told == {key: without_secrecy(spec) for key, spec in FAMILIES[name]().items()}


@pytest.mark.parametrize(
    ("fragment", "option", "kinds"),
    [
        ("database", "sources", registry.SOURCES),
        ("destination", "destination", registry.DESTINATIONS),
    ],
)
def test_documented_kinds_are_those_of_the_registry(
    fragment: str, option: str, kinds: dict[str, Any]
) -> None:
    assert listed(" ".join(documented(fragment)[option]["description"])) == set(kinds)


@pytest.mark.parametrize(
    "kinds", [registry.SOURCES, registry.DESTINATIONS], ids=["sources", "destinations"]
)
def test_a_kind_is_registered_under_its_name(kinds: dict[str, Any]) -> None:
    assert {name: kind.kind for name, kind in kinds.items()} == {name: name for name in kinds}


@pytest.mark.parametrize(
    "name",
    [
        path.relative_to(ENGINE).with_suffix("").as_posix()
        for kinds in ("sources", "destinations")
        for path in ENGINE.glob(f"{kinds}/**/*.py")
        if path.stem != "__init__"
    ],
)
def test_every_adapter_with_a_kind_is_registered(name: str) -> None:
    loaded = importlib.import_module("lifeboat." + name.replace("/", "."))
    kinds = registry.SOURCES if name.startswith("sources") else registry.DESTINATIONS
    adapters = [
        one
        for _name, one in inspect.getmembers(loaded, inspect.isclass)
        if one.__module__ == loaded.__name__ and hasattr(one, "kind") and hasattr(one, "options")
    ]
    assert [one for one in adapters if one not in kinds.values()] == []


def test_scopes_match() -> None:
    assert arguments.scope()["scope"]["choices"] == list(paths.SCOPES)


def test_rules_of_retention_match() -> None:
    assert list(arguments.retention()["keep"]["options"]) == [one.name for one in keeping.KEEP]


def test_options_of_encryption_match() -> None:
    given = arguments.encryption()
    assert list(given["encryption"]["options"]) == [one.name for one in encryption.ENCRYPTION]
    told = {key: spec["default"] for key, spec in given["compression"]["options"].items()}
    assert told == {one.name: one.default for one in encryption.COMPRESSION}


def test_environments_match() -> None:
    environment = module_documentation("db_dump")["options"]["environment"]
    assert environment["choices"] == list(gate.ENVIRONMENTS)


def test_levels_of_verification_match() -> None:
    level = module_documentation("verify_archive")["options"]["level"]
    assert level["choices"] == list(verify.LEVELS)


def test_the_action_group_has_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["action_groups"]["all"] == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_how_it_behaves(name: str) -> None:
    documentation = module_documentation(name)
    assert "lifeboat.backup.attributes" in documentation["extends_documentation_fragment"]
    assert {"check_mode", "diff_mode"} <= set(documentation["attributes"])
    assert documentation["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_thin(name: str) -> None:
    """About 40 lines of code after the documentation; what takes more belongs into the engine."""
    source = (ROOT / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8")
    code = source.split('RETURN = r"""')[1].split('"""\n', 1)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 60
