# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill what lifeboat does at random moments, as often as asked, and say what became of it.

Backups, restores, undos, confirms and recoveries of each kind of source; with `upkeep` all that keeps
backups in order, or reads them.

python -m tests.kills --source redis --rounds 200 [--seed 7]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "integration" / "kills" / "test_kills.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--source", default="", help="a kind, or upkeep; without it all")
    parser.add_argument("--rounds", type=int, default=50, help="how often each kind is killed")
    parser.add_argument("--seed", type=int, default=None, help="the moments of an earlier campaign")
    given = parser.parse_args()
    os.environ["LIFEBOAT_KILLS"] = str(given.rounds)
    if given.seed is not None:
        os.environ["LIFEBOAT_KILLS_SEED"] = str(given.seed)
    chosen = ["-k", f"[{given.source}]"] if given.source else []
    argv = [sys.executable, "-m", "pytest", "-q", "-s", str(TESTS), *chosen]
    return subprocess.run(argv, cwd=TESTS.parents[3], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
