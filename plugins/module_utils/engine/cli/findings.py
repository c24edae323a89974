# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, WARNING, CRITICAL = "good", "warning", "critical"


@dataclass(frozen=True)
class Finding:
    """state: good, warning, critical. `told` says why, `hint` what to do."""

    area: str  # "source", "timer", ...
    what: str
    state: str
    told: str
    hint: str = ""
