# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypt with the age program to public keys; this host cannot read what it wrote."""

from __future__ import annotations

import base64
import binascii
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
_SSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_GPG = b"-----BEGIN PGP "
_KEY_LENGTH = 74  # AGE-SECRET-KEY-1…, see https://age-encryption.org/v1
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
        if _locked(identity):
            raise UsageError(
                "the SSH key is protected by a passphrase, which age would ask for on a terminal",
                hint="take it off a copy in memory: cp KEY /dev/shm/k; ssh-keygen -p -N '' -f /dev/shm/k",
            )
        if identity.lstrip().startswith(_GPG):
            raise UsageError(
                "the identity is a key of gpg, and the archive is encrypted by age",
                hint="give the private key of one of its recipients",
            )
        return Command(("age", "-d", "-i", DESCRIPTOR), secret=identity)

    def opens(self, identity: bytes, record: Mapping[str, Any]) -> bool:
        """Whether a private key fits an archive's record; True where only age itself can tell.

        Raises UsageError for a key that is not whole, as it is after half of it was copied.
        """
        found = self._matching(identity, record)
        if found is None:
            _refuse_what_is_cut_off(identity)
        return found is None or bool(found)

    def owns(self, identity: bytes, record: Mapping[str, Any]) -> frozenset[str]:
        """The recipients of an archive's record that these private keys belong to, where that can be told."""
        return self._matching(identity, record) or frozenset()

    @staticmethod
    def _matching(identity: bytes, record: Mapping[str, Any]) -> frozenset[str] | None:
        """The recipients that these private keys belong to; None where only age itself can tell."""
        recipients = frozenset(str(one) for one in record.get("recipients", ()))
        if identity.lstrip().startswith(_GPG):
            return frozenset()
        if identity.lstrip().startswith(_SSH):
            public = _public_of_ssh(identity)
            if public is None:
                return None
            return frozenset(one for one in recipients if one.split()[:2] == public)
        keys = [line for line in identity.split() if line.upper().startswith(b"AGE-")]
        if not keys or not all(key.startswith(b"AGE-SECRET-KEY-") for key in keys):
            return None  # of a plugin, behind a passphrase
        try:
            told = run(Command(("age-keygen", "-y")), stdin=b"\n".join(keys) + b"\n")
        except (ProcessError, MissingDependency):
            return None
        return recipients.intersection(told.decode().split())

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "recipients": list(self.recipients)}


def _refuse_what_is_cut_off(identity: bytes) -> None:
    for line in identity.split():
        if not line.upper().startswith(b"AGE-SECRET-KEY-1"):
            continue
        try:
            run(Command(("age-keygen", "-y")), stdin=line + b"\n")
        except MissingDependency:
            return
        except ProcessError as exc:
            raise UsageError(
                "the private key is not whole, or has a letter that is wrong",
                hint=f"copy its whole line: it has {_KEY_LENGTH} characters, this one {len(line)}; "
                "nothing was touched",
            ) from exc


def _options(recipients: Sequence[str]) -> tuple[str, ...]:
    """Public keys may be seen in argv; 100 post-quantum ones of 2 kB fit what the kernel takes."""
    return tuple(word for recipient in recipients for word in ("-r", recipient))


def _public_of_ssh(identity: bytes) -> list[str] | None:
    """Type and body of an SSH key's public half, without its comment; None where it cannot be told."""
    if _locked(identity):
        return None  # decoding refuses it, with what to do
    argv = ("ssh-keygen", "-y", "-P", "", "-f", DESCRIPTOR)
    try:
        told = run(Command(argv, secret=identity.strip() + b"\n", secret_again=True))
    except (ProcessError, MissingDependency):
        return None
    return told.decode().split()[:2]


def _locked(identity: bytes) -> bool:
    """Whether an SSH key is behind a passphrase: its cipher is named in the clear (PROTOCOL.key)."""
    if b"ENCRYPTED" in identity[:200]:
        return True
    if not identity.lstrip().startswith(_SSH):
        return False
    body = b"".join(line for line in identity.splitlines() if b"-----" not in line)
    try:
        opened = base64.b64decode(body)
    except binascii.Error:
        return False
    return opened.startswith(b"openssh-key-v1\0") and opened[19:23] != b"none"


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
