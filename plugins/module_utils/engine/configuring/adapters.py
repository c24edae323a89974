# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the sources and destinations that a configuration names: what all kinds share, then the kind's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ..errors import ConfigError
from ..model import Option
from ..naming import check_name
from ..options import check_options, nearest, told_at
from ..placed import Placed, check_variables
from ..placement import HERE, Placement
from ..policy import CopyPolicy
from ..ports import Destination, Source
from ..registry import DESTINATIONS, SOURCES, governed
from .reading import Reading

SOURCE = (
    Option("type", required=True),
    Option("placement", "mapping"),
    Option("credentials_from_env", "mapping", default={}),
    Option("optional", "boolean", default=False),
    Option("objectives", "mapping", default={}),
)
DESTINATION = (
    Option("type", required=True),
    Option("keep", "mapping"),
    Option("mode", choices=("append_only", "standard")),
    Option("pruner", "mapping"),
    Option("domain"),
    Option("medium"),
    Option("bandwidth", "size"),
    Option("readback", "mapping", default={}),
)
READBACK = (Option("full_up_to", "size"),)
PLACEMENT = (Option("docker"), Option("podman"))


def source(reading: Reading, where: str, name: str, body: Any, owner: str) -> Source:
    """`owner`: the user of the job, "" for lifeboat's own, whose containers are meant."""
    told_at(where, lambda text: check_name("source", text), name)
    named, shared, own = reading.split(where, body, SOURCES, SOURCE)
    kind: Any = SOURCES[named]
    placement = _placement(f"{where}.placement", shared["placement"])
    variables = check_variables(
        f"{where}.credentials_from_env",
        shared["credentials_from_env"],
        kind.options,
        body,
    )
    placement = replace(placement, owner=owner, source=name)
    if not placement.local:
        placed: Any = Placed(kind, name, placement, shared["optional"], own, variables)
        return cast(Source, placed)
    if variables:
        raise ConfigError(
            f"{where}.credentials_from_env: only a container has an environment to read",
            hint="write placement: {docker: CONTAINER}, or the options themselves",
        )
    made: Source = kind(name=name, placement=placement, optional=shared["optional"], **own)
    return made


def _placement(where: str, body: Any) -> Placement:
    if body is None:
        return HERE
    given = check_options(where, body, PLACEMENT)
    chosen = [(engine, name) for engine, name in given.items() if name is not None]
    if len(chosen) != 1:
        raise ConfigError(f"{where}: write {{docker: CONTAINER}} or {{podman: CONTAINER}}")
    return Placement(*chosen[0])


def destination(reading: Reading, where: str, name: str) -> Destination:
    """The destination of that name; `where` is the job that asks for it."""
    bodies = reading.top["destinations"]
    if name not in bodies:
        raise ConfigError(
            f"{where}.destinations: there is no destination {name!r}" + nearest(name, bodies),
            hint="lifeboat_destinations has: " + ", ".join(sorted(bodies)),
        )
    where = f"{reading.at}destinations.{name}"
    told_at(where, lambda text: check_name("destination", text), name)
    kind, shared, own = reading.split(where, bodies[name], DESTINATIONS, DESTINATION)
    readback = check_options(f"{where}.readback", shared["readback"], READBACK)
    policy = CopyPolicy(
        shared["bandwidth"] or 0,
        readback["full_up_to"],
        shared["domain"] or "",
        shared["medium"] or "",
    )
    made: Destination = DESTINATIONS[kind](name=name, **own)
    return made if policy == CopyPolicy() else cast(Destination, governed(made, policy))


def append_only(reading: Reading, name: str) -> bool:
    """As it says; else a bucket is where there is a pruner, for there the host needs no right to delete."""
    body = reading.top["destinations"][name]
    mode = body.get("mode")
    if mode is None and reading.top["pruner"] and body.get("type") == "s3":
        return True
    return bool(mode == "append_only")
