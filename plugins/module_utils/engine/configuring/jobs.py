# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one job: its sources and destinations, and all that is said about its runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from ..errors import ConfigError
from ..gate import ENVIRONMENTS
from ..job import Job, Objectives, Repository
from ..model import Option, Secret
from ..naming import check_name
from ..options import check_options, told_at
from ..ports import Destination, Source
from ..signing import check_signer
from .adapters import append_only, destination, source
from .around import around
from .encryption import filters
from .keeping import keep, keep_at, schedules
from .reading import Mapped, Reading

JOB = (
    Option("sources", "mapping", required=True),
    Option("destinations", "texts", required=True),
    Option("schedule"),
    Option("schedules", "mapping", default={}),
    Option("keep", "mapping", default={}),
    Option("environment", choices=ENVIRONMENTS),
    Option("encryption", "mapping"),
    Option("compression", "mapping"),
    Option("objectives", "mapping", default={}),
    Option("drill", "mapping", default={}),
    Option("drills", "mapping", default={}),
    Option("spread", "duration"),
    Option("stall_timeout", "duration", default="30m"),
    Option("user"),
    Option("restore", "mapping", default={}),
    Option("repository", "mapping"),
)
REPOSITORY = (Option("path", required=True), Option("remote", default=""))
OBJECTIVES = (Option("rto", "duration"), Option("rpo", "duration"))
SIGNING = (Option("key", "secret", required=True),)


def job(reading: Reading, name: str, body: Any) -> Job:
    """One that backs up here; how it is drilled is not read: `drills.drilled` adds it."""
    where = f"jobs.{name}"
    told_at(where, lambda text: check_name("job", text), name)
    given, top = check_options(where, body, JOB), reading.top
    user = given["user"] or top["user"]
    sources = tuple(
        source(reading, f"{where}.sources.{one}", one, its, user or "")
        for one, its in given["sources"].items()
    )
    if not sources:
        raise ConfigError(f"{where}.sources: name at least one source")
    destinations = tuple(destination(reading, where, one) for one in given["destinations"])
    if not destinations:
        raise ConfigError(f"{where}.destinations: name at least one destination")
    promised = check_options(f"{where}.objectives", given["objectives"], OBJECTIVES)
    _refuse_nested(where, sources, destinations)
    environment = given["environment"] or top["environment"]
    return Job(
        name=name,
        host=top["host"],
        environment=environment,
        sources=sources,
        filters=filters(reading, where, given),
        destinations=destinations,
        schedules=schedules(where, given, {one.name for one in sources}, environment),
        keep=keep(f"{where}.keep", given["keep"], environment),
        keep_at=keep_at(reading, given["destinations"], environment),
        prunes=tuple(one for one in given["destinations"] if not append_only(reading, one)),
        pruner=top["pruner"] or "",
        user=user,
        spool_cap_bytes=top["spool_cap"],
        stall_timeout_s=given["stall_timeout"].total_seconds(),
        objectives=tuple(
            (one, _objectives(f"{where}.sources.{one}", its, promised))
            for one, its in given["sources"].items()
        ),
        signing_key=_signing_key(reading),
        signers=signers(reading),
        drill_signers=signers(reading, "drill_signers"),
        around=around(f"{where}.restore", given["restore"], reading.scope, sources),
        repository=_repository(f"{where}.repository", given["repository"]),
    )


def signers(reading: Reading, key: str = "signers") -> tuple[str, ...]:
    return tuple(
        told_at(f"{reading.at}{key}, entry {place}", check_signer, one)
        for place, one in enumerate(reading.top[key], 1)
    )


def _signing_key(reading: Reading) -> Secret | None:
    if reading.top["signing"] is None:
        return None
    given = check_options("signing", reading.top["signing"], SIGNING, reading.secret_of)
    made: Secret = given["key"]
    return made


def _objectives(where: str, body: Mapped, promised: Mapped) -> Objectives:
    """A source's own objectives, else the job's."""
    own = check_options(f"{where}.objectives", body.get("objectives") or {}, OBJECTIVES)
    return Objectives(**{key: own[key] or promised[key] for key in own})


def _repository(where: str, body: Any) -> Repository | None:
    if body is None:
        return None
    given = check_options(where, body, REPOSITORY)
    if not os.path.isabs(given["path"]):
        raise ConfigError(f"{where}.path: write an absolute path")
    remote = given["remote"]
    # Over HTTP a name alone may be the secret: a token.
    secret = re.match(r"(?i)https?://[^/@]*@|[\w+.-]+://[^/@]*:[^/@]*@", remote)
    if remote.startswith("-") or "::" in remote or secret:
        raise ConfigError(
            f"{where}.remote: write a URL without a password, or USER@HOST:PATH",
            hint="what the job's user needs to ask it lies in that user's own git or ssh settings",
        )
    return Repository(given["path"], remote)


def _refuse_nested(
    where: str, sources: Iterable[Source], destinations: Iterable[Destination]
) -> None:
    """A restore of a tree that holds the backups themselves would take them away."""
    for one in sources:
        for path in one.needs().replaces:
            for place_of in destinations:
                for place in filter(os.path.isabs, place_of.needs().writes):
                    if os.path.commonpath([path, place]) == path.rstrip("/"):
                        raise ConfigError(
                            f"{where}.sources.{one.name}: {path} holds the destination "
                            f"{place_of.name} ({place})",
                            hint="keep backups outside of what they are backups of",
                        )
        for place_of in destinations:
            bucket = one.needs().bucket
            if bucket and place_of.needs().bucket.startswith(bucket):
                raise ConfigError(
                    f"{where}.sources.{one.name}: {bucket.strip()} holds the destination "
                    f"{place_of.name}",
                    hint="keep backups in another bucket, or both below prefixes of their own",
                )
