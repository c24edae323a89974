# SPDX-License-Identifier: GPL-3.0-or-later
"""An example inventory has public variables only, no secret in clear, and is short enough to read at once."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.docs import markdown
from tests.unit.docs.markdown import CONFIGURATION, ROOT

EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").iterdir()
    if path.name != "demo" and list(path.rglob("hosts.yml"))
)
MERGED = re.compile(r"lifeboat_(jobs|destinations|credentials)_\w+")  # see docs/configuration.md
LINES = 200


def variables(example: Path) -> Iterator[tuple[str, Any]]:
    """Of its group_vars, host_vars and of the hosts file itself."""
    for path in sorted(example.rglob("*.yml")):
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if {"group_vars", "host_vars"} & set(path.relative_to(example).parts):
            yield from read.items()
        elif path.name == "hosts.yml":
            yield from _of_hosts(read)


def _of_hosts(groups: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in groups.values():
        yield from ((group or {}).get("vars") or {}).items()
        for host in ((group or {}).get("hosts") or {}).values():
            yield from (host or {}).items()
        yield from _of_hosts((group or {}).get("children") or {})


def public() -> set[str]:
    specs = [yaml.safe_load(path.read_text()) for path in ROOT.glob("roles/*/meta/*specs.yml")]
    options = {name for spec in specs for name in spec["argument_specs"]["main"]["options"]}
    return options | {row[0].strip("`") for row in markdown.tables(CONFIGURATION)["Variables"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_variables_are_public(example: Path) -> None:
    names = {name for name, _value in variables(example)}
    own = {name for name in names - public() if not MERGED.fullmatch(name)}
    assert {name for name in own if not name.startswith(("ansible_", "vault_"))} == set()
    assert "lifeboat_encryption" in names


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_no_secret_stands_in_it(example: Path) -> None:
    given = {
        name: value
        for variable, credentials in variables(example)
        if re.fullmatch(r"lifeboat_credentials(_\w+)?", variable)
        for name, value in credentials.items()
    }
    leaves = [leaf for one in given.values() for leaf in _leaves(one)]
    assert [leaf for leaf in leaves if "{{" not in str(leaf)] == []
    for path in example.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"PRIVATE KEY|AGE-SECRET-KEY-|AKIA[A-Z0-9]{16}", text), path


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    return [value]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_is_read_at_once_and_says_what_it_is(example: Path) -> None:
    read = [path for path in example.rglob("*.yml") if ".github" not in path.parts]
    assert sum(len(path.read_text().splitlines()) for path in read) <= LINES
    assert f"docs/guides/{example.name}.md" in (example / "README.md").read_text()


def private_in(example: Path) -> list[tuple[str, str]]:
    """The files of private keys and passwords that its guide makes beside it; in others they are in vaults."""
    guide = (ROOT / f"docs/guides/{example.name}.md").read_text(encoding="utf-8")
    return re.findall(r"age-keygen -o (\S+)|> (vault\.pass)", guide)


@pytest.mark.parametrize("example", filter(private_in, EXAMPLES), ids=lambda path: path.name)
def test_git_leaves_out_the_private_keys_that_its_guide_makes(
    example: Path, tmp_path: Path
) -> None:
    made = ["".join(found) for found in private_in(example)]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copytree(example, tmp_path, dirs_exist_ok=True)
    argv = ["git", "-C", tmp_path, "check-ignore", *made]
    assert subprocess.run(argv, capture_output=True, text=True).stdout.split() == made
