"""docs/nightly.md remembers the last run of each thing."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

from nightly_record import record  # noqa: E402


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
