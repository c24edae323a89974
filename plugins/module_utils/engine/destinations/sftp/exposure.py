# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out what a user can do to files that lie on an SFTP server, by doing it to one of its own."""

from __future__ import annotations

from ...errors import DestinationError
from .connect import library
from .errors import is_missing
from .session import Session, Step

_SEALING = "; a receiving host of ours seals what it got every few minutes: ask again then"


def exposure(session: Session, path: bytes, key: str) -> str:
    """What can be done to the file `path`, in words; "" = it can be neither deleted, renamed nor changed.

    The file stays, or is deleted where that is possible. Raises DestinationError where nobody can be asked.
    """
    asyncssh, aside = library(session.place.destination), path + b".aside"

    async def truncate(sftp: object) -> None:
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_TRUNC
        file = await sftp.open(path, flags, encoding=None, block_size=0)  # type: ignore[attr-defined]
        await file.close()

    told = []
    if _works(session, truncate, key):
        told.append("it can overwrite")
    if _works(session, lambda sftp: sftp.rename(path, aside), key):
        told.append("it can rename")
        path = aside
    if _works(session, lambda sftp: sftp.remove(path), key):
        told.append("it can delete")
    return ", ".join(told) + " what is stored" + _SEALING if told else ""


def _works(session: Session, step: Step, key: str) -> bool:
    """Whether the server lets us. What it refuses it refuses under several names."""
    try:
        session.run(step)
    except library(session.place.destination).SFTPError as exc:
        if is_missing(exc):
            told = session.place.told("try to change", key)
            raise DestinationError(f"{told}: it vanished while it was tried") from exc
        return False
    return True
