# SPDX-License-Identifier: GPL-3.0-or-later
"""Give an ACL user what a dump takes, and nothing else; keep it past a restart. Idempotent."""

from __future__ import annotations

import hashlib

from ...model import Secret
from .client import Refused, Server

# with it a check finds a command that the server has renamed
_LOOK = ("+ping", "+info", "+command|info")
REPLICATION = (*_LOOK, "+sync", "+psync", "+replconf")
BGSAVE = (*_LOOK, "+bgsave", "+config|get")


def prepare(
    server: Server, user: str, password: Secret | None, method: str, dry_run: bool
) -> list[str]:
    """What `user` lacked, in words; done unless `dry_run`. `server` is seen as an administrator."""
    rights = BGSAVE if method == "bgsave" else REPLICATION
    has = _rights_of(server, user)
    digest = hashlib.sha256(str(password.reveal()).encode()).hexdigest() if password else ""
    secret = "#" + digest if digest else "nopass"
    lacking = [] if "+@all" in has else [one for one in rights if one not in has]
    wanted = (["on"] if "on" not in has else []) + (["-@all"] if not has else []) + lacking
    if not wanted and secret in has:
        return []
    told = " ".join(["ACL SETUSER", user, *wanted, "" if secret in has else "resetpass >***"])
    if not dry_run:
        # its hash stands in for the password there, so it is not shown either
        server.ask("ACL", "SETUSER", user, *wanted, "resetpass", last=secret)
        told = told.strip() + _made_to_last(server)
    return [told.strip()]


def _rights_of(server: Server, user: str) -> set[str]:
    for line in server.ask("ACL", "LIST").split("\n"):
        words = line.split(" ")
        if words[:2] == ["user", user]:
            return set(words[2:])
    return set()


def _made_to_last(server: Server) -> str:
    try:
        if server.config("aclfile").get("aclfile"):
            server.ask("ACL", "SAVE")
        else:
            server.ask("CONFIG", "REWRITE")
    except Refused as exc:
        return f" (until the next restart only: {exc.message.split(': ')[-1]})"
    return ""
