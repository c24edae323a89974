# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a tar archive before anything is extracted: whole, and nothing in it leads elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ...errors import VerifyError
from .listing import BLOCK, KINDS, Forward, complaint, members


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def survey(
    stream: Readable,
    top: str | None = None,
    chosen: Sequence[str] = (),
    judged: Callable[[int], None] = lambda _until: None,
) -> tuple[str, ...]:
    """Read an archive to its end and refuse one that must not be extracted; raises VerifyError.

    Every member lies in `top` (None = the first member's name) and comes once, no hard link leads
    out of it, nothing lies below a symlink. With `chosen`, each of these must be there; what hard
    links among them lead to, outside of them, is returned. `judged` is told up to where all is well.
    """
    counted = Forward(lambda: stream.read(BLOCK))
    links: set[str] = set()
    missing, needed = set(chosen), set()
    order = _Order()
    for member, _content in members(counted):
        top = member.name if top is None else top
        _refuse_outsider(member.name, top, "member")
        if not member.isreg() and member.type not in KINDS:
            raise VerifyError("the archive has a member of an unknown kind: %r" % member.name)
        if links and any(parent in links for parent in _parents(member.name)):
            raise VerifyError("the archive would write through a symlink: %r" % member.name)
        order.take(member.name, member.isdir())
        if member.islnk():
            _refuse_outsider(member.linkname, top, "hard link to")
            if covered(member.name, chosen) and not covered(member.linkname, chosen):
                needed.add(member.linkname)
        if member.issym() or (member.islnk() and member.linkname in links):
            links.add(member.name)
        missing.discard(member.name)
        judged(counted.until)
    counted.drain()
    told = complaint(counted.tail, counted.size_bytes)
    if told:
        raise VerifyError("a tar archive is not whole: " + told)
    if missing:
        raise VerifyError(
            "the archive holds no %s" % ", ".join(map(repr, sorted(missing))),
            hint="names count as they were then; to look, bring the directory above it beside, with"
            " --path DIRECTORY --into PLACE",
        )
    return tuple(sorted(needed))


def covered(name: str, chosen: Sequence[str]) -> bool:
    """Whether a member is one of `chosen`, or lies below one; with none chosen, all are."""
    return not chosen or any(name == one or name.startswith(one + "/") for one in chosen)


class _Order:
    """GNU tar sorts: each member comes right after its directory and what is before it there.

    So one that comes twice is found without remembering any.
    """

    def __init__(self) -> None:
        self._open: list[tuple[bytes, bytes]] = []  # (directory, the last seen in it)

    def take(self, name: str, directory: bool) -> None:
        path = os.fsencode(name)
        parent = path.rpartition(b"/")[0]
        while self._open[1:] and not path.startswith(self._open[-1][0] + b"/"):
            self._open.pop()
        if self._open:
            around, last = self._open[-1]
            if parent != around or path <= last:
                raise VerifyError(
                    "the archive has a member twice, or apart from its directory: %r" % name
                )
            self._open[-1] = (around, path)
        if directory or not self._open:
            self._open.append((path, b""))


def _refuse_outsider(name: str, top: str, what: str) -> None:
    inside = name == top or name.startswith(top + "/")
    if not inside or name.startswith("/") or ".." in name.split("/"):
        raise VerifyError("the archive has a %s %r, which is not in %r" % (what, name, top))


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rsplit("/", 1)[0]
        yield name
