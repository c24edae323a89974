# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore gate: may this restore happen? Pure, one function, asked by every door.

dev and staging pause; production wants the phrase, typed on a terminal, or, without one, together
with an explicit backup id and target host, so that a saved command cannot be replayed elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import GateRefused

PHRASE = "RESTORE PRODUCTION"
PAUSE_S = 5
_UNTOUCHED = "nothing was touched"
ENVIRONMENTS = ("dev", "staging", "production")


@dataclass(frozen=True)
class Ask:
    """What the gate looks at. Nothing here is a secret."""

    environment: str  # of this host's job
    host: str  # this host
    backup_id: str
    backup_host: str  # where the backup was made
    backup_environment: str
    verified: bool  # every stored byte was read and hashed just now
    refusals: tuple[str, ...]  # from the sources: version, space, extensions
    id_was_named: bool  # the operator named the id, not `latest`
    target_host: str = ""  # the host that the operator named
    from_host: str = ""  # the backup's host, when the operator named it
    phrase: str | None = None  # what was typed or given; None = not asked yet
    unsigned: str = ""  # why the manifest does not count as signed, where it has to be
    terminal: bool = False  # the phrase comes from a person at a terminal


@dataclass(frozen=True)
class Decision:
    """pause_s: how long to wait, cancellable. ask_phrase: a person must type `words` first."""

    pause_s: int = 0
    ask_phrase: bool = False


def answer(decision: Decision) -> str:
    """What was asked of whoever passed, for the audit log."""
    return "pause" if decision.pause_s else "phrase"


def decide(ask: Ask) -> Decision:
    """Say how to go on, or raise GateRefused with every reason at once."""
    reasons = list(ask.refusals)
    if not ask.verified:
        reasons.append("the archives of this backup have not been verified")
    if ask.backup_host != ask.host and ask.from_host != ask.backup_host:
        reasons.append(
            f"the backup is of host {ask.backup_host}, this is {ask.host}: "
            f"name it with --from-host {ask.backup_host} (from_host in a playbook)"
        )
    if ask.backup_environment != ask.environment and ask.from_host != ask.backup_host:
        reasons.append(
            f"the backup is of environment {ask.backup_environment}, this is {ask.environment}: "
            f"name its host with --from-host {ask.backup_host}"
        )
    if ask.target_host and ask.target_host != ask.host:
        reasons.append(f"this is {ask.host}, the restore was meant for {ask.target_host}")
    if ask.environment != "production" and not ask.unsigned:
        _raise_if(reasons, ask)
        return Decision(pause_s=PAUSE_S)
    if ask.phrase is None and ask.terminal:
        _raise_if(reasons, ask)
        return Decision(ask_phrase=True)
    hint = _UNTOUCHED
    if ask.phrase != words(ask):
        hint += f"; type it in capitals, as it stands: {words(ask)}" if ask.phrase else ""
        why = f", for {ask.unsigned}" if ask.unsigned else ""
        what = "production" if ask.environment == "production" else "an unsigned backup"
        reasons.append(f"{what} needs the phrase {words(ask)}{why}")
    if not ask.terminal and ask.environment == "production":
        if not ask.id_was_named:
            reasons.append("without a terminal, production needs an explicit backup id, not latest")
        if not ask.target_host:
            reasons.append("without a terminal, production needs the target host named")
    _raise_if(reasons, ask, hint)
    return Decision()


def words(ask: Ask) -> str:
    """What has to be typed; other words where the backup is not signed, so that habit types the wrong ones."""
    said = PHRASE if ask.environment == "production" else PHRASE.split()[0]
    return said + " UNSIGNED" if ask.unsigned else said


def _raise_if(reasons: list[str], ask: Ask, hint: str = _UNTOUCHED) -> None:
    if reasons:
        raise GateRefused(
            f"restore of {ask.backup_id} on {ask.host} refused: " + "; ".join(reasons),
            hint=hint,
        )
