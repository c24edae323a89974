# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a configuration mapping into Jobs, for both doors. docs/configuration.md is what users read.

Every error is a ConfigError that starts with the path of the key at fault and says what to write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from .configuring.drills import drilled
from .configuring.jobs import job
from .configuring.notify import Notify, notify
from .configuring.pruner import prunes
from .configuring.reading import Mapped, Reading
from .errors import ConfigError, UsageError
from .gate import ENVIRONMENTS
from .job import Job
from .model import Option, Secret
from .naming import check_host
from .operations.reports.runbook import Told
from .options import check_options, told_at

VERSION = 1

TOP = (
    Option("version", "integer", required=True),
    Option("host", required=True),
    Option("environment", default="production", choices=ENVIRONMENTS),
    Option("encryption", "mapping"),
    Option("compression", "mapping", default={}),
    Option("destinations", "mapping", required=True),
    Option("jobs", "mapping", required=True),
    Option("spool_path"),
    Option("spool_cap", "size"),
    Option("user"),
    Option("notify", "mapping", default={}),
    Option("textfile_path"),
    Option("pruner"),
    Option("prunes", "mapping"),
    Option("signing", "mapping"),
    Option("signers", "texts", default=()),
    Option("drill_signers", "texts", default=()),
    Option("runbook", "mapping", default={}),
)
RUNBOOK = (Option("contacts", "mapping", default={}), Option("notes", default=""))


@dataclass(frozen=True)
class Configuration:
    """A configuration whose shape has been checked. `job` makes one ready to use."""

    host: str
    jobs: Mapping[str, Job]
    credentials: Mapping[str, tuple[str, ...]]  # job -> names of the credentials it uses
    spool: Path | None = None
    notify: Notify = field(default_factory=Notify)
    textfile: Path | None = None  # the directory that node_exporter reads
    prunes: Mapping[str, Mapping[str, Job]] = field(default_factory=dict)  # host -> its jobs
    prunes_at: str = ""  # the calendar of that
    prunes_with: tuple[str, ...] = ()  # names of credentials
    drill_credentials: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # job -> those that only its drills may read
    runbook: Told = field(default_factory=Told)

    def job(self, name: str) -> Job:
        if name not in self.jobs:
            raise UsageError(
                f"there is no job {name!r}",
                hint="the jobs here are: "
                + (", ".join(sorted(self.jobs)) or "none")
                + "; `lifeboat doctor` finds backups of others",
            )
        return self.jobs[name]


def load(path: Path, secret: Callable[[str], Secret], scope: str = "system") -> Configuration:
    """The configuration in a JSON file; `secret` finds a credential by name. `scope`: whose units."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration {path}", hint="run site.yml for this host"
        ) from None
    except PermissionError:
        raise ConfigError(
            f"the configuration {path} may not be read by this user", hint="run this as root"
        ) from None
    except (ValueError, OSError, RecursionError) as exc:
        raise ConfigError(f"the configuration {path} is not JSON: {exc}") from None
    return parse(mapping, secret, scope)


def parse(mapping: Any, secret: Callable[[str], Secret], scope: str = "system") -> Configuration:
    """Check a whole mapping and make its jobs. Nothing is connected to, no file is opened."""
    top = check_options("", mapping, TOP)
    if top["version"] != VERSION:
        raise ConfigError(
            f"version: this lifeboat reads configuration version {VERSION}, not {top['version']}",
            hint="run site.yml with the collection that is installed here",
        )
    told_at("host", check_host, top["host"])
    jobs, credentials, for_drills = {}, {}, {}
    for name, body in top["jobs"].items():
        reading = Reading(top, secret, scope=scope)
        made = job(reading, name, body)
        credentials[name] = reading.credentials
        reading = Reading(top, secret, scope=scope)  # its key is not for the unit that backs up
        jobs[name] = drilled(reading, made, body)
        for_drills[name] = reading.credentials
    pruned, pruned_at, pruned_with = prunes(top["prunes"], secret)
    return Configuration(
        host=top["host"],
        jobs=jobs,
        credentials=credentials,
        spool=Path(top["spool_path"]) if top["spool_path"] else None,
        notify=notify(Reading(top, secret)),
        textfile=Path(top["textfile_path"]) if top["textfile_path"] else None,
        prunes=pruned,
        prunes_at=pruned_at,
        prunes_with=pruned_with,
        drill_credentials=for_drills,
        runbook=_runbook(top["runbook"]),
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets the last of two equal keys win: a whole job would be gone without a word."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ConfigError(
                f"{key}: this key is there twice in one mapping", hint="leave one out"
            )
        made[key] = value
    return made


def _runbook(body: Mapped) -> Told:
    given = check_options("runbook", body, RUNBOOK)
    for who, how in given["contacts"].items():
        if not isinstance(how, str) or "\n" in how:
            raise ConfigError(
                f"runbook.contacts.{who}: write one line of text", hint="a number, say"
            )
    return Told(given["contacts"], given["notes"])
