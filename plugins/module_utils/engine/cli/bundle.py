# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup in one file: write it, and use it where a destination could be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..operations.copies import bundle, catalog
from ..operations.copies.next_best import naming_the_next
from . import watch
from .output import Output
from .session import Session, now, remember
from .wanted import meant


def bundle_(session: Session, asked: Any, out: Output) -> int:
    """Write FILE.tar and FILE.tar.sha256."""
    path = Path(asked.file)
    if path.suffix != ".tar":
        raise UsageError(f"{asked.file}: a bundle is a .tar", hint="give it a name like shop.tar")
    job, id_ = meant(session, asked.what)[0]
    listener = watch.listener(quiet=asked.quiet)
    host = asked.from_host or job.host
    with session.hold(job, "bundle", listener=listener):
        listed, lost = catalog.holdings(job, host, asked.at)
        if not listed and lost:
            raise lost[0][1]
        wanted = catalog.Wanted(id=id_)
        holding, remark = catalog.choose(listed, wanted, job.name, now())
        if remark:
            out.note(remark)
        at = holding.committed_at[0]
        with naming_the_next(job, host, listed, wanted, now()):
            digest = bundle.write_bundle(
                job.destination(at), host, job.name, holding.id, path, listener, job.signers
            )
        remember(session, listener, "bundle", job.name, id=holding.id, path=str(path))
    told = {"id": holding.id, "path": str(path), "sha256": digest, "from": at}
    out.result(told, f"{path}: {holding.id} from {at}")
    return 0
