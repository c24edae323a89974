# SPDX-License-Identifier: GPL-3.0-or-later
"""Push a committed backup from a directory of this host to one destination: what the push modules share."""

from __future__ import annotations

from . import arguments, door, jobs
from .engine.cli.session import now
from .engine.errors import DestinationError, ReadBackError, UsageError, VerifyError
from .engine.operations.backup.replicate import Transfer, replicate
from .engine.operations.copies.catalog import Wanted, choose, holdings
from .engine.operations.upkeep import verify
from .engine.operations.upkeep.mending import mend

_DUE = ("missing", "corrupt", "stored")
OWN = {"destination": {"type": "dict", "required": True}}


def main(kind: str) -> None:
    """The module that pushes to a destination of this kind."""
    with door.module(
        arguments.destination(), arguments.credentials(), arguments.push(), OWN
    ) as module:
        given = module.params
        there = dict({"type": kind}, **given["destination"])
        if there["type"] != kind:
            raise UsageError(
                f"{kind}_push pushes to a destination of type {kind}, not of type {there['type']!r}"
            )
        here = {"type": "local", "path": given["path"]}
        session, job = jobs.described(given, {"local": here, kind: there})
        with jobs.hold(module, session, job, "push"):
            listed, _lost = holdings(job, job.host, "local")
            chosen, _remark = choose(listed, Wanted(id=given["backup"]), job.name, now())
            id_ = chosen.id
            held, lost = holdings(job, job.host, kind)
            if lost:
                raise lost[0][1]
            there_now = [copy for one in held if one.id == id_ for _name, copy in one.copies]
            state = there_now[0].state if there_now else "missing"
            for copy in [*there_now, chosen.copies[0][1]]:
                if copy.unreadable:  # of every copy the same; to store it again makes none better
                    raise VerifyError(
                        f"backup {id_} holds no whole backup, though its bytes are those that were sent:"
                        " reading them, or a drill, told so",
                        hint="push another one: `lifeboat list` shows those there are",
                    )
            if state == "stored" and not module.check_mode:  # nobody has read it back yet
                found = verify.verify(job, Wanted(id=id_, at=kind), now)[0]
                if found.state == "intact":
                    module.exit_json(changed=True, id=id_, state=found.state)
                if found.state != "corrupt":
                    raise ReadBackError(
                        f"backup {id_} is there and cannot be read back: {found.problem}"
                    )
                state = found.state
            if state not in ("missing", "corrupt") or module.check_mode:
                module.exit_json(changed=state in _DUE, id=id_, state=state)
            from_, to = job.destination("local"), job.destination(kind)
            spool = session.area(job).spool
            carry = mend if state == "corrupt" else replicate
            outcome = carry(Transfer(from_, to, (job.host, job.name, id_), spool, now))
        if outcome.state == "lost":
            raise DestinationError(
                f"backup {id_} was not pushed: {outcome.error}", hint=outcome.hint
            )
        if outcome.state not in ("intact", "archived"):
            raise ReadBackError(f"backup {id_} was pushed and reads back wrong: {outcome.error}")
        if outcome.error:
            raise ReadBackError(f"backup {id_} was pushed, and {outcome.error}", hint=outcome.hint)
        module.exit_json(changed=True, id=id_, state=outcome.state)
