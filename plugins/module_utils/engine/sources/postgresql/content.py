# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the archives of a PostgreSQL database to their end, as a restore would, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from ...errors import ProcessError, VerifyError
from ...model import Command, Workspace
from ...placement import HERE
from ...ports import Plain
from . import parallel
from .dump import complain_globals
from .programs import find_programs


def check(source: str, plains: Mapping[str, Plain], programs_path: str, work: Workspace) -> None:
    """Raises VerifyError for what is missing or cannot be read."""
    for part in ("database", "globals"):
        if part not in plains:
            raise VerifyError(f"source {source}: the archive {part!r} is missing")
    newest = find_programs(HERE, programs_path, 0)
    # --list passes a cut archive; only a full decode notices
    argv = (newest.path("pg_restore"), "--file=/dev/null")
    try:
        if plains["database"].format == parallel.FORMAT:
            with parallel.folder(work.bulk, "") as place:
                name = parallel.unpack(plains["database"], place, "")
                parallel.run_in(place, Command((*argv, name), {"LC_ALL": "C"}, cwd="/"))
        else:
            plains["database"].feed(Command(argv, {"LC_ALL": "C"}, cwd="/"))
    except ProcessError as exc:
        raise VerifyError(
            f"source {source}: the database archive cannot be read to its end: {exc}",
            detail=exc.detail,
            hint=exc.hint or "use another copy or an older backup",
        ) from exc
    complaint = plains["globals"].read(lambda lines: complain_globals(*_ends(lines)))
    if complaint:
        raise VerifyError(f"source {source}: {complaint}")


def _ends(lines: BinaryIO) -> tuple[bytes, bytes, int]:
    """(head, tail, size) of a stream, read to its end."""
    head = tail = lines.read(4096)
    size = len(head)
    while block := lines.read(1 << 16):
        size += len(block)
        tail = (tail + block)[-4096:]
    return head, tail, size
