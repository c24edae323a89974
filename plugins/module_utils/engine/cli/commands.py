# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each command is done: (session, its arguments, where results go) -> exit code."""

from __future__ import annotations

from typing import Any, Callable

from ..entries import Entries
from .output import Output
from .session import Session

Command = Callable[[Session, Any, Output], int]


class _Commands(Entries):
    def run(self) -> Command:
        from .run import run

        return run

    def list(self) -> Command:
        from .listing import list_

        return list_

    def verify(self) -> Command:
        from .verify import verify_

        return verify_

    def restore(self) -> Command:
        from .rescue import restore_

        return restore_

    def undo(self) -> Command:
        from .rescue import undo

        return undo

    def confirm(self) -> Command:
        from .rescue import confirm

        return confirm

    def drill(self) -> Command:
        from .drill import drill_

        return drill_

    def prune(self) -> Command:
        from .prune import prune_

        return prune_

    def accept(self) -> Command:
        from .marks import mark

        return mark

    pin = unpin = tag = accept

    def push(self) -> Command:
        from .push import push

        return push

    def rekey(self) -> Command:
        from .rekey import rekey_

        return rekey_

    def bundle(self) -> Command:
        from .bundle import bundle_

        return bundle_

    def fetch(self) -> Command:
        from .fetch import fetch_

        return fetch_

    def status(self) -> Command:
        from .standing import status_

        return status_

    def freshness(self) -> Command:
        from .freshness import freshness

        return freshness

    def metrics(self) -> Command:
        from .exposition import metrics

        return metrics

    def notify(self) -> Command:
        from .notify import notify

        return notify

    def watch(self) -> Command:
        from .follow import follow

        return follow

    def recover(self) -> Command:
        from .recover import recover

        return recover

    def doctor(self) -> Command:
        from .doctor import doctor

        return doctor

    def history(self) -> Command:
        from .audit import history_

        return history_

    def audit(self) -> Command:
        from .audit import audit_

        return audit_

    def report(self) -> Command:
        from .report import report_

        return report_

    def runbook(self) -> Command:
        from .runbook import runbook_

        return runbook_

    def coverage(self) -> Command:
        from .coverage import coverage_

        return coverage_

    def destination(self) -> Command:
        from .destination import destination_

        return destination_


COMMANDS = _Commands()
