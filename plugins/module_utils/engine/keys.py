# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong, or soon will be, with the public keys that a job encrypts to. Asked by several doors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .errors import LifeboatError
from .job import Job
from .model import PublicKey
from .units import human_duration

SOON = timedelta(days=30)


@dataclass(frozen=True)
class KeyFinding:
    """level: "warning", or "critical" where no backup can be made. `hint` is what to do."""

    level: str
    text: str
    hint: str

    @property
    def line(self) -> str:
        return f"{self.text}: {self.hint}"


def key_findings(job: Job, now: datetime) -> list[KeyFinding]:
    """The worst first; empty where all is well, or where the job says that nothing is encrypted."""
    found: list[KeyFinding] = []
    for one in job.filters:
        if not one.needs_identity:
            continue
        recipients = {str(recipient) for recipient in one.record().get("recipients", ())}
        if len(recipients) == 1:
            found.append(
                KeyFinding(
                    "warning",
                    f"backups open with one {one.kind} key alone",
                    "add a second recipient, kept elsewhere: who loses that key loses every backup",
                )
            )
        asked = getattr(one, "public_keys", None)  # of ports.Filter, for keys that end
        try:
            keys: list[PublicKey] = asked() if asked else []
        except LifeboatError as exc:
            found.append(KeyFinding("critical", str(exc), exc.hint or "see its keys"))
            continue
        found += [
            _judge(key, now) for key in keys if key.fingerprint in recipients and _ends(key, now)
        ]
    return sorted(found, key=lambda one: one.level)


def _ends(key: PublicKey, now: datetime) -> bool:
    return bool(key.broken) or (key.expires_at is not None and key.expires_at - now < SOON)


def _judge(key: PublicKey, now: datetime) -> KeyFinding:
    hint = "extend it and its subkeys with `gpg --quick-set-expire`, and put the new export into gpg_keys"
    if key.broken or key.expires_at is None or key.expires_at <= now:
        return KeyFinding(
            "critical", f"the key {key.fingerprint} {key.broken or 'has expired'}", hint
        )
    left = human_duration(key.expires_at - now)
    return KeyFinding("warning", f"the key {key.fingerprint} ends in {left}", hint)
