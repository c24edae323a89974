# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypt with GnuPG to public keys that the configuration pins; never with anybody's own keyring."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import ConfigError, LifeboatError, MissingDependency, ProcessError, UsageError
from ..files import read_small
from ..model import DESCRIPTOR, Command, PublicKey
from ..process import run
from .gpg_home import home

_SINCE = (2, 2, 8)  # older ones take a message without an integrity check for a good one
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PRIVATE = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_PASSPHRASE = re.compile(rb"\A\s*passphrase: ?([^\r\n]*)\r?\n")
_WHERE = "encryption.gpg_recipients"
_KEYS = "encryption.gpg_keys"
_GPG = ("gpg", "--no-options", "--batch", "--no-tty", "--quiet", "--no-greeting")


class Gpg:
    """`recipients` are full fingerprints; `keys` their public keys, armoured, or absolute paths of such.

    Raises ConfigError at once for a private key and for what is no fingerprint.
    """

    kind = "gpg"
    suffix = ".gpg"
    needs_identity = True

    def __init__(self, recipients: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        self.recipients = tuple(_fingerprint(*one) for one in enumerate(recipients))
        for place, key in enumerate(keys):
            if "PRIVATE KEY" in key:
                raise ConfigError(
                    "%s, entry %d: this is a private key" % (_KEYS, place + 1),
                    hint="give what `gpg --armor --export FINGERPRINT` prints; make a new pair: this "
                    "one has been in a configuration",
                )
        self._keys = tuple(keys)

    def check(self) -> None:
        _require_gpg()
        if not self.recipients:
            raise ConfigError(
                "%s: there is no recipient to encrypt to" % _WHERE,
                hint="give the fingerprint that `gpg --fingerprint` shows",
            )
        there = {one.fingerprint: one for one in self.public_keys()}
        for place, recipient in enumerate(self.recipients):
            where = "%s, entry %d" % (_WHERE, place + 1)
            if recipient not in there:
                raise ConfigError(
                    f"{where}: gpg_keys has no primary key {recipient}",
                    hint="add what `gpg --armor --export %s` prints to gpg_keys" % recipient,
                )
            if there[recipient].broken:
                raise _unusable(where, recipient, there[recipient].broken)
            try:
                run(self._encoder([recipient]), stdin=b"?")
            except ProcessError as exc:
                raise _unusable(where, recipient, "cannot be encrypted to", exc.detail) from exc

    def public_keys(self) -> list[PublicKey]:
        """Every primary key that `keys` holds, with when it ends; asks gpg."""
        return [one for block in self._blocks() for one in _listed(block)]

    def encode(self) -> Command:
        if not self.recipients:
            raise UsageError("gpg has no recipient to encrypt to")
        return self._encoder(self.recipients)

    def decode(self, identity: bytes | None) -> Command:
        if identity is None:
            raise UsageError(
                "this archive is encrypted: reading it needs the private key",
                hint="give it with --identity FILE, or --identity - and the key on standard input",
            )
        key, passphrase = _split(identity)
        if not key.startswith(_PRIVATE):
            raise UsageError(
                "the identity is no private key of gpg",
                hint="give what `gpg --armor --export-secret-keys FINGERPRINT` prints",
            )
        argv = [*_GPG, "--pinentry-mode", "loopback", "--disable-dirmngr"]
        if passphrase is not None:
            argv += ["--passphrase-file", DESCRIPTOR]
        return Command(
            (*argv, "--decrypt", "--output", "-"),
            secret=None if passphrase is None else passphrase + b"\n",
            within=lambda: _ring([key], secret=True),
        )

    def opens(self, identity: bytes, record: Mapping[str, Any]) -> bool:
        """Whether a private key fits an archive's record; True where only gpg itself can tell."""
        found = self._matching(identity, record)
        return found is None or bool(found)

    def owns(self, identity: bytes, record: Mapping[str, Any]) -> frozenset[str]:
        """The recipients of an archive's record that this private key belongs to, where that can be told."""
        return self._matching(identity, record) or frozenset()

    @staticmethod
    def _matching(identity: bytes, record: Mapping[str, Any]) -> frozenset[str] | None:
        key, _passphrase = _split(identity)
        if not key.startswith(_PRIVATE):
            return frozenset()
        try:
            told = _list(key, secret=True)
        except (ProcessError, MissingDependency):
            return None
        fingerprints = frozenset(one[9] for kind, one in _fingerprints(told) if kind == "sec")
        return fingerprints.intersection(str(one) for one in record.get("recipients", ()))

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "recipients": list(self.recipients)}

    def _encoder(self, recipients: Sequence[str]) -> Command:
        # --rfc4880: what a newer gpg would write with OCB, gpg of Debian 11 could not read
        argv = [*_GPG, "--no-autostart", "--rfc4880", "--trust-model", "always", "--no-encrypt-to"]
        argv += ["--cipher-algo", "AES256", "--compress-algo", "none", "--no-auto-key-locate"]
        for one in recipients:
            argv += ["--recipient", one]
        return Command(
            (*argv, "--encrypt", "--output", "-"),
            within=lambda: _ring(self._blocks(), secret=False),
        )

    def _blocks(self) -> list[bytes]:
        """The armoured public keys, those in files read now."""
        made = []
        for place, key in enumerate(self._keys):
            where = "%s, entry %d" % (_KEYS, place + 1)
            content = key.encode()
            if key.startswith("/"):
                try:
                    content = read_small(Path(key))
                except OSError as exc:
                    raise ConfigError(f"{where}: {key} cannot be read: {exc.strerror}") from exc
            if b"PRIVATE KEY" in content:
                raise ConfigError(
                    f"{where}: this is a private key", hint="put the public key there"
                )
            if not content.lstrip().startswith(_BLOCK.encode()):
                raise ConfigError(
                    f"{where}: this is no armoured public key, and no absolute path of one",
                    hint="give what `gpg --armor --export FINGERPRINT` prints",
                )
            made.append(content)
        return made


