# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which packages a bare host needs before it can take a backup: read in its manifest, from anywhere."""

from __future__ import annotations

from datetime import datetime

from .engine.errors import LifeboatError, UsageError
from .engine.job import Job
from .engine.model import SourceRecord
from .engine.operations.copies.catalog import Wanted, choose, holdings, read_manifest
from .engine.packages import named


def packages(
    job: Job, host: str, wanted: Wanted, now: datetime
) -> tuple[dict[str, str], dict[str, str]]:
    """({package: version}, those that are refused) of the backup that is meant. Nothing of its sources has
    to be here. Refused is what no source of this job, of its kind and good in the backup, is known to need.

    Raises UsageError where there is no such backup, UnsignedError where one of the job's signers has to
    have signed it and none has, and whatever the last destination with a copy said.
    """
    listed, lost = holdings(job, host, wanted.at)
    if not listed and lost:
        raise lost[0][1]
    holding, _remark = choose(listed, wanted, job.name, now)
    failure: LifeboatError = UsageError(f"backup {holding.id} has no copy that can be read")
    for name in holding.committed_at:
        try:
            manifest = read_manifest(job.destination(name), host, job.name, holding.id, job.signers)
        except LifeboatError as exc:
            failure = exc
            continue
        found: dict[str, str] = {}
        every: dict[str, str] = {}
        for record in manifest.sources:
            told = record.facts.get("packages")
            if not isinstance(told, dict):
                continue
            every.update({one: str(version) for one, version in told.items()})
            found.update(named(told, _known(job, record)))
        return found, {one: every[one] for one in every if one not in found}
    raise failure


def _known(job: Job, record: SourceRecord) -> tuple[str, ...]:
    """Patterns of the packages that a source may need: none unless it is the same kind of source here."""
    ours = {(one.name, one.kind): one for one in job.sources}
    source = ours.get((record.name, record.kind))
    return getattr(source, "packages", ()) if record.status == "good" else ()
