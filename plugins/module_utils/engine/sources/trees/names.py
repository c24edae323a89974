# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that lie beside a target while it is being restored."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ...errors import SourceError

_ROOM_BYTES = 180  # of the 255 that a file name may have


def beside(path: str, token: str) -> str:
    """The start of the names beside `path`: in its directory, hidden, for this restore only."""
    folder, name = os.path.split(path)
    full = os.fsencode(name)
    if len(full) > _ROOM_BYTES:  # two long names may begin alike
        short = hashlib.sha256(full).hexdigest()[:12]
        name = os.fsdecode(full[: _ROOM_BYTES - 13]) + "-" + short
    return os.path.join(folder, ".%s.lifeboat-%s" % (name, token))


def mark_nothing(kept: Path) -> None:
    """Note by an empty file that nothing was there before; never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        os.close(os.open(kept, flags, 0o600))
    except FileExistsError:
        if not stat.S_ISREG(os.lstat(kept).st_mode):
            raise SourceError("something else lies at %s" % kept, hint="move it away") from None
