# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a tar stream once, member by member: to list what a tree holds, and to judge an archive."""

from __future__ import annotations

import hashlib
import math
import queue
import tarfile
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..errors import SourceError, VerifyError
from ..inventory import InventoryWriter

_BLOCK = 1 << 20
_RECORD = 10240  # GNU tar fills its last record with zeros
_KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}


def complaint(tail: bytes, size_bytes: int) -> str:
    """What the end of a tar stream tells against it; "" = nothing."""
    if size_bytes % _RECORD:
        return "its %d bytes are not whole tar records" % size_bytes
    if len(tail) < 1024 or tail[-1024:].strip(b"\0"):
        return "the end mark of tar is missing"
    return ""


class Listing:
    """Count a tar stream while it passes by, in a thread of its own; see `tap` and `finish`.

    Nothing is kept of a member once it is written, so that memory does not grow with the tree.
    The names of a tree that lies elsewhere for now (`found_as`) are counted as they are in `top`.
    `owners`: count what only root can restore, too.
    """

    def __init__(
        self, writer: InventoryWriter, top: str, found_as: str = "", owners: bool = True
    ) -> None:
        self._writer = writer
        self._owners = owners
        self._top = top
        self._found_as = found_as or top
        self._blocks: queue.Queue[bytes] = queue.Queue(maxsize=4)
        self._failure: Exception | None = None
        self._members = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def members(self) -> int:
        return self._members

    def tap(self, block: bytes) -> None:
        """Take the next block; waits when the counting is slower than the dump."""
        self._blocks.put(block)

    def finish(self) -> None:
        """The stream has ended; raises what the counting could not read."""
        self.abandon()
        if self._failure is not None:
            raise SourceError("tar's own output cannot be read: %s" % self._failure)

    def abandon(self) -> None:
        if self._thread.is_alive():
            self._blocks.put(b"")
            self._thread.join()

    def _run(self) -> None:
        stream = _Queued(self._blocks)
        try:
            for member, content in members(stream):
                self._add(member, content)
        except Exception as exc:  # handed over by finish()
            self._failure = exc
        while stream.read():  # tap must never wait for a thread that has ended
            pass

    def _add(self, member: tarfile.TarInfo, content: BinaryIO | None) -> None:
        self._members += 1
        measures: dict[str, Any] = {"mode": "%04o" % member.mode}
        if self._owners:
            measures.update(uid=member.uid, gid=member.gid, attributes=_attributes(member))
        if content is not None:
            measures["size_bytes"] = member.size
            measures["sha256"] = _sha256(content)
            measures["mtime"] = _seconds(member)  # only here: moving a tree changes directories'
        elif member.islnk():
            measures["to"] = self._named(member.linkname)
        elif member.issym():
            measures["to"] = member.linkname
        self._writer.add(_KINDS.get(member.type, "file"), self._named(member.name), **measures)

    def _named(self, name: str) -> str:
        return self._top + name[len(self._found_as) :]


def members(stream: Any) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    """The members in order, regular files with their content; raises VerifyError for a bad stream."""
    try:
        with tarfile.open(
            fileobj=stream,
            mode="r|",
            bufsize=_BLOCK,
            tarinfo=_Header,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            member = archive.next()
            while member is not None:
                content = archive.extractfile(member) if member.isreg() else None
                yield member, content  # type: ignore[misc]
                # or it remembers every member it has met
                archive.members = []  # type: ignore[attr-defined]
                member = archive.next()
    except tarfile.TarError as exc:
        raise VerifyError("a tar archive is damaged: %s" % exc) from exc


def survey(stream: BinaryIO, top: str | None = None) -> None:
    """Read an archive to its end and refuse one that must not be extracted; raises VerifyError.

    Every member lies in `top` (None = the first member's name), no hard link leads out of it,
    nothing lies below a symlink.
    """
    counted = _Counted(stream)
    links: set[str] = set()
    for member, content in members(counted):
        top = member.name if top is None else top
        _refuse_outsider(member.name, top, "member")
        if member.islnk():
            _refuse_outsider(member.linkname, top, "hard link to")
        if links and any(parent in links for parent in _parents(member.name)):
            raise VerifyError("the archive would write through a symlink: %r" % member.name)
        if member.issym():
            links.add(member.name)
        if content is not None:
            _sha256(content)
    counted.drain()
    told = complaint(counted.tail, counted.size_bytes)
    if told:
        raise VerifyError("a tar archive is not whole: " + told)


def _refuse_outsider(name: str, top: str, what: str) -> None:
    inside = name == top or name.startswith(top + "/")
    if not inside or name.startswith("/") or ".." in name.split("/"):
        raise VerifyError("the archive has a %s %r, which is not in %r" % (what, name, top))


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rsplit("/", 1)[0]
        yield name


def _sha256(content: BinaryIO) -> str:
    digest = hashlib.sha256()
    try:
        block = content.read(_BLOCK)
        while block:
            digest.update(block)
            block = content.read(_BLOCK)
    except tarfile.TarError as exc:
        raise VerifyError("a tar archive is damaged: %s" % exc) from exc
    return digest.hexdigest()


def _seconds(member: tarfile.TarInfo) -> int:
    exact = member.pax_headers.get("mtime")  # as a float it might round up to the next second
    return math.floor(member.mtime) if exact is None else math.floor(int(exact.split(".")[0] or 0))


def _attributes(member: tarfile.TarInfo) -> str:
    """A digest of the extended attributes, ACLs and capabilities among them; "" = none."""
    found = sorted(
        "%s=%s" % (key, value)
        for key, value in member.pax_headers.items()
        if key.startswith("SCHILY.xattr.") and not key.endswith(".selinux")
    )
    joined = "\n".join(found).encode("utf-8", "surrogateescape")
    return hashlib.sha256(joined).hexdigest()[:16] if found else ""


class _Header(tarfile.TarInfo):
    """A member's header that insists on being one: tarfile takes a damaged one for the end."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _Header:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as exc:
            if buf and not buf.strip(b"\0"):
                raise  # the end mark
            raise VerifyError("a tar archive is damaged: %s" % exc) from exc


class _Queued:
    """A file object over blocks that another thread puts; an empty one is the end."""

    def __init__(self, blocks: queue.Queue[bytes]) -> None:
        self._blocks = blocks
        self._ended = False

    def read(self, _size: int = -1) -> bytes:
        if self._ended:
            return b""
        block = self._blocks.get()
        self._ended = not block
        return block


class _Counted:
    """A file object that remembers how much was read, and the end of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size_bytes = 0
        self.tail = b""

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.size_bytes += len(block)
        self.tail = block[-1024:] if len(block) >= 1024 else (self.tail + block)[-1024:]
        return block

    def drain(self) -> None:
        while self.read(_BLOCK):
            pass
