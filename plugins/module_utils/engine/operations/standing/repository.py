# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether an application's own source code could be had again: whether its remote has what runs here."""

from __future__ import annotations

from ... import revision
from ...job import Job
from .status import CRITICAL, GOOD, WARNING, Standing


def standings(job: Job) -> list[Standing]:
    """One line for a job with a repository, of how it is now; none for any other."""
    if job.repository is None:
        return []
    found = revision.look(job.repository)
    at = f"{found['path']} is at commit {found['commit'][:12]}"
    wrong = revision.complaint(found)
    if wrong:
        missed = found["pushed"] is False  # else nobody could tell
        state, told = (CRITICAL, f"RPO 0 missed: {wrong}") if missed else (WARNING, wrong)
    elif found["pushed"]:
        state, told = GOOD, f"RPO 0 met: {found['remote']} has it; {at}"
    else:
        state, told = GOOD, at
    return [Standing(job.name, "", state, told, source="repository")]
