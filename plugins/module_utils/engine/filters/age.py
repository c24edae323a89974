# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypt with the age program to public keys; this host cannot read what it wrote."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError, MissingDependency, ProcessError, UsageError
from ..model import DESCRIPTOR, Command
from ..process import run

_SECRET = re.compile(r"AGE-(SECRET-KEY|PLUGIN)-|PRIVATE KEY", re.IGNORECASE)
_POST_QUANTUM = ("age1pq1", "age1tagpq1")
_PROTECTED = (b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----")
_KEY = "encryption.age_recipients"


class Age:
    """Recipients are public keys: "age1...", "ssh-ed25519 ...", "ssh-rsa ...". Decoding needs none.

    Raises ConfigError at once for a private key, so that it never reaches an argv.
    """

    kind = "age"
    suffix = ".age"
    needs_identity = True

    def __init__(self, recipients: Sequence[str] = ()) -> None:
        for place, recipient in enumerate(recipients):
            if _SECRET.search(recipient):
                raise ConfigError(
                    "%s, entry %d: this is a private key" % (_KEY, place + 1),
                    hint="give the public key (age-keygen -y FILE prints it); make a new pair: "
                    "this one has been in a configuration",
                )
        self.recipients = tuple(recipient.strip() for recipient in recipients)

    def check(self) -> None:
        if shutil.which("age") is None:
            raise MissingDependency(
                "the program age is not on this machine", hint="install the package age"
            )
        if not self.recipients:
            raise ConfigError(
                "%s: there is no recipient to encrypt to" % _KEY,
                hint="make a key with `age-keygen -o operator.key` and give its public key",
            )
        modern = [one for one in self.recipients if one.startswith(_POST_QUANTUM)]
        if modern and len(modern) < len(self.recipients):
            raise ConfigError(
                "%s: post-quantum and classic keys cannot be mixed in one archive" % _KEY,
                hint="make all recipients post-quantum (age1pq1...), or none",
            )
        for place, recipient in enumerate(self.recipients):
            _try(place, recipient)

    def encode(self) -> Command:
        if not self.recipients:
            raise UsageError("age has no recipient to encrypt to")
        return Command(("age",) + _options(self.recipients))

    def decode(self, identity: bytes | None) -> Command:
        if identity is None:
            raise UsageError(
                "this archive is encrypted: reading it needs the private key",
                hint="give it with --identity FILE, or --identity - and the key on standard input",
            )
        if identity.lstrip().startswith(_PROTECTED):
            raise UsageError(
                "the identity is protected by a passphrase, which age would ask for on a terminal",
                hint="decrypt it on the way: age -d FILE | lifeboat ... --identity -",
            )
        return Command(("age", "-d", "-i", DESCRIPTOR), secret=identity)

    def opens(self, identity: bytes, record: Mapping[str, Any]) -> bool:
        """Whether a private key fits an archive's record; True where only age itself can tell."""
        public = _public(identity)
        return public is None or not public.isdisjoint(record.get("recipients", ()))

    def owns(self, identity: bytes, record: Mapping[str, Any]) -> frozenset[str]:
        """The recipients of an archive's record that these private keys belong to, where that can be told."""
        return (_public(identity) or frozenset()).intersection(record.get("recipients", ()))

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "recipients": list(self.recipients)}


def _public(identity: bytes) -> frozenset[str] | None:
    """The public keys of private ones; None of SSH, of a plugin, behind a passphrase."""
    keys = [line for line in identity.split() if line.upper().startswith(b"AGE-")]
    if not keys or not all(key.startswith(b"AGE-SECRET-KEY-1") for key in keys):
        return None
    try:
        told = run(Command(("age-keygen", "-y")), stdin=b"\n".join(keys) + b"\n")
    except (ProcessError, MissingDependency):
        return None
    return frozenset(told.decode().split())


def _options(recipients: Sequence[str]) -> tuple[str, ...]:
    """Public keys may be seen in argv; 100 post-quantum ones of 2 kB fit what the kernel takes."""
    return tuple(word for recipient in recipients for word in ("-r", recipient))


def _try(place: int, recipient: str) -> None:
    """Let age itself judge one recipient; raises ConfigError that names it."""
    try:
        run(Command(("age",) + _options([recipient])))
    except ProcessError as exc:
        shown = recipient[:16] + ("..." if len(recipient) > 16 else "")
        hint = "give an age (age1...) or SSH (ssh-ed25519 ..., ssh-rsa ...) public key"
        if recipient.startswith(_POST_QUANTUM):
            hint = "post-quantum keys need age 1.3 or newer here"
        raise ConfigError(
            "%s, entry %d: age does not take %r" % (_KEY, place + 1, shown),
            # what was pasted here by mistake might be secret: never the whole of it
            detail=exc.detail.replace(recipient, shown) if recipient else exc.detail,
            hint=hint,
        ) from exc
