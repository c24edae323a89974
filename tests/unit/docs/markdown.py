# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the Markdown of this repository: its headings, tables, code blocks and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("roles/*/README.md"),
    ]
)
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DESIGN = ROOT / "docs/design.md"
CONFIGURATION = ROOT / "docs/configuration.md"
SOURCES = ROOT / "docs/sources.md"
DESTINATIONS = ROOT / "docs/destinations.md"
COMMAND = ROOT / "docs/command.md"


@dataclass(frozen=True)
class Block:
    """One fenced block of code, and the heading it stands under."""

    heading: str
    language: str
    text: str


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def headings(page: Path) -> list[str]:
    found = re.findall(r"^#{1,6} (.+?) *$", _prose(page), re.MULTILINE)
    return [heading.replace("`", "") for heading in found]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: lower case, no punctuation, hyphens for blanks."""
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings(page)}


def links(page: Path) -> list[str]:
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", _prose(page))


def code(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", _prose(page))


def tables(page: Path) -> dict[str, list[list[str]]]:
    """{heading: the cells of the first table below it, without its head}."""
    found: dict[str, list[list[str]]] = {}
    heading, ended = "", True
    for line in _prose(page).splitlines():
        if line.startswith("#"):
            heading, ended = line.lstrip("#").strip().replace("`", ""), False
        elif line.startswith("|") and not ended:
            found.setdefault(heading, []).append(_cells(line))
        elif heading in found:
            ended = True
    return {heading: rows[2:] for heading, rows in found.items()}


def blocks(page: Path, language: str = "") -> list[Block]:
    return [one for one in _blocks(page) if language in ("", one.language)]


def _blocks(page: Path) -> Iterator[Block]:
    heading, language, lines = "", None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = re.fullmatch(r"```(\w*)", line)
        if language is not None and line == "```":
            yield Block(heading, language, "\n".join(lines) + "\n")
            language, lines = None, []
        elif language is not None:
            lines.append(line)
        elif fence:
            language = fence.group(1)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip().replace("`", "")


def _prose(page: Path) -> str:
    """The page without its code blocks: a # in them is no heading."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]
