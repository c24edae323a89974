# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/command.md has the help of every command as it is, and every exit code."""

from __future__ import annotations

import argparse
import re

import pytest
from lifeboat import errors
from lifeboat.cli.commands import COMMANDS
from lifeboat.cli.main import main
from lifeboat.cli.parser import parser

from tests.unit.docs import markdown
from tests.unit.docs.markdown import COMMAND


def helps() -> dict[str, str]:
    """{"lifeboat": …, "lifeboat run": …}: what --help prints."""
    made = parser()
    commands = next(
        action for action in made._actions if isinstance(action, argparse._SubParsersAction)
    )
    told = {"lifeboat": made.format_help()}
    return told | {f"lifeboat {name}": one.format_help() for name, one in commands.choices.items()}


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def words(text: str) -> str:
    """Pythons wrap help at different places."""
    return " ".join(text.split())


@pytest.mark.parametrize("command", helps())
def test_the_help_is_the_help_of_the_command(command: str) -> None:
    written = [one.text for one in markdown.blocks(COMMAND, "text") if one.heading == command]
    expected = helps()[command]
    assert [words(one) for one in written[:1]] == [words(expected)], expected


def test_no_command_is_written_of_that_is_not_there() -> None:
    sections = {one for one in markdown.headings(COMMAND) if one.split()[0] == "lifeboat"}
    assert sections == set(helps())


def test_every_command_has_a_section() -> None:
    without_jobs = {"lifeboat", "lifeboat config", "lifeboat receiver"}
    assert set(helps()) == without_jobs | {f"lifeboat {one}" for one in COMMANDS}


def test_every_exit_code_that_an_error_has_is_in_the_table() -> None:
    families = [one for one in vars(errors).values() if isinstance(one, type)]
    codes = {str(one.exit_code) for one in families if issubclass(one, errors.LifeboatError)}
    written = {cells[0] for cells in markdown.tables(COMMAND)["Exit codes"]}
    assert codes | {"0", "3"} == written


def test_the_exit_codes_are_those_of_the_help() -> None:
    epilog = parser().epilog or ""
    written = {cells[0] for cells in markdown.tables(COMMAND)["Exit codes"]}
    assert written == set(re.findall(r"(?<!\d)(\d+) [a-z]", epilog.split("status:")[0]))


def test_every_argument_says_what_it_is() -> None:
    made = parser()
    commands = next(
        action for action in made._actions if isinstance(action, argparse._SubParsersAction)
    )
    silent = [
        f"{name} {action.metavar or action.dest}"
        for name, one in commands.choices.items()
        for action in one._actions
        if not action.help and not (action.choices and not action.option_strings)
    ]
    assert silent == []


@pytest.mark.parametrize("command", [name.split()[-1] for name in helps() if " " in name])
def test_every_command_of_the_help_is_known(command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
