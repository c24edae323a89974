# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill backups, restores, undos and confirms at random moments, as often as asked, and say what became of it.

python -m tests.kills --source redis --rounds 200 [--seed 7]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / "integration" / "kills"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--source", default="", help="a kind; without it every kind")
    parser.add_argument("--rounds", type=int, default=50, help="how often each kind is killed")
    parser.add_argument("--seed", type=int, default=None, help="the moments of an earlier campaign")
    given = parser.parse_args()
    os.environ["LIFEBOAT_KILLS"] = str(given.rounds)
    if given.seed is not None:
        os.environ["LIFEBOAT_KILLS_SEED"] = str(given.seed)
    chosen = ["-k", f"[{given.source}]"] if given.source else []
    argv = [sys.executable, "-m", "pytest", "-q", "-s", str(HERE), *chosen]
    return subprocess.run(argv, cwd=HERE.parents[2], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
