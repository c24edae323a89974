# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the writers of a Redis or Valkey server, and wait until it has loaded, and written, what it was given."""

from __future__ import annotations

import time

from ...errors import SourceError
from .client import Refused, Server, keyspace
from .dump import save_file
from .master import Master

_PAUSE_MS = 600_000  # so long at most writes wait for a restore that was killed
_STALLED_S = 60.0
_STEP_S = 0.1
_MOST_S = 6 * 3600.0
_PROGRESS = ("loading", "loading_loaded_bytes", "master_sync_in_progress", "master_sync_left_bytes")


def calm(server: Server) -> dict[str, str]:
    """What INFO says once the server is not loading."""
    until = time.monotonic() + _MOST_S
    info = server.info()
    while info.get("loading") == "1":
        if time.monotonic() > until:
            raise SourceError(f"{server.where} does not end loading its data")
        time.sleep(_STEP_S)
        info = server.info()
    return info


def until_loaded(server: Server, master: Master) -> dict[int, int]:
    """The keys of each database, while nobody but us can have changed them."""
    seen: tuple[str | None, ...] = ()
    since = time.monotonic()
    while True:
        info = server.info()
        if info.get("master_link_status") == "up" and info.get("loading") == "0":
            return keyspace(info)
        now = tuple(info.get(name) for name in _PROGRESS)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _STALLED_S:
            raise SourceError(
                f"{server.where} fetched the data and does not load it", hint="see its log"
            )
        master.keep_alive()
        time.sleep(_STEP_S)


def for_aof(server: Server, master: Master | None = None) -> None:
    """A rewritten AOF is what makes the new data last: until then a restart brings the old."""
    until = time.monotonic() + _MOST_S
    while True:
        info = server.info()
        busy = "1" in (info.get("aof_rewrite_in_progress"), info.get("aof_rewrite_scheduled"))
        if info.get("aof_enabled") != "1" or not busy:
            break
        if time.monotonic() > until:
            raise SourceError(f"{server.where} does not end the rewrite of its AOF")
        if master is not None:
            master.keep_alive()
        time.sleep(_STEP_S)
    if info.get("aof_enabled") == "1" and info.get("aof_last_bgrewrite_status") != "ok":
        raise SourceError(
            f"{server.where} could not rewrite its AOF", hint="see its log: most often a full disk"
        )


def pause(server: Server) -> None:
    """Let writers wait, so that what is kept has their last word. Servers before 6.2 cannot."""
    try:
        server.ask("CLIENT", "PAUSE", str(_PAUSE_MS), "WRITE")
    except Refused:
        pass


def unpause(server: Server) -> None:
    try:
        server.ask("CLIENT", "UNPAUSE")
    except Refused:
        pass


def clean_file(server: Server) -> None:
    """What the server fetched lies on its disk with the mark in it: have it saved without."""
    try:
        save_file(server)
    except (
        SourceError
    ):  # no memory to fork, say: the data is right, and a restart brings the mark back
        server.info()
