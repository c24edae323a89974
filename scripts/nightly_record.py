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
KILLS = """
## Killed at random moments

Of `python -m tests.kills --source SOURCE --rounds N --seed SEED`; `--record` reads what it has told. In each round
an operation is killed with SIGKILL, unless it was faster. Then the state has to be the old one or the new one, the
command has to say which, nothing may be left, and the next operation has to go well. `upkeep` are the operations
on backups themselves, `prune` prunes alone, of many signed backups at once.

| source | seed | rounds | killed | result | ran |
|---|---|---|---|---|---|
"""
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \|$", re.MULTILINE)
_KILLED = re.compile(r"^\| ([^|]+) \| (\d+) \|" + r" ([^|]+) \|" * 4 + "$", re.MULTILINE)


def record(
    page: Path,
    results: Iterable[tuple[str, str, float]],
    day: date,
    kills: Iterable[tuple[str, int, int, int, str]] = (),
) -> None:
    """Rows of what did not run now stay as they are.

    results: (what, "passed" or more words, seconds). kills: (source, seed, rounds, killed, result).
    """
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    rows = {what: (ran, how, seconds) for what, ran, how, seconds in _ROW.findall(before)}
    rows.update({what: (str(day), how, f"{seconds:.0f}") for what, how, seconds in results})
    lines = [f"| {what} | {' | '.join(rest)} |\n" for what, rest in sorted(rows.items())]
    killed = {(source, int(seed)): rest for source, seed, *rest in _KILLED.findall(before)}
    for source, seed, *told in kills:
        killed[source, seed] = [*map(str, told), str(day)]
    if killed:
        lines.append(KILLS)
    lines += [
        f"| {one} | {seed} | {' | '.join(rest)} |\n" for (one, seed), rest in sorted(killed.items())
    ]
    page.write_text(HEAD + "".join(lines), encoding="utf-8")
