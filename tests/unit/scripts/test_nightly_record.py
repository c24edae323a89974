"""docs/nightly.md remembers the last run of each thing."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

from nightly_record import record  # noqa: E402

from tests.kills.__main__ import told  # noqa: E402


def test_what_ran_is_written_and_what_did_not_stays(tmp_path: Path) -> None:
    page = tmp_path / "nightly.md"
    record(
        page,
        [("molecule:b on trixie", "passed", 12.4), ("tests/unit", "3 passed", 1)],
        date(2026, 1, 2),
    )
    record(page, [("molecule:b on trixie", "FAILED with status 1", 99.6)], date(2026, 1, 3))

    rows = [line for line in page.read_text().splitlines() if "2026" in line]
    assert rows == [
        "| molecule:b on trixie | 2026-01-03 | FAILED with status 1 | 100 |",
        "| tests/unit | 2026-01-02 | 3 passed | 1 |",
    ]


OUTPUT = """
redis: seed 7
redis: 4 rounds, {'recover: killed': 2, 'restore: killed': 2, 'restore: was faster': 1, 'run: killed': 1}
.
1 passed in 3.12s
files: seed 7
files: assert [1] == []
files: 1 rounds, {'run: killed': 1}
F
redis: seed 8
"""


def test_campaigns_of_kills_stay_beside_what_a_nightly_run_took(tmp_path: Path) -> None:
    page = tmp_path / "nightly.md"
    record(page, [("tests/unit", "3 passed", 1)], date(2026, 1, 2))
    record(page, [], date(2026, 1, 3), told(OUTPUT))
    record(page, [("tests/unit", "4 passed", 1)], date(2026, 1, 4), [("redis", 41, 9, 8, "passed")])

    rows = [line for line in page.read_text().splitlines() if "2026" in line]
    assert rows == [
        "| tests/unit | 2026-01-04 | 4 passed | 1 |",
        "| files | 7 | 1 | 1 | FAILED | 2026-01-03 |",
        "| redis | 7 | 4 | 3 | passed | 2026-01-03 |",
        "| redis | 41 | 9 | 8 | passed | 2026-01-04 |",
    ]
