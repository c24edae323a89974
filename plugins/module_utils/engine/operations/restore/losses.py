# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what a restore would lose: what came since the backup, as far as counting shows it. Pure."""

from __future__ import annotations

from ...model import SourceRecord, Target
from ...units import counted

_COUNTED = ("rows", "keys", "files", "objects", "tables", "collections")


def losses(record: SourceRecord, target: Target) -> list[str]:
    """In words, most telling first; empty where nothing is there, or nothing newer was counted.

    What was changed in place, and not added, is seen among files only.
    """
    if not target.exists:
        return []
    about = "about " if target.totals.get("uncounted") else ""
    told = [
        f"{counted(count, what)} written since"
        for what, count in sorted(target.newer.items())
        if count
    ]
    for what in _COUNTED:
        more = target.totals.get(what, 0) - record.totals.get(what, 0)
        if what in record.totals and more > 0:
            told.append(f"{about}{counted(more, what)} more than in the backup")
    return told
