# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave the rows of all tables but some out of a dump, as it passes on its way into a new database.

The tables themselves stay, and so do views, triggers and routines: each may need the others to be made.
Rests on the habits of the programs that stream.py names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

_BEGINS = re.compile(rb"(?<=\n)(?:LOCK TABLES `((?:[^`]|``)+)` WRITE;|DELIMITER ;;)\n")
_ROWS_END = re.compile(rb"(?<=\n)UNLOCK TABLES;\n")
_PROGRAM_ENDS = re.compile(rb"(?<=\n)DELIMITER ;\n")
_LONGEST = 1024  # bytes of what one of these finds, the line end before it too


def rows_of(blocks: Iterable[bytes], only: Collection[str]) -> Iterator[bytes]:
    """The dump with the rows of these tables alone. Blocks may have any size; memory is bounded by it."""
    held, until = b"", _BEGINS
    for block in blocks:
        held += block
        while found := until.search(held):
            if until is not _ROWS_END:
                yield held[: found.end() - 1]
            # the line end stays: what is looked for next begins with one
            held = held[(found.start() if until is _ROWS_END else found.end()) - 1 :]
            until = _after(until, found.group(), found.group(1) if found.re.groups else b"", only)
        sure = max(0, len(held) - _LONGEST)
        if until is not _ROWS_END:
            yield held[:sure]
        held = held[sure:]
    if until is not _ROWS_END:
        yield held


def _after(
    until: re.Pattern[bytes], line: bytes, table: bytes | None, only: Collection[str]
) -> re.Pattern[bytes]:
    """What is looked for once `until` was found."""
    if until is not _BEGINS:
        return _BEGINS
    if line.startswith(b"DELIMITER"):
        return _PROGRAM_ENDS
    name = (table or b"").replace(b"``", b"`").decode("utf-8", "surrogateescape")
    return _BEGINS if name in only else _ROWS_END
