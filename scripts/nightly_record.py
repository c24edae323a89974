# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep docs/nightly.md: of everything that a nightly run takes, when it ran last and how that went."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

HEAD = """# What the nightly run takes, and how it went

Written by `make nightly`, and by `scripts/test --nightly STAGE` for what that ran. It takes what `make test`
leaves out: each story on every supported Debian, and the tests that take minutes.

| what | last run | result | seconds |
|---|---|---|---|
"""
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \|$", re.MULTILINE)


def record(page: Path, results: Iterable[tuple[str, str, float]], day: date) -> None:
    """results: (what, "passed" or more words, seconds). Rows of what did not run now stay as they are."""
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    rows = {what: (ran, how, seconds) for what, ran, how, seconds in _ROW.findall(before)}
    rows.update({what: (str(day), how, f"{seconds:.0f}") for what, how, seconds in results})
    lines = [f"| {what} | {' | '.join(rest)} |\n" for what, rest in sorted(rows.items())]
    page.write_text(HEAD + "".join(lines), encoding="utf-8")
