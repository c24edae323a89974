# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing in the texts points nowhere: links, anchors, files, commands and `make` targets."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.cli.parser import parser

from tests.unit.docs import markdown
from tests.unit.docs.markdown import PAGES, ROOT

PROGRAMS = sorted(
    path
    for folder in ("plugins", "roles", "playbooks", "scripts", "tests/unit/golden")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in ("", ".py", ".yml", ".j2", ".sh")
)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in markdown.links(page):
        path, _hash, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in markdown.anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_that_code_names_is_there_with_its_anchor() -> None:
    broken = []
    for path in PROGRAMS:
        named = re.findall(
            r"\b(docs/[\w./-]+?\.md)(?:#([\w-]+))?",
            path.read_text(encoding="utf-8", errors="replace"),
        )
        for page, anchor in named:
            there = (ROOT / page).exists()
            if not there or (anchor and anchor not in markdown.anchors(ROOT / page)):
                broken.append(f"{path.relative_to(ROOT)}: {page}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    """Of this repository: whatever begins with one of its folders."""
    named = [
        word
        for text in markdown.code(page)
        for word in re.findall(
            r"^(?:plugins|roles|playbooks|scripts|tests|docs|molecule)/\S*", text
        )
        if not re.search(r"[<>…*]", word)
    ]
    assert [word for word in named if not (ROOT / re.split("#|::", word)[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_every_make_target_is_there(page: Path) -> None:
    named = re.findall(r"`make ([a-z]+)`", page.read_text(encoding="utf-8"))
    named += [
        found.group(1)
        for block in markdown.blocks(page)
        for found in re.finditer(r"^(?:\$ )?make ([a-z]+)", block.text, re.MULTILINE)
    ]
    assert set(named) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_every_lifeboat_command_is_understood(page: Path) -> None:
    refused = []
    for words in _typed(page):
        try:
            parser().parse_args(words)
        except SystemExit as ended:
            refused += [" ".join(words)] if ended.code else []
    assert refused == []


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_every_playbook_is_there(page: Path) -> None:
    named = re.findall(
        r"ansible-playbook lifeboat\.backup\.(\w+)", page.read_text(encoding="utf-8")
    )
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(named) - there == set()


def test_what_the_texts_should_not_hold_is_not_there() -> None:
    """Hosts and paths of the machine they were written on."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel"], capture_output=True, text=True
    )
    here = {str(ROOT), listed.stdout.strip() or str(ROOT)}
    holding = [
        markdown.name(page)
        for page in PAGES
        if any(place in page.read_text(encoding="utf-8") for place in here)
    ]
    assert holding == []


def _typed(page: Path) -> Iterator[list[str]]:
    """The words of each `lifeboat …` that stands in a block after a prompt, or between backticks."""
    lines = [
        line[2:]
        for block in markdown.blocks(page)
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]
    for text in [*lines, *markdown.code(page)]:
        alone = re.split(r" [|<>#;] ?|; ", text)[0].removeprefix("sudo ")
        if re.match(r"lifeboat [a-z]+ ", alone) and not re.search(r"[…\[\]]", alone):
            yield shlex.split(alone)[1:]
        elif re.fullmatch(r"lifeboat [a-z]+", alone) and text not in lines:
            yield [alone.split()[1], "--help"]  # only its name: it has to be there
