# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign manifests and check who signed one, with ssh-keygen -Y. docs/format.md#signature."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import ConfigError, ProcessError, UnsignedError, UsageError
from .fleeting import fleeting
from .model import DESCRIPTOR, Command, Secret
from .process import run

NAMESPACE = "lifeboat"
LIMIT = 64 << 10  # of a signature, in bytes
_SIGNER = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: [^\r\n]*)?")
_ALLOW = "restore with --allow-unsigned if you know where this backup comes from"


def check_signer(text: object) -> str:
    """A public key as a line of an `.pub` file; raises UsageError (no other line may hide in it)."""
    if not isinstance(text, str) or not _SIGNER.fullmatch(text.strip()):
        raise UsageError(
            f"{str(text)[:20]!r} is no public key of SSH",
            hint="write the line of the .pub file: ssh-ed25519 AAAA...",
        )
    return text.strip()


def sign(document: bytes, key: Secret, namespace: str = NAMESPACE) -> bytes:
    """The armoured signature of a document; raises ConfigError where the key does not sign."""
    return _with(key, document, namespace)


def public(key: Secret) -> str:
    """The public key of a private one, as a line of `signers`; raises ConfigError."""
    return check_signer(_with(key, b"").decode())


def _with(key: Secret, document: bytes, namespace: str = "") -> bytes:
    """Its signature of the document; without a namespace, its public half."""
    text = key.reveal()
    if not isinstance(text, str):
        raise ConfigError(f"signing.key: the credential {key.name!r} is not a text")
    words = ("-Y", "sign", "-n", namespace) if namespace else ("-y", "-P", "")
    command = Command(
        ("ssh-keygen", *words, "-f", DESCRIPTOR),
        secret=text.strip().encode() + b"\n",
        secret_again=True,
    )
    try:
        return run(command, stdin=document)
    except ProcessError as exc:
        raise ConfigError(
            f"signing.key: the credential {key.name!r} does not sign",
            detail=exc.detail,
            hint="give a private key without a passphrase: ssh-keygen -t ed25519 -N '' -f signing",
        ) from exc


def check(
    document: bytes,
    signature: bytes | None,
    signers: Sequence[str],
    what: str,
    namespace: str = NAMESPACE,
) -> None:
    """Return if one of `signers` signed exactly this document; raises UnsignedError."""
    if signature is None:
        raise UnsignedError(f"the manifest {what} is not signed", hint=_ALLOW)
    lines = [f'lifeboat namespaces="{namespace}" {one}' for one in signers]
    with fleeting() as place:  # nothing secret is in it
        (place / "signers").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (place / "sig").write_bytes(signature)
        argv = ["ssh-keygen", "-Y", "verify", "-n", namespace, "-I", "lifeboat"]
        argv += ["-f", str(place / "signers"), "-s", str(place / "sig")]
        try:
            run(Command(tuple(argv)), stdin=document)
        except ProcessError as exc:
            raise UnsignedError(
                f"the manifest {what} is not signed by any of the configured signers",
                detail=exc.detail,
                hint="use another copy, with --at; somebody may have changed this one. " + _ALLOW,
            ) from exc


def prove(key: Secret, signers: Sequence[str]) -> None:
    """Sign something and check it, before a run begins; raises ConfigError."""
    probe = b"lifeboat\n"
    signature = sign(probe, key)
    try:
        if signers:
            check(probe, signature, signers, "")
    except UnsignedError as exc:
        raise ConfigError(
            "signing.key: it is none of signers, so restores would refuse what it signs",
            hint="add its public key (ssh-keygen -y -f KEY prints it) to lifeboat_signers",
        ) from exc
