# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat receiver seal|prune`: what a host that receives backups does with them, by timer."""

from __future__ import annotations

from typing import Any

from .. import receiving
from ..files import lock
from ..operations.upkeep.seal import seal
from ..paths import Paths
from .output import Output
from .prune import prune_
from .session import Session


def receive(paths: Paths, asked: Any, out: Output) -> int:
    """1 when anything of one client went wrong; the others are done all the same."""
    known = receiving.load(paths.config / "receiver.json")
    with lock(paths.state / "locks" / "receiver.lock", asked.action, wait=True):
        if asked.action == "seal":
            return _seal(known.clients, asked, out)
        asked.all_hosts, asked.from_host, asked.job = True, "", None
        return prune_(Session(paths, known.retention), asked, out)


def _seal(clients: tuple[receiving.Client, ...], asked: Any, out: Output) -> int:
    done = [seal(client.name, client.path, client.gid()) for client in clients]
    for one in done:
        for key in one.busy:
            out.note(f"{one.client}: {key} is still open for writing; it is sealed the next time")
        if one.failure:
            out.note(one.failure)
    lines = [f"{one.client}: sealed {len(one.sealed)} files" for one in done if one.sealed]
    nothing = "" if asked.quiet else "nothing new to seal"  # a timer asks every few minutes
    out.result([vars(one) for one in done], "\n".join(lines) or nothing)
    return 1 if any(one.failure for one in done) else 0
