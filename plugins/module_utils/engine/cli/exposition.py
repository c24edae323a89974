# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the metrics of this host: `lifeboat metrics`."""

from __future__ import annotations

from typing import Any

from ..errors import LifeboatError
from .lookout import Lookout, look
from .output import Output
from .session import Session


def metrics(session: Session, asked: Any, out: Output) -> int:
    """What the newest check of each job saw, or with --now what is so now; nothing is written."""
    lookout = Lookout(session)
    if not asked.now:
        out.result({"metrics": lookout.metrics()}, lookout.metrics())
        return 0
    fresh, lost = [], 0
    for job in session.configuration.jobs.values():
        try:
            fresh.append(look(session, job))
        except (LifeboatError, OSError) as exc:
            out.note(f"{job.name} could not be looked at: {exc}")
            lost = 1
    text = lookout.metrics(fresh)
    out.result({"metrics": text}, text)
    return lost
