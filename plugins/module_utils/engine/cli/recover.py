# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `recover`: bring what was cut off to an end, and say which state holds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .. import fleeting
from ..errors import LifeboatError
from ..files import holder
from ..filters.gpg_home import sweep
from ..operations.restore.journal import jobs_with_journals
from ..progress import Event
from ..stopped import notes
from ..throwaway import left
from .output import Output, refused
from .session import Session, left_in


def recover(session: Session, asked: Any, out: Output) -> int:
    """Bring every restore that was cut off to an end, and say which state holds. One that cannot be
    ended does not keep the others waiting."""
    for place in (session.paths.runtime, fleeting.memory(), Path(tempfile.gettempdir())):
        fleeting.sweep(place)
    names = [asked.job] if asked.job else _owing(session)
    told: list[str] = [f"removed {home}" for home in sweep()]
    failed = 0

    def hear(one: Event) -> None:
        nonlocal failed
        # to a destination, whose pruner then waits for as long as it would have
        not_said = one.phase == "mark"
        told.append(f"{one.what} could not be told: {one.problem}" if not_said else one.what)
        failed = failed or (1 if one.problem else 0)

    for name in names:
        try:
            job = session.job(name)
            with session.hold(job, "recover", wait=True, listener=hear):
                pass
        except LifeboatError as exc:
            failed = exc.exit_code
            out.error(exc)
        except Exception as exc:  # of what the job's user left there, say
            failed = 1
            why = refused(exc) if isinstance(exc, OSError) else LifeboatError(str(exc))
            out.error(LifeboatError(f"{name} could not be recovered: {why}", hint=why.hint))
    nothing = "nothing was recovered" if failed else "nothing to recover"
    out.result(told, "\n".join(told) or nothing)
    return failed


def _owing(session: Session) -> list[str]:
    """The jobs that a killed operation left something of: a journal, containers at rest, a full spool."""
    jobs = session.configuration.jobs.items()
    waiting = {name for name, job in jobs if notes(session.area(job).spool)}
    for name, job in jobs:  # who works there now is not waited for
        idle = not holder(session.paths.job_lock(name))
        if idle and left_in(session.area(job, rescue=True).spool):
            waiting.add(name)
    for place in (session.arenas(), session.arenas(rescue=False)):
        waiting.update(one.name.partition(".")[0] for one in left(place))
    waiting.intersection_update(session.configuration.jobs)
    return sorted(waiting.union(jobs_with_journals(session.paths.journals)))
