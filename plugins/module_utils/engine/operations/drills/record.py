# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave beside a backup what a drill of it told, and read the newest: how the host that made it learns of it.

docs/format.md#reports-of-drills. Who may write at the destination can write one. So where a job names
signers, of backups or of drills, only what one of them signed counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ... import signing
from ...errors import FormatError, LifeboatError
from ...job import Job
from ...naming import REPORT, mark_key
from ...ports import Destination
from ...retention import SKEW
from ...stored import Copy, Mark
from ...units import iso
from ..standing import status
from ..upkeep.drill_keeping import NEWEST
from .report import drills

NAMESPACE = "lifeboat-drill"  # what signs drills signs no manifest
_VERSION = 1
_LIMIT = 256 << 10  # bytes of one, signature and all
_SIGNATURE = b"\n-----BEGIN SSH SIGNATURE-----"
_KEPT = ("id", "host", "job", "type", "what", "destination", "passed", "restorable", "seconds")
Told = Mapping[str, Any]


def leave(job: Job, told: Told, by: str, at: datetime) -> None:
    """Write it beside the copy that was drilled; `told` is drill_report.mapping. Raises LifeboatError.

    No word of an error goes there, nor a name from the data: what they say may be private.
    """
    body: dict[str, Any] = {name: told[name] for name in _KEPT}
    body.update(version=_VERSION, by=by, at=iso(at))
    body["sources"] = {
        name: {"how": one["how"], "seconds": one["seconds"]}
        for name, one in told["sources"].items()
    }
    document = json.dumps(body, sort_keys=True).encode()
    if job.signing_key is not None:
        document += b"\n" + signing.sign(document, job.signing_key, NAMESPACE)
    key = mark_key(told["host"], job.name, told["id"], Mark(REPORT, at))
    job.destination(told["destination"]).put(key, document)


def newest(job: Job, there: status.Told, now: datetime) -> Told | None:
    """The newest that can be believed, in the shape of an entry of the history, and "by"; None without one.

    there: what the job's destinations hold. One that cannot be reached or read has none.
    """
    found: list[tuple[datetime, str, Destination]] = []
    for destination, held in there:
        for copy in () if isinstance(held, LifeboatError) else held:
            found += [(at, copy.id, destination) for at in _reports(copy) if at <= now + SKEW]
    for at, id_, destination in sorted(found, key=lambda one: one[:2], reverse=True)[:NEWEST]:
        try:
            return _read(job, destination, id_, at)
        except (LifeboatError, OSError):
            continue
    return None


def known(history: Path, job: Job, elsewhere: Told | None) -> list[Told]:
    """The drills of this host's backups that its history has, oldest first, and the one made elsewhere."""
    own = drills(history, job.name, job.host)
    if elsewhere is None or (own and str(own[-1].get("at")) >= elsewhere["at"]):
        return own
    return [*own, elsewhere]


def _reports(copy: Copy) -> list[datetime]:
    return [mark.at for mark in copy.marks if mark.kind == REPORT]


def _read(job: Job, destination: Destination, id_: str, at: datetime) -> Told:
    key = mark_key(job.host, job.name, id_, Mark(REPORT, at))
    with destination.open(key) as stream:
        content = stream.read(_LIMIT)
    document, begin, rest = content.partition(_SIGNATURE)
    signers = trusted(job)
    if signers:
        signature = (begin + rest).lstrip() if begin else None
        signing.check(document, signature, signers, key, NAMESPACE)
    try:
        body = json.loads(document)
        told = {name: body[name] for name in (*_KEPT, "by", "at")}
        wrong = (told["id"], told["host"], told["job"]) != (id_, job.host, job.name)
        if wrong or told["at"] != iso(at) or body["version"] != _VERSION:
            raise FormatError(f"{key} is the report of another drill, or of a newer lifeboat")
        told["passed"], told["restorable"] = told["passed"] is True, told["restorable"] is True
        told["seconds"] = float(told["seconds"])
        told["exit_code"] = 0 if told["passed"] else 1
        told["error"] = "" if told["passed"] else f"see the history of {str(told['by'])[:80]}"
        told["sources"] = {
            str(name): {"how": str(one["how"]), "seconds": float(one["seconds"]), "problem": ""}
            for name, one in body["sources"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise FormatError(f"{key} is no report of a drill: {exc!r}") from exc
    return told


def trusted(job: Job) -> Sequence[str]:
    """The keys one of which has to have signed a report; none: any report counts."""
    return (*job.signers, *job.drill_signers)
