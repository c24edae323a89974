# SPDX-License-Identifier: GPL-3.0-or-later
"""Say in our words what an SFTP server, or the library that speaks to it, answers. No secret is in any of it."""

from __future__ import annotations

from typing import Any

from ...errors import DestinationError

REACH_HINT = "check host, port, name resolution, firewall and that the server runs"
_FULL_HINT = "make room there, have the quota raised, or let retention keep less"
_MIB = 1 << 20


class Dropped(DestinationError):
    """The connection was lost in the middle; what was asked may have been done."""


class Unreachable(Dropped):
    """No connection could be made."""


class Taken(DestinationError):
    """There is an object under that name already."""


def taken(told: str) -> Taken:
    hint = "an object is never replaced; look at what wrote it"
    return Taken(f"{told}: it is there already", hint=hint, permanent=True)


def is_missing(exc: Any) -> bool:
    return type(exc).__name__ in ("SFTPNoSuchFile", "SFTPNoSuchPath")


def refusal(told: str, exc: Any, user: str) -> DestinationError:
    """The error for an SFTPError: the server answered, and it was no."""
    kind = type(exc).__name__
    if is_missing(exc):
        return DestinationError(f"{told}: it is not there", missing=True)
    if kind in ("SFTPPermissionDenied", "SFTPWriteProtect", "SFTPCannotDelete"):
        hint = f"give the user {user} the right to do that on the server"
        return DestinationError(f"{told}: permission denied", hint=hint, permanent=True)
    if kind == "SFTPNoSpaceOnFilesystem":
        return DestinationError(f"{told}: no space left", hint=_FULL_HINT, permanent=True)
    if kind == "SFTPQuotaExceeded":
        return DestinationError(f"{told}: the quota is used up", hint=_FULL_HINT, permanent=True)
    return DestinationError(f"{told}: the server says: {said(exc)}")


def write_refusal(told: str, exc: Any, user: str, free_bytes: int | None) -> DestinationError:
    """The error for a write that was refused; version 3 of the protocol has one code for most causes."""
    if type(exc).__name__ != "SFTPFailure":
        return refusal(told, exc, user)
    if free_bytes is not None and free_bytes < _MIB:
        return DestinationError(f"{told}: no space left", hint=_FULL_HINT, permanent=True)
    return DestinationError(
        f"{told}: the server takes no more bytes (it says: {said(exc)})",
        hint="its disk may be full, or a quota or a limit reached; " + _FULL_HINT,
        permanent=True,
    )


def said(exc: BaseException) -> str:
    """What an exception says, on one line."""
    text = str(getattr(exc, "reason", "") or exc) or type(exc).__name__
    return " ".join(text.split())[:300]
