# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a tar stream once, member by member, and list what a tree holds."""

from __future__ import annotations

import hashlib
import math
import os
import queue
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, Union

from ...errors import SourceError, VerifyError
from ...inventory import InventoryWriter
from . import headers

BLOCK = 1 << 20
_NOTHING = bytes(BLOCK)
_LARGE = 64 << 20  # holes that take longer to hash than they are worth
_HEADER = 512
_PATH_BYTES = (
    4095  # of a name that is given to the kernel; tar reads deeper, and does not write there
)
_RECORD = 10240  # GNU tar fills its last record with zeros
Piece = Union[bytes, memoryview]
KINDS = {
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
        self.too_long = ""  # the first name that no program can make again
        self._members = 0
        self.top_is_link = False
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
            raise SourceError(
                "tar's own output cannot be read: %s" % self._failure,
                hint="begin it again: a file with holes may have shrunk while it was read",
            )

    def abandon(self) -> None:
        if self._thread.is_alive():
            self._blocks.put(b"")
            self._thread.join()

    def _run(self) -> None:
        stream = Forward(self._blocks.get)
        try:
            for member, content in members(stream):
                self._add(member, content)
        except Exception as exc:  # handed over by finish()
            self._failure = exc
        stream.drain()  # tap must never wait for a thread that has ended

    def _add(self, member: tarfile.TarInfo, content: Iterator[Piece] | None) -> None:
        self._members += 1
        if not self.too_long and len(os.fsencode(member.name)) > _PATH_BYTES:
            self.too_long = member.name
        measures: dict[str, Any] = {"mode": "%04o" % member.mode}
        if self._owners:
            measures.update(uid=member.uid, gid=member.gid, attributes=_attributes(member))
        if content is not None:
            measures["size_bytes"] = member.size
            holes = member.size - sum(size for _offset, size in _regions(member))
            if holes > _LARGE:
                measures["sha256_of_blocks"] = _sha256_of_blocks(content)
            else:
                measures["sha256"] = _sha256(content)
            measures["mtime"] = _seconds(member)  # only here: moving a tree changes directories'
        elif member.islnk():
            measures["to"] = self._named(member.linkname)
        elif member.issym():
            measures["to"] = member.linkname
            self.top_is_link |= member.name == self._found_as
        self._writer.add(KINDS.get(member.type, "file"), self._named(member.name), **measures)

    def _named(self, name: str) -> str:
        return self._top + name[len(self._found_as) :]


def members(stream: Forward) -> Iterator[tuple[tarfile.TarInfo, Iterator[Piece] | None]]:
    """The members in order, regular files with their content, which may be passed over; raises
    VerifyError for a bad stream."""
    try:
        # not mode "r|", which copies its whole buffer for each header it takes from it
        archive = tarfile.TarFile(
            fileobj=stream,  # type: ignore[arg-type]
            tarinfo=_Header,
            encoding="utf-8",
            errors="surrogateescape",
        )
        member = archive.next()
        end = _offset(archive)
        while member is not None:
            stream.until = end
            # GNU tar puts a path of its own before or after it, and tarfile takes the last
            member.name = member.pax_headers.get("GNU.sparse.name", member.name)
            yield member, _content(member, stream) if member.isreg() else None
            if stream.seek(end) != end:
                raise VerifyError("a tar archive ends in the middle of %r" % member.name)
            # or it remembers every member it has met
            archive.members = []  # type: ignore[attr-defined]
            # what it once read for all that follow, only it knows how to apply
            member = None if archive.pax_headers else stream.header(_Header)
            if member is not None:
                end = stream.tell() + member.size + -member.size % _HEADER
            else:
                archive.offset = end
                member = archive.next()
                end = _offset(archive)
        stream.require_zeros()
    except tarfile.TarError as exc:
        raise VerifyError("a tar archive is damaged: %s" % exc) from exc


def _offset(archive: tarfile.TarFile) -> int:
    """Where the header after the last one lies."""
    return int(archive.offset)


def _content(member: tarfile.TarInfo, stream: Forward) -> Iterator[Piece]:
    place = 0
    for offset, size_bytes in _regions(member):
        if offset < place or offset + size_bytes > member.size:
            raise VerifyError("a tar archive has holes that overlap, in %r" % member.name)
        yield from _zeros(place, offset)
        yield from _stored(member, stream, size_bytes)
        place = offset + size_bytes
    yield from _zeros(place, member.size)


def _regions(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """(offset, bytes) of what the archive holds of a file; the rest are holes."""
    found: Any = member.sparse
    return [(0, member.size)] if found is None else list(found)


def _stored(member: tarfile.TarInfo, stream: Forward, size_bytes: int) -> Iterator[Piece]:
    left = size_bytes
    while left:
        piece = stream.piece(left)
        if not piece:
            raise VerifyError("a tar archive ends in the middle of %r" % member.name)
        left -= len(piece)
        yield piece


def _zeros(place: int, end: int) -> Iterator[bytes]:
    """A hole, in blocks as the file has them; always the same one, for there may be terabytes."""
    while place < end:
        size_bytes = min(BLOCK - place % BLOCK, end - place)
        yield _NOTHING if size_bytes == BLOCK else _NOTHING[:size_bytes]
        place += size_bytes


def _sha256(content: Iterator[Piece]) -> str:
    digest = hashlib.sha256()
    for block in content:
        digest.update(block)
    return digest.hexdigest()


def _sha256_of_blocks(content: Iterator[Piece]) -> str:
    """Of the blocks of 1 MiB that hold anything, each with its number: holes cost no time."""
    digest, number, held = hashlib.sha256(), 0, bytearray()

    def take(block: bytes) -> None:
        if block.strip(b"\0"):
            digest.update(b"%d:" % number + block)

    for piece in content:
        if not held and piece is _NOTHING:
            number += 1
            continue
        held += piece
        while len(held) >= BLOCK:
            take(bytes(held[:BLOCK]))
            del held[:BLOCK]
            number += 1
    take(bytes(held))
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


class Forward:
    """A file object over blocks, read once and only forwards; an empty block is the end."""

    def __init__(self, next_block: Callable[[], bytes]) -> None:
        self._next_block = next_block
        self._block = b""
        self._place = 0  # in the block
        self._offset = 0  # of the block
        self._ended = False
        self.tail = b""
        self.until = 0  # where the headers after the current member begin; see `members`

    @property
    def size_bytes(self) -> int:
        """How much has come so far; all of it after `drain`."""
        return self._offset + len(self._block)

    def read(self, size: int) -> bytes:
        found = self._block[self._place : self._place + size]
        self._place += len(found)
        if len(found) == size:
            return found
        pieces = [found]
        missing = size - len(found)
        while missing and self._advance():
            pieces.append(self._block[:missing])
            self._place = len(pieces[-1])
            missing -= self._place
        return b"".join(pieces)

    def piece(self, most: int) -> memoryview:
        """Some of what comes next, at most `most` bytes, not copied; empty at the end."""
        if self._place == len(self._block):
            self._advance()
        found = memoryview(self._block)[self._place : self._place + most]
        self._place += len(found)
        return found

    def header(self, make: Callable[[], headers.Member]) -> headers.Member | None:
        """The member whose headers come next, read; None, and nothing read, where tarfile has to look."""
        found = headers.plain(self._block, self._place, make)
        if found is None:
            return None
        self._place = found[1]
        return found[0]

    def tell(self) -> int:
        return self._offset + self._place

    def seek(self, offset: int) -> int:
        if offset < self.tell():
            raise tarfile.StreamError("seeking backwards is not possible")
        while offset > self.size_bytes and self._advance():
            pass
        self._place = min(offset - self._offset, len(self._block))
        return self.tell()

    def seekable(self) -> bool:
        return True  # which tarfile asks before it skips

    def require_zeros(self) -> None:
        """Read what is left; raises VerifyError unless it is an end, after which nothing comes. GNU tar 1.34
        loses its step, and writes members where nobody finds them, when a file with holes shrinks."""
        while piece := self.piece(BLOCK):
            if bytes(piece).strip(b"\0"):
                raise VerifyError("a tar archive goes on after its end mark")

    def drain(self) -> None:
        while self._advance():
            pass

    def _advance(self) -> bool:
        if self._ended:
            return False
        block = self._next_block()
        if not block:
            self._ended = True
            return False
        self._offset += len(self._block)
        self._block, self._place = block, 0
        self.tail = block[-1024:] if len(block) >= 1024 else (self.tail + block)[-1024:]
        return True
