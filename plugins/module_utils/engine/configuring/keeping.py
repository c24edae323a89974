# SPDX-License-Identifier: GPL-3.0-or-later
"""Read when a job runs and what is kept of it: its schedules, its `keep`, and those of its destinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import timedelta

from ..errors import ConfigError
from ..model import Option
from ..naming import check_name
from ..options import check_options, nearest, told_at
from ..policy import Keep, Schedule
from .reading import Mapped, Reading

SCHEDULE = (
    Option("at", required=True),
    Option("sources", "texts", default=()),
    Option("keep", "mapping"),
    Option("spread", "duration"),
)
KEEP = (
    Option("all", "boolean", default=False),
    *(
        Option(one.name, "duration" if one.name in ("within", "tagged") else "integer")
        for one in fields(Keep)
        if one.name != "default_of"
    ),
)
# What is kept where a job names no rule.
_BY_DEFAULT = {
    "dev": Keep(within=timedelta(days=7), default_of="dev"),
    "staging": Keep(within=timedelta(days=7), default_of="staging"),
    "production": Keep(within=timedelta(days=30), minimum=3, default_of="production"),
}


def schedules(
    where: str, given: Mapped, sources: set[str] | None, environment: str
) -> tuple[Schedule, ...]:
    """`given`: the checked keys of the job at `where`; `sources`: the names it has, None = not known."""
    if given["schedule"] and given["schedules"]:
        raise ConfigError(f"{where}: write schedule or schedules, not both")
    bodies = given["schedules"]
    if given["schedule"]:
        bodies = {"daily": {"at": given["schedule"]}}
    made = []
    for type_, body in bodies.items():
        at = f"{where}.schedules.{type_}"
        told_at(at, lambda text: check_name("type", text), type_)
        one = check_options(at, body, SCHEDULE)
        for source in one["sources"]:
            if sources is not None and source not in sources:
                raise ConfigError(
                    f"{at}.sources: there is no source {source!r}" + nearest(source, sources)
                )
        own = keep(f"{at}.keep", one["keep"], environment) if one["keep"] is not None else None
        spread = one["spread"] if one["spread"] is not None else given.get("spread")
        made.append(Schedule(type_, one["at"], tuple(one["sources"]), own, spread))
    return tuple(made)


def keep(where: str, body: Mapped, environment: str) -> Keep:
    """The rules of a `keep`; without any rule in it, those of the environment."""
    given = check_options(where, body, KEEP)
    everything = given.pop("all")
    named = {key: value for key, value in given.items() if value is not None}
    rules = sorted(set(named) - {"tagged", "minimum"})
    if everything and rules:
        raise ConfigError(
            f"{where}: `all` keeps everything, {', '.join(rules)} does not", hint="leave one out"
        )
    if everything or rules:
        return Keep(**named)
    return replace(_BY_DEFAULT[environment], **named)


def keep_at(
    reading: Reading, destinations: Iterable[str], environment: str
) -> tuple[tuple[str, Keep], ...]:
    """(destination, its own rules), of those that have some."""
    bodies = reading.top["destinations"]
    return tuple(
        (name, keep(f"{reading.at}destinations.{name}.keep", bodies[name]["keep"], environment))
        for name in destinations
        if bodies[name].get("keep") is not None
    )
