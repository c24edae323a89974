# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie on a host: for the whole system, or for one user. The only place that knows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError

SCOPES = ("system", "user")


@dataclass(frozen=True)
class Paths:
    """docs/design.md#paths has the table."""

    scope: str
    software: Path  # releases/<digest>/lifeboat, current, vendor
    command: Path  # the launcher
    config: Path  # config.json, recipients
    credentials: Path  # one file a credential; root's, or the user's, alone
    state: Path  # locks, journals, last runs
    spool: Path  # archives on their way
    log: Path  # history.jsonl, audit
    runtime: Path  # in memory where the system has it
    units: Path  # of systemd

    @property
    def config_file(self) -> Path:
        return self.config / "config.json"

    @property
    def runbook(self) -> Path:
        return self.config / "RUNBOOK.md"

    def job_lock(self, job: str) -> Path:
        return self.state / "locks" / (job + ".lock")

    def drill_lock(self, job: str) -> Path:
        """Of the drills of a job: a backup waits for none. No job's name has a dot."""
        return self.state / "locks" / (job + ".drill.lock")

    def last_run(self, job: str) -> Path:
        return self.state / "runs" / (job + ".json")

    def begun(self, job: str) -> Path:
        """The ids of the last backups of a job that were begun here."""
        return self.state / "runs" / (job + ".ids")

    def progress(self, job: str) -> Path:
        return self.runtime / (job + ".progress")

    def request(self, job: str) -> Path:
        return self.runtime / (job + ".request")

    @property
    def journals(self) -> Path:
        """Of restores. In system scope only root may write here, since root acts on what they say."""
        return self.state / "restores"

    @property
    def history(self) -> Path:
        return self.log / "history.jsonl"


def paths(
    scope: str = "system",
    root: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Paths:
    """The paths of a scope. `root` gathers all of a user scope (but the units) below one directory."""
    if scope == "system":
        if root is not None:
            raise UsageError("only user scope takes a root directory")
        return Paths(
            "system",
            software=Path("/opt/lifeboat"),
            command=Path("/usr/local/bin/lifeboat"),
            config=Path("/etc/lifeboat"),
            credentials=Path("/etc/lifeboat/credentials"),
            state=Path("/var/lib/lifeboat"),
            spool=Path("/var/lib/lifeboat/spool"),
            log=Path("/var/log/lifeboat"),
            runtime=Path("/run/lifeboat"),
            units=Path("/etc/systemd/system"),
        )
    if scope != "user":
        raise UsageError(f"unknown scope {scope!r}", hint="use " + " or ".join(SCOPES))
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME") or os.path.expanduser("~"))
    config_home = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    state_home = Path(env.get("XDG_STATE_HOME") or home / ".local/state")
    base = Path(root) if root is not None else None
    state = base / "state" if base else state_home / "lifeboat"
    return Paths(
        "user",
        software=base / "software" if base else home / ".local/lib/lifeboat",
        command=base / "bin/lifeboat" if base else home / ".local/bin/lifeboat",
        config=base / "config" if base else config_home / "lifeboat",
        credentials=(base / "config" if base else config_home / "lifeboat") / "credentials",
        state=state,
        spool=state / "spool",
        log=state / "log",
        runtime=state / "run" if base else _runtime(env, state),
        units=config_home / "systemd/user",
    )


def _runtime(env: Mapping[str, str], state: Path) -> Path:
    given = env.get("XDG_RUNTIME_DIR")
    return Path(given) / "lifeboat" if given and os.access(given, os.W_OK) else state / "run"
