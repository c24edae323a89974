# SPDX-License-Identifier: GPL-3.0-or-later
"""The README names what there is, all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lifeboat.registry import DESTINATIONS, SOURCES
from lifeboat.version import VERSION

from tests.unit.docs import markdown
from tests.unit.docs.markdown import README, ROOT

ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
TEXT = README.read_text(encoding="utf-8")


def module_row(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    documented = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', source, re.MULTILINE | re.DOTALL)
    assert documented, path
    return [f"`{path.stem}`", yaml.safe_load(documented.group(1))["short_description"]]


def role_row(role: Path) -> list[str]:
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    name = f"roles/{role.name}/README.md"
    return [f"[`{role.name}`]({name})", spec["argument_specs"]["main"]["short_description"]]


def plain(cell: str) -> str:
    """Markup of Ansible's documentation as Markdown has it."""
    return re.sub(r"[A-Z]\(([^)]*)\)", r"`\1`", cell)


def as_table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


@pytest.mark.parametrize(
    ("heading", "rows"),
    [
        ("Modules", [module_row(path) for path in sorted(ROOT.glob("plugins/modules/[a-z]*.py"))]),
        ("Roles", [role_row(role) for role in ROLES]),
    ],
)
def test_a_table_says_what_the_documentation_says(heading: str, rows: list[list[str]]) -> None:
    expected = [[plain(cell) for cell in row] for row in rows]
    assert markdown.tables(README)[heading] == expected, "it should be\n" + as_table(expected)


def test_playbooks_and_kinds_are_those_there_are() -> None:
    section = TEXT.split("## What there is")[1].split("###")[0]
    playbooks = {path.stem for path in ROOT.glob("playbooks/*.yml")}
    assert set(re.findall(r"lifeboat\.backup\.(\w+)", section)) == playbooks
    told = section.split("Sources:")[1].split("On each")[0]
    sources, destinations = told.split("Destinations:")
    assert set(re.findall(r"`(\w+)`", sources)) == set(SOURCES)
    assert set(re.findall(r"`(\w+)`", destinations)) == set(DESTINATIONS)


def test_what_is_not_yet_there_is_not_there_yet() -> None:
    later = TEXT.split("## Not yet")[1].split("## ")[0].lower().split("not there:")[1]
    assert {*SOURCES, *DESTINATIONS} & set(re.findall(r"\w+", later)) == set()


def test_the_tarball_is_called_as_it_is_built() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    tarball = "{namespace}-{name}-{version}.tar.gz".format(**galaxy)
    assert set(re.findall(r"lifeboat-backup-[\d.]+\.tar\.gz", TEXT)) == {tarball}
    assert galaxy["version"] == VERSION


def test_supported_systems_are_those_that_the_roles_and_tests_name() -> None:
    rows = {cells[0]: cells for cells in markdown.tables(README)["Supported"]}
    named = set(re.findall(r"\((\w+)\)", rows["hosts, whole system"][1]))
    assert named == platforms()
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    wanted = re.findall(r"\d+\.\d+", runtime["requires_ansible"])[0]
    assert rows["controller"][1].startswith(f"ansible-core {wanted} ")
    assert all(re.match(r"\d{4}-\d\d-\d\d|not yet$", cells[2]) for cells in rows.values())


def platforms() -> set[str]:
    found: set[str] = set()
    for role in ROLES:
        meta: Any = yaml.safe_load((role / "meta/main.yml").read_text(encoding="utf-8"))
        for platform in meta["galaxy_info"]["platforms"]:
            found.update(platform["versions"])
    return found
