# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the backup to take where the newest one is none: whoever may add names can add a newer one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from ...errors import FormatError, LifeboatError, UnsignedError, UsageError
from ...job import Job
from .catalog import Holding, Wanted, choose, read_manifest

_LOOK_BACK = 50  # backups; each costs a request or two


@contextmanager
def naming_the_next(
    job: Job, host: str, listed: Sequence[Holding], wanted: Wanted, now: datetime
) -> Iterator[None]:
    """An error that says that the newest backup is none, or nobody's, gets the one that is as its hint.

    It is not taken by itself: the newest may have been one, and somebody has to know.
    """
    try:
        yield
    except (FormatError, UnsignedError) as exc:
        found = _next(job, host, listed, wanted, now) if wanted.id == "latest" else ""
        if found:
            told = f"the newest backup that can be used is {found}: name it, and see who wrote the other"
            exc.hint = "; ".join(filter(None, (told, exc.hint)))
        raise


def _next(job: Job, host: str, listed: Sequence[Holding], wanted: Wanted, now: datetime) -> str:
    for index in range(wanted.index + 1, wanted.index + _LOOK_BACK):
        try:
            holding, _remark = choose(listed, replace(wanted, index=index), job.name, now)
        except UsageError:
            break
        for name in holding.committed_at:
            try:
                return read_manifest(
                    job.destination(name), host, job.name, holding.id, job.signers
                ).id
            except LifeboatError:
                continue
    return ""
