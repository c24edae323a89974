# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat coverage`: what lies on this host, and whether any job protects it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .. import units
from ..operations.watching.coverage import TREES, coverage
from ..registry import SOURCES
from .output import Output, table
from .session import Session


def coverage_(session: Session, asked: Any, out: Output) -> int:
    """0 when all that was found is protected, 1 when something is not."""
    paths = session.paths
    own = [str(one) for one in (paths.software, paths.state, paths.spool, paths.log, paths.config)]
    found = list(
        coverage(
            [job for job in session.configuration.jobs.values() if not job.only_drilled],
            SOURCES,
            units.size(asked.larger_than),
            asked.tree or TREES,
            own,
        )
    )
    bare = [one for one in found if not one.protected]
    shown = bare if asked.missing else found
    rows = [[one.kind, one.name, ", ".join(one.jobs) or "NOBODY", one.why] for one in shown]
    told = [dict(asdict(one), protected=one.protected) for one in shown]
    out.result(told, table(["WHAT", "NAME", "PROTECTED BY", "SEEN"], rows))
    if bare:
        out.note(f"{len(bare)} of {len(found)} are protected by no job")
    return 1 if bare else 0
