# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat destination check`: can this host undo what it has stored? Tried, not believed."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..operations.copies.exposure import exposures
from ..options import nearest
from .output import Output, table
from .session import Session


def destination_(session: Session, asked: Any, out: Output) -> int:
    """1 when a destination could not be asked, or is append_only in the configuration alone."""
    jobs = list(session.configuration.jobs.values())
    names = sorted({one.name for job in jobs for one in job.destinations})
    if asked.name and asked.name not in names:
        raise UsageError(
            f"no job here uses a destination {asked.name!r}" + nearest(asked.name, names),
            hint="the destinations here are: " + (", ".join(names) or "none"),
        )
    found = exposures(jobs, asked.name)
    told = [
        {
            "destination": one.destination,
            "protected": one.protected,
            "claimed": one.claimed,
            "why": one.why,
        }
        for one in found
    ]
    for one in found:
        if one.claimed and one.protected is False:
            out.note(
                f"{one.destination}: its mode is append_only, and this host is not kept from it: {one.why}; "
                "take those rights from its identity, or change the mode"
            )
    rows = [[one.destination, one.told, one.why] for one in found]
    out.result(told, table(["DESTINATION", "BACKUPS THERE ARE", "THIS HOST"], rows))
    return 1 if any(one.broken for one in found) else 0
