# SPDX-License-Identifier: GPL-3.0-or-later
"""Try every way to tell people, for real: `lifeboat notify --test`."""

from __future__ import annotations

from typing import Any

from ..errors import LifeboatError, UsageError
from ..registry import NOTIFIERS
from ..units import iso
from .output import Output, table
from .session import Session, now

PING = "ping"


def notify(session: Session, asked: Any, out: Output) -> int:
    """Send a message to each URL and call the watcher; 1 unless all of them took it."""
    configured = session.configuration.notify
    names = [*sorted(configured.urls), *([PING] if configured.ping else [])]
    if not names:
        raise UsageError(
            "nobody is told anything: `notify` names no URL",
            hint="set lifeboat_notify and run site.yml, see docs/configuration.md#notify",
        )
    unknown = [name for name in asked.to if name not in names]
    if unknown:
        raise UsageError(f"notify.urls has no {unknown[0]!r}", hint="it has: " + ", ".join(names))
    told = []
    for name in asked.to or names:
        problem = _try(session, name)
        told.append({"to": name, "delivered": not problem, "problem": problem})
    rows = [
        [str(one["to"]), "yes" if one["delivered"] else "NO", str(one["problem"])] for one in told
    ]
    out.result(told, table(["TO", "DELIVERED", "WHY NOT"], rows))
    return 0 if all(one["delivered"] for one in told) else 1


def _try(session: Session, name: str) -> str:
    """Why it was not delivered; "" if it was."""
    configured, host = session.configuration.notify, session.configuration.host
    try:
        if name == PING and configured.ping is not None:
            NOTIFIERS["ping"](configured.ping).send(good=True)
        else:
            title = f"lifeboat on {host}: a test"
            body = f"Sent at {iso(now())} by `lifeboat notify --test`. Nothing is wrong."
            NOTIFIERS["apprise_url"](name, configured.urls[name]).send(title, body, "good")
    except LifeboatError as exc:
        return " ".join(line.strip() for line in exc.lines())
    except Exception as exc:  # a library's own error; its text may hold the URL
        return f"not delivered: {type(exc).__name__}"
    return ""
