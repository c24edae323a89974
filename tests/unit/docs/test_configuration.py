# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the configuration have every key that the engine takes, with its values and default, no other."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from lifeboat import config, units
from lifeboat.configuring import adapters, around, drills, encryption, jobs, keeping, notify
from lifeboat.errors import LifeboatError
from lifeboat.model import Option, Secret
from lifeboat.policy import Keep
from lifeboat.registry import DESTINATIONS, SOURCES

from tests.unit.docs import markdown
from tests.unit.docs.markdown import CONFIGURATION, README, ROOT

PAGES = (CONFIGURATION, markdown.SOURCES, markdown.DESTINATIONS)

KINDS = {
    "text": "text",
    "integer": "number",
    "boolean": "true or false",
    "texts": "list of texts",
    "size": "size",
    "duration": "duration",
    "secret": "secret",
    "mapping": "mapping",
    "variables": "variables",
}
TABLES = {
    "The file on the host": config.TOP,
    "runbook": config.RUNBOOK,
    "A job": jobs.JOB,
    "restore": around.RESTORE,
    "health checks": around.HEALTH,
    "schedules": keeping.SCHEDULE,
    "keep": keeping.KEEP,
    "encryption": encryption.ENCRYPTION,
    "signing": jobs.SIGNING,
    "compression": encryption.COMPRESSION,
    "objectives": jobs.OBJECTIVES,
    "repository": jobs.REPOSITORY,
    "drill": drills.DRILL,
    "drills": drills.DRILLS,
    "notify": notify.NOTIFY,
    "A source": adapters.SOURCE,
    "placement": adapters.PLACEMENT,
    "A destination": adapters.DESTINATION,
    **{f"Source {kind}": made.options for kind, made in SOURCES.items()},
    **{f"Destination {kind}": made.options for kind, made in DESTINATIONS.items()},
}

WRITTEN = {heading: rows for page in PAGES for heading, rows in markdown.tables(page).items()}


def row(option: Option) -> list[str]:
    """The first three cells of an option's row."""
    values = KINDS[option.kind]
    if option.choices:
        values = ", ".join(f"`{one}`" for one in option.choices)
    if option.required:
        return [f"`{option.name}`", values, "required"]
    default = option.default
    if isinstance(default, timedelta):
        default = units.human_duration(default).replace(" ", "")
    if isinstance(default, bool):
        default = str(default).lower()
    return [f"`{option.name}`", values, "" if default in (None, "", (), {}) else f"`{default}`"]


@pytest.mark.parametrize("heading", TABLES)
def test_a_table_has_the_keys_that_the_engine_takes(heading: str) -> None:
    written = [cells[:3] for cells in WRITTEN[heading]]
    assert written == [row(option) for option in TABLES[heading]]


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_explained(heading: str) -> None:
    assert [cells for cells in WRITTEN[heading] if not cells[3]] == []


def test_every_kind_has_its_section_and_no_other_has() -> None:
    sections = {one for page in PAGES for one in markdown.headings(page) if " " in one}
    written = {one for one in sections if one.startswith(("Source ", "Destination "))}
    assert written == {one for one in TABLES if one.startswith(("Source ", "Destination "))}


def test_keep_without_minimum_keeps_one() -> None:
    assert Keep().minimum == 1
    assert "at least 1" in WRITTEN["keep"][-1][3]


def test_every_variable_that_the_roles_read_is_in_the_table() -> None:
    read: set[str] = set()
    for path in [*ROOT.glob("roles/*/defaults/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]:
        text = re.sub(r"^ *#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        read.update(re.findall(r"(?<![\w.])lifeboat_[a-z]+(?:_[a-z]+)*", text))
    written = {cells[0].strip("`") for cells in WRITTEN["Variables"]}
    assert written == read


@pytest.mark.parametrize("page", markdown.PAGES, ids=markdown.name)
def test_files_are_looked_up_beside_the_inventory(page: Path) -> None:
    """A name alone would be looked for beside the playbook, which lies in the collection."""
    named = re.findall(r"lookup\('(?:ansible\.builtin\.)?file', '([^']*)'", page.read_text())
    assert [one for one in named if not one.startswith("/")] == []


EXAMPLES = [
    pytest.param(block.text, id=f"{markdown.name(page)}: {block.heading} {place}")
    for page in (README, *PAGES)
    for place, block in enumerate(markdown.blocks(page, "yaml"))
    if "lifeboat_jobs" in block.text
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_inventory_is_one_that_the_engine_takes(text: str) -> None:
    variables = yaml.safe_load(text)
    named: set[str] = set()

    def secret(name: str) -> Secret:
        named.add(name)
        return Secret.of("")

    made = config.parse(as_the_role_writes_it(variables), secret)

    assert made.jobs
    assert named <= set(variables.get("lifeboat_credentials", {}))
    for job in made.jobs.values():
        assert job.schedules


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_an_example_with_a_mistake_would_be_seen() -> None:
    broken = {"lifeboat_jobs": {"shop": {"sourcs": {}}}, "lifeboat_destinations": {}}
    with pytest.raises(LifeboatError, match="did you mean sources"):
        config.parse(as_the_role_writes_it(broken), lambda name: Secret.of(name))


def as_the_role_writes_it(variables: dict[str, Any]) -> dict[str, Any]:
    """roles/backup_agent/vars/main.yml, __backup_agent_configuration; `lifeboat_jobs_x` are merged."""
    merged: dict[str, Any] = {"version": 1, "host": "db1"}
    for variable, value in variables.items():
        found = re.fullmatch(r"lifeboat_(jobs|destinations|credentials)(_.+)?", variable)
        if found:
            merged.setdefault(found.group(1), {}).update(value)
        else:
            merged[variable.removeprefix("lifeboat_")] = value
    merged.pop("credentials", None)
    return merged
