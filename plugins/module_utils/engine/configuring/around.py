# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a job's `restore` says: services to stop, health to ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..job import Around
from ..model import Option
from ..naming import check_name
from ..options import check_options, nearest, told_at
from ..policy import Health
from ..ports import Source
from ..registry import SOURCES

RESTORE = (
    Option("stop", "texts", default=()),
    Option("health", "mapping", default={}),
    Option("stop_timeout", "duration", default="2m"),
    Option("health_timeout", "duration", default="2m"),
)
HEALTH = (
    Option("http"),
    Option("command", "texts"),
    Option("user"),
    Option("sql"),
    Option("source"),
)
_UNIT = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]*\.(service|socket|timer|path|target|scope|slice)"
)
_CONTAINER = re.compile(r"(docker|podman):[A-Za-z0-9][A-Za-z0-9_.-]*")


def around(where: str, body: Any, scope: str, sources: Sequence[Source]) -> Around:
    """Checked; raises ConfigError with the path of the key at fault."""
    given = check_options(where, body, RESTORE)
    for name in given["stop"]:
        if not _UNIT.fullmatch(name) and not _CONTAINER.fullmatch(name):
            raise ConfigError(
                f"{where}.stop: {name!r} is neither a unit nor a container",
                hint="write shop.service, shop.socket, shop.timer, docker:NAME or podman:NAME",
            )
    checks = tuple(
        _health(f"{where}.health.{name}", name, one, sources)
        for name, one in given["health"].items()
    )
    return Around(
        stop=tuple(given["stop"]),
        health=checks,
        scope=scope,
        stop_timeout_s=given["stop_timeout"].total_seconds(),
        health_timeout_s=given["health_timeout"].total_seconds(),
    )


def _health(where: str, name: str, body: Mapping[str, Any], sources: Sequence[Source]) -> Health:
    told_at(where, lambda text: check_name("health check", text), name)
    given = check_options(where, body, HEALTH)
    if sum(given[kind] is not None for kind in ("http", "command", "sql")) != 1:
        raise ConfigError(f"{where}: write exactly one of http, command, sql")
    if given["http"] is not None:
        parts = urlsplit(given["http"])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigError(
                f"{where}.http: write http://HOST:PORT/PATH or https://…, without a password"
            )
    if given["command"] is not None and not given["command"]:
        raise ConfigError(f"{where}.command: write a program and its arguments")
    if (given["source"] is not None) != (given["sql"] is not None):
        raise ConfigError(f"{where}: sql and source belong together: the source is asked")
    if given["user"] is not None and given["command"] is None:
        raise ConfigError(f"{where}.user: only a command has a user")
    if given["source"] is not None:
        known = {one.name: one for one in sources}
        if given["source"] not in known:
            raise ConfigError(
                f"{where}.source: there is no source {given['source']!r}"
                + nearest(given["source"], known)
            )
        kind = known[given["source"]].kind
        if not hasattr(SOURCES[kind], "ask"):
            raise ConfigError(f"{where}.source: a source of type {kind} cannot be asked in SQL")
    return Health(
        name,
        given["http"] or "",
        tuple(given["command"] or ()),
        given["sql"] or "",
        given["source"] or "",
        given["user"] or "",
    )