def _fingerprint(place: int, text: str) -> str:
    plain = text.replace(" ", "").upper()
    if not _FINGERPRINT.fullmatch(plain):
        raise ConfigError(
            "%s, entry %d: write a full fingerprint, 40 hexadecimal digits" % (_WHERE, place + 1),
            hint="`gpg --fingerprint` shows it; a short id or a name could be somebody else's key",
        )
    return plain


def _require_gpg() -> None:
    if shutil.which("gpg") is None:
        raise MissingDependency(
            "the program gpg is not on this machine", hint="install the package gpg"
        )
    said = run(Command(("gpg", "--version"))).decode("utf-8", "replace")
    found = re.search(r" (\d+)\.(\d+)\.(\d+)", said)
    if found is None or tuple(int(one) for one in found.groups()) < _SINCE:
        raise MissingDependency("gpg 2.2.8 or newer is needed", detail=said.splitlines()[0])


def _unusable(where: str, recipient: str, why: str, detail: str = "") -> ConfigError:
    return ConfigError(
        f"{where}: the key {recipient} {why}",
        detail=detail,
        hint="extend it (`gpg --quick-set-expire`, then export it again) or name another recipient",
    )


def _split(identity: bytes) -> tuple[bytes, bytes | None]:
    """(armoured key, passphrase or None): a first line `passphrase: …` may stand before the key."""
    found = _PASSPHRASE.match(identity)
    rest = identity[found.end() :] if found else identity
    return rest.strip() + b"\n", found.group(1) if found else None


@contextmanager
def _ring(keys: Sequence[bytes], secret: bool) -> Iterator[Mapping[str, str]]:
    """A keyring of these keys alone; gone with the program that uses it."""
    _require_gpg()
    if secret and shutil.which("gpg-agent") is None:
        raise MissingDependency(
            "the program gpg-agent is not on this machine, and gpg opens no private key without it",
            hint="install the package gpg-agent",
        )
    with home(secret) as variables:
        agent = () if secret else ("--no-autostart",)
        for key in keys:
            try:
                run(Command((*_GPG, *agent, "--import"), env=variables), stdin=key)
            except ProcessError as exc:
                raise LifeboatError(
                    f"gpg does not take the {'private' if secret else 'public'} key",
                    detail=exc.detail,
                    hint="export it again, armoured",
                ) from exc
        yield variables


def _list(block: bytes, secret: bool = False) -> list[list[str]]:
    """gpg's colon lines of the keys in a block, which is not imported anywhere; doc/DETAILS of GnuPG."""
    command = Command(
        (*_GPG, "--no-autostart", "--with-colons", "--show-keys"), within=lambda: home(secret)
    )
    told = run(command, stdin=block).decode("utf-8", "replace")
    return [line.split(":") for line in told.splitlines()]


def _fingerprints(told: list[list[str]]) -> Iterator[tuple[str, list[str]]]:
    """(kind of key, its `fpr` line): "pub" and "sec" are primary keys."""
    kind = ""
    for fields in told:
        if fields[0] in ("pub", "sub", "sec", "ssb"):
            kind = fields[0]
        elif fields[0] == "fpr":
            yield kind, fields


def _listed(block: bytes) -> Iterator[PublicKey]:
    try:
        told = _list(block)
    except ProcessError as exc:
        raise ConfigError(f"{_KEYS}: gpg does not take a key", detail=exc.detail) from exc
    starts = [index for index, fields in enumerate(told) if fields[0] == "pub"] + [len(told)]
    for begin, end in zip(starts, starts[1:]):
        lines = told[begin:end]
        fingerprint = next((one[9] for one in lines if one[0] == "fpr"), lines[0][4])
        yield _judged(fingerprint, [fields for fields in lines if fields[0] in ("pub", "sub")])


def _judged(fingerprint: str, keys: list[list[str]]) -> PublicKey:
    """The primary key ends all; of those that encrypt the one that lasts longest counts."""
    primary, never = keys[0], datetime.max.replace(tzinfo=timezone.utc)
    if primary[1] in ("r", "e"):
        return PublicKey(
            fingerprint, _ends(primary), "is revoked" if primary[1] == "r" else "has expired"
        )
    able = [one for one in keys if "e" in one[11]]
    alive = [one for one in able if one[1] not in ("r", "e", "i", "d")]
    if not alive:
        ended = [one for one in able if one[1] == "e"]
        return PublicKey(fingerprint, None, "has expired" if ended else "cannot encrypt")
    last = min(_ends(primary) or never, max(_ends(one) or never for one in alive))
    return PublicKey(fingerprint, None if last == never else last)


def _ends(fields: list[str]) -> datetime | None:
    return datetime.fromtimestamp(int(fields[6]), timezone.utc) if fields[6] else None
