# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether a private key opens a backup, and to which of its recipients it belongs, before a fetch."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...errors import UsageError
from ...model import Manifest
from .plain import Decoders

_SHOWS = {"age": "age-keygen -y FILE", "gpg": "gpg --show-keys FILE"}


class WrongIdentity(UsageError):
    """A private key was given, and it is not one of those that open the backup."""


def require_identity(
    manifest: Manifest, sources: Collection[str], decoders: Decoders, identity: bytes | None
) -> None:
    """Say now, and not after an hour of fetching, that a key is needed, or is the wrong one.

    Raises UsageError, WrongIdentity.
    """
    told = ", ".join(recipients(manifest))
    for kind, record in _filters(manifest, sources, decoders):
        decoder = decoders[kind]()
        if identity is None and decoder.needs_identity:
            raise UsageError(
                f"backup {manifest.id} is encrypted, and restoring it needs the private key",
                hint=f"--identity - lets you paste it, --identity FILE reads it; any one of: {told}",
            )
        opens = getattr(decoder, "opens", None)
        if identity is not None and opens is not None and not opens(identity, record):
            public = b"PUBLIC KEY" in identity or identity.lstrip().startswith(b"age1")
            what = "a public key was given, and it" if public else "the private key that was given"
            raise WrongIdentity(
                f"{what} does not open backup {manifest.id}",
                hint=f"give a private one that belongs to: {told}; `{_SHOWS.get(kind, _SHOWS['age'])}`"
                " shows what FILE belongs to",
            )


def opened_by(
    manifest: Manifest, sources: Collection[str], decoders: Decoders, identity: bytes | None
) -> tuple[str, ...]:
    """The recipients of a backup that a private key belongs to; () where that cannot be told."""
    found: set[str] = set()
    for kind, record in _filters(manifest, sources, decoders):
        owns = getattr(decoders[kind](), "owns", None)
        if identity is not None and owns is not None:
            found.update(owns(identity, record))
    return tuple(sorted(found))


def fingerprint(recipient: str) -> str:
    """SHA256:… of a public key as it is written in the manifest, in the manner of ssh-keygen -l."""
    digest = hashlib.sha256(recipient.encode("utf-8")).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def recipients(manifest: Manifest) -> list[str]:
    """The public keys that the archives of a backup were encrypted to."""
    return sorted(
        {
            str(recipient)
            for archive in manifest.archives
            for one in archive.filters
            for recipient in one.get("recipients", [])
        }
    )


def _filters(
    manifest: Manifest, sources: Collection[str], decoders: Decoders
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the archives of these sources went through, each only once."""
    seen: list[Mapping[str, Any]] = []
    for archive in manifest.archives:
        for one in archive.filters if archive.source in sources else ():
            if one["kind"] in decoders and one not in seen:
                seen.append(one)
                yield str(one["kind"]), one
