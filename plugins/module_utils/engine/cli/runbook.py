# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat runbook`: this host's own page for the worst night, printed or kept up to date as a file."""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import Any

from ..errors import LifeboatError
from ..files import within, write
from ..operations.drills.record import known
from ..operations.drills.report import restore_seconds
from ..operations.reports.runbook import runbook
from ..paths import Paths
from .lookout import Lookout
from .output import Output
from .session import Session


def text(session: Session) -> str:
    """The page as it would be now."""
    jobs = [one for one in session.configuration.jobs.values() if not one.only_drilled]
    timed: dict[str, dict[str, float]] = {}
    lookout = Lookout(session)
    for job in jobs:
        past = known(session.paths.history, job, lookout.drilled_elsewhere(job.name))
        took = {one.name: restore_seconds(past, one.name) for one in job.sources}
        timed[job.name] = {name: seconds for name, seconds in took.items() if seconds is not None}
    told = session.configuration.runbook
    return runbook(session.configuration.host, jobs, told, timed, _who(session.paths))


def _who(paths: Paths) -> str:
    if paths.scope == "system":
        return "root"
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    # its directory is on the path of few users
    return f"`{name}`, after `PATH={shlex.quote(str(paths.command.parent))}:$PATH`"


def put(path: Path, page: str) -> bool:
    """Write it unless it is so already; whether that was needed."""
    try:
        if path.read_text(encoding="utf-8") == page:
            return False
    except (OSError, ValueError):
        pass
    try:
        write(path, page.encode(), within(path.parent, 0o644), owner_of=path.parent)
    except OSError as exc:
        raise LifeboatError(
            f"the runbook {path} cannot be written: {exc.strerror}", hint="see that directory"
        ) from exc
    return True


def refresh(session: Session) -> bool:
    """Renew the installed page, if there is one and we may write there; whether that was needed."""
    path = session.paths.runbook
    if not path.is_file() or not os.access(path.parent, os.W_OK):
        return False
    return put(path, text(session))


def runbook_(session: Session, asked: Any, out: Output) -> int:
    """Print it, or write it to a file."""
    if asked.refresh:
        changed = refresh(session)
        out.result({"path": str(session.paths.runbook), "changed": changed}, "")
        return 0
    page = text(session)
    if not asked.output:
        out.result({"runbook": page}, page)
        return 0
    changed = put(Path(asked.output), page)
    out.result({"path": asked.output, "changed": changed}, asked.output)
    return 0
