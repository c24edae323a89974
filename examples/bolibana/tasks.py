"""Celery tasks that back the application up by `lifeboat run`. Put it beside the tasks you have."""

from __future__ import annotations

import json
import subprocess

from celery import shared_task

# What sudoers.d/bolibana allows, word by word.
RUN = [
    "sudo",
    "--non-interactive",
    "/usr/local/bin/lifeboat",
    "run",
    "bolibana",
    "--json",
    "--quiet",
]
HELD = 5  # another operation, a restore say, holds the job


class BackupFailed(Exception):
    """No backup, or not at every place; the message says why."""


@shared_task(bind=True, max_retries=12)
def back_up(self) -> str:
    """Back up now, and prove every copy; the backup's id. Exit codes: docs/command.md."""
    done = subprocess.run(RUN, capture_output=True, text=True, check=False)
    if done.returncode == HELD:
        raise self.retry(countdown=300)
    report = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        raise BackupFailed(report.get("error") or report.get("destinations") or done.stderr)
    return report["id"]
