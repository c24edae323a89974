# SPDX-License-Identifier: GPL-3.0-or-later
"""Read how a job is drilled: with which key, from where, when, and into which places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import ConfigError
from ..job import Drilling, DrillSchedule, Job
from ..model import Option
from ..naming import check_host, check_name
from ..options import check_options, told_at
from .adapters import source
from .reading import Mapped, Reading

DRILL = (
    Option("identity", "secret"),
    Option("at"),
    Option("hosts", "texts", default=()),
    Option("among", "integer", default=30),
    Option("check", "texts", default=()),
    Option("check_timeout", "duration", default="10m"),
    Option("sources", "mapping", default={}),
)
DRILLS = (
    Option("at", required=True),
    Option("what", default="full", choices=("random", "full", "metadata")),
    Option("spread", "duration"),
)

_PROGRAMS = ("dump", "restore", "clear")  # of a command: they say which place it is
_SAME_PLACE = {"check", "count", "extension", "trailer", "restore_without_copy"}


def drilled(reading: Reading, job: Job, body: Mapped) -> Job:
    """The same job with how it is drilled."""
    where = f"jobs.{job.name}.drill"
    given = check_options(where, body.get("drill") or {}, DRILL, reading.secret_of)
    for host in given["hosts"]:
        told_at(f"{where}.hosts", check_host, host)
    if given["at"]:
        told_at(f"{where}.at", job.destination, given["at"])
    if given["among"] < 1:
        raise ConfigError(f"{where}.among: write 1 or more")
    stand_ins = []
    for name, own in given["sources"].items():
        at = f"{where}.sources.{name}"
        told_at(at, job.source, name)
        if not isinstance(own, Mapping) or "type" in own:
            raise ConfigError(f"{at}: write what is different of this source in a drill")
        shared = {k: v for k, v in body["sources"][name].items() if k != "objectives"}
        _require_own_programs(at, shared, own)
        stand_ins.append(source(reading, at, name, {**shared, **own}, job.user or ""))
    return replace(
        job,
        drilling=Drilling(
            identity=given["identity"],
            at=given["at"] or "",
            hosts=tuple(given["hosts"]),
            among=given["among"],
            check=tuple(given["check"]),
            check_timeout_s=given["check_timeout"].total_seconds(),
            stand_ins=tuple(stand_ins),
            schedules=_schedules(f"jobs.{job.name}.drills", body.get("drills") or {}),
        ),
    )


def _require_own_programs(at: str, shared: Mapped, own: Mapped) -> None:
    """A program that is left would read, fill or empty the live data: a drill ends with `clear`."""
    left = [one for one in _PROGRAMS if shared.get(one) and one not in own]
    elsewhere = set(own) - _SAME_PLACE  # such as another `env`: then the same programs may do
    if shared["type"] == "command" and left and (elsewhere & {*_PROGRAMS} or not elsewhere):
        raise ConfigError(
            f"{at}: give its `{left[0]}` too: that of the job is of the live data",
            hint="name `dump`, `restore` and `clear` of a place for drills, or another `env` or `cwd` for all",
        )


def _schedules(where: str, bodies: Mapped) -> tuple[DrillSchedule, ...]:
    made = []
    for type_, body in bodies.items():
        at = f"{where}.{type_}"
        told_at(at, lambda text: check_name("type", text), type_)
        one = check_options(at, body, DRILLS)
        made.append(DrillSchedule(type_, one["at"], one["what"], one["spread"]))
    return tuple(made)
