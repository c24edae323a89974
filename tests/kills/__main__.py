# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill what lifeboat does at random moments, as often as asked, and say what became of it.

Backups, restores, undos, confirms and recoveries of each kind of source; with `upkeep` all that keeps
backups in order, or reads them; with `prune` prunes alone, of many backups at once.

python -m tests.kills --source redis --rounds 200 [--seed 7] | tee kills.log
python -m tests.kills --record kills.log    # into docs/nightly.md
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "integration" / "kills" / "test_kills.py"
sys.path.insert(0, str(TESTS.parents[3] / "scripts"))

from nightly_record import record  # noqa: E402


def told(output: str) -> list[tuple[str, int, int, int, str]]:
    """(source, seed, rounds, how many were killed, result) of each campaign that came to its end."""
    found = []
    for source, seed, rounds, counts, end in re.findall(
        r"^(\S+): seed (\d+)$.*?^\1: (\d+) rounds, (\{.*?\})\n(.)", output, re.MULTILINE | re.DOTALL
    ):
        each = ast.literal_eval(counts).items()
        killed = sum(n for what, n in each if what.endswith(": killed") and "recover" not in what)
        result = "passed" if end == "." else "FAILED"
        found.append((source, int(seed), int(rounds), killed, result))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--source", default="", help="a kind, upkeep or prune; without it all")
    parser.add_argument("--rounds", type=int, default=50, help="how often each kind is killed")
    parser.add_argument("--seed", type=int, default=None, help="the moments of an earlier campaign")
    parser.add_argument("--record", type=Path, nargs="+", help="what was told, for docs/nightly.md")
    given = parser.parse_args()
    if given.record:
        for log in given.record:
            day = datetime.fromtimestamp(log.stat().st_mtime, timezone.utc).date()
            record(TESTS.parents[3] / "docs" / "nightly.md", [], day, told(log.read_text()))
        return 0
    os.environ["LIFEBOAT_KILLS"] = str(given.rounds)
    if given.seed is not None:
        os.environ["LIFEBOAT_KILLS_SEED"] = str(given.seed)
    chosen = ["-k", f"[{given.source}]"] if given.source else []
    argv = [sys.executable, "-m", "pytest", "-q", "-s", str(TESTS), *chosen]
    return subprocess.run(argv, cwd=TESTS.parents[3], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
