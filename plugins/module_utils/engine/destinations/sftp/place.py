# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an SFTP server is, which host keys it must prove, and what is shown to it: checked, nothing connected."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ConfigError
from ...model import Secret

_HOP = re.compile(r"(?:([^@\s]+)@)?([^@\s:\[\]]+|\[[^\]\s]+\])(?::(\d{1,5}))?")
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+")
_PIN_HINT = "write the server's public key, ssh-ed25519 AAAA…, or lines as in known_hosts"


@dataclass(frozen=True)
class Hop:
    """One SSH server on the way; the last one has the files."""

    host: str
    port: int
    user: str
    credential: Secret

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port != 22 else self.host


@dataclass(frozen=True)
class Place:
    """How to reach one SFTP server. Times are in seconds."""

    destination: str  # its name, for errors
    hops: tuple[Hop, ...]  # jump hosts first
    known_hosts: str  # lines as in that file
    connect_timeout_s: float
    timeout_s: float  # for one answer
    keepalive_s: float

    @property
    def server(self) -> Hop:
        return self.hops[-1]

    def told(self, verb: str, what: str = "") -> str:
        """How an error begins."""
        return f"destination {self.destination}: cannot {verb} {what or self.server}"


def hops(
    where: str, jumps: Sequence[str], jump_credential: Secret | None, server: Hop
) -> tuple[Hop, ...]:
    """The jump hosts, written [user@]host[:port], and then `server`."""
    made = []
    for text in jumps:
        found = _HOP.fullmatch(text)
        if not found:
            raise ConfigError(f"{where}.jump_hosts: {text!r} is not [user@]host[:port]")
        user, host, port = found.groups()
        credential = jump_credential or server.credential
        made.append(Hop(host.strip("[]"), int(port or 22), user or server.user, credential))
    return (*made, server)


def known_hosts(where: str, host_key: str, server: Hop) -> str:
    """`host_key` as lines of known_hosts; a bare key is that of `server`. Raises ConfigError."""
    pattern = f"[{server.host}]:{server.port}" if server.port != 22 else server.host
    lines = []
    for line in host_key.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if _KEY_TYPE.fullmatch(words[0]):
            words = [pattern, *words]
        key = words[2:] if words[0].startswith("@") else words[1:]
        if len(key) < 2 or not _is_key(key[0], key[1]):
            raise ConfigError(f"{where}.host_key: {line!r} has no public key", hint=_PIN_HINT)
        lines.append(" ".join(words))
    if not lines:
        raise ConfigError(f"{where}.host_key: there is no key", hint=_PIN_HINT)
    return "\n".join(lines)


def login(where: str, credential: Secret) -> tuple[str, str]:
    """("private_key" or "password", its text) of a credential; raises ConfigError."""
    value = credential.reveal()
    given = value if isinstance(value, dict) else {"private_key": value}
    for kind in ("private_key", "password"):
        text = given.get(kind)
        if len(given) == 1 and isinstance(text, str) and text.strip():
            return kind, text
    raise ConfigError(
        f"the credential {credential.name!r} of {where} is no SSH login",
        hint="it is the text of a private key, or a mapping with private_key or with password",
    )


def _is_key(kind: str, text: str) -> bool:
    """Whether `text` is a whole public key, in base64, of that kind: texts, each behind its length."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    parts = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "big")
        if end > len(raw):
            return False
        parts.append(raw[4:end])
        raw = raw[end:]
    return bool(_KEY_TYPE.fullmatch(kind)) and len(parts) > 1 and parts[0] == kind.encode()
