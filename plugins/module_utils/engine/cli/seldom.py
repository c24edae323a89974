# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that a nightly run has no use for: each is loaded when it is asked for, since a start counts."""

from __future__ import annotations

from typing import Any

from .output import Output
from .session import Session


def audit(session: Session, asked: Any, out: Output) -> int:
    from .audit import audit_ as act

    return act(session, asked, out)


def bundle(session: Session, asked: Any, out: Output) -> int:
    from .bundle import bundle_ as act

    return act(session, asked, out)


def coverage(session: Session, asked: Any, out: Output) -> int:
    from .coverage import coverage_ as act

    return act(session, asked, out)


def destination(session: Session, asked: Any, out: Output) -> int:
    from .destination import destination_ as act

    return act(session, asked, out)


def doctor(session: Session, asked: Any, out: Output) -> int:
    from .doctor import doctor as act

    return act(session, asked, out)


def drill(session: Session, asked: Any, out: Output) -> int:
    from .drill import drill_ as act

    return act(session, asked, out)


def fetch(session: Session, asked: Any, out: Output) -> int:
    from .fetch import fetch_ as act

    return act(session, asked, out)


def freshness(session: Session, asked: Any, out: Output) -> int:
    from .freshness import freshness as act

    return act(session, asked, out)


def history(session: Session, asked: Any, out: Output) -> int:
    from .audit import history_ as act

    return act(session, asked, out)


def metrics(session: Session, asked: Any, out: Output) -> int:
    from .exposition import metrics as act

    return act(session, asked, out)


def notify(session: Session, asked: Any, out: Output) -> int:
    from .notify import notify as act

    return act(session, asked, out)


def rekey(session: Session, asked: Any, out: Output) -> int:
    from .rekey import rekey_ as act

    return act(session, asked, out)


def report(session: Session, asked: Any, out: Output) -> int:
    from .report import report_ as act

    return act(session, asked, out)


def runbook(session: Session, asked: Any, out: Output) -> int:
    from .runbook import runbook_ as act

    return act(session, asked, out)


def watch(session: Session, asked: Any, out: Output) -> int:
    from .follow import follow as act

    return act(session, asked, out)
