# SPDX-License-Identifier: GPL-3.0-or-later
"""Read whom to tell what goes wrong, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ..errors import ConfigError
from ..model import Option, Secret
from ..naming import check_name
from ..options import check_options, told_at
from .reading import Reading

NOTIFY = (
    Option("urls", "mapping", default={}),
    Option("ping", "secret"),
    Option("repeat", "duration", default="24h"),
)


@dataclass(frozen=True)
class Notify:
    """Whom to tell. `repeat`: how often, of what goes on being wrong."""

    urls: Mapping[str, Secret] = field(default_factory=dict)  # by a name of the operator's
    ping: Secret | None = None  # called after every check, by an outside watcher's rules
    repeat: timedelta = timedelta(hours=24)


def notify(reading: Reading) -> Notify:
    given = check_options("notify", reading.top["notify"], NOTIFY, reading.secret_of)
    urls = {}
    for name, body in given["urls"].items():
        where = f"notify.urls.{name}"
        told_at(where, lambda text: check_name("notification", text), name)
        urls[name] = reading.secret_of(where, body)
    if given["repeat"] < timedelta(minutes=1):
        raise ConfigError("notify.repeat: less than a minute is a flood", hint="write it like 24h")
    return Notify(urls, given["ping"], given["repeat"])
