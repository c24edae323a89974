# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an RDB stream while it passes: is it whole, and how many keys has each of its databases.

The server's own checker reads the stream to its end, sums its CRC, and says at which byte each database
begins. There the file says how many keys follow, and how many of them have an expiry (RESIZEDB, see
rdb.c): the count is of the dump itself, never of a server that has moved on.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from ...errors import SourceError
from ...inventory import InventoryWriter
from ...model import Command, Inventory
from ...process import Started, widen, write_all

_HEADER = re.compile(rb"REDIS(\d{4})|VALKEY(\d{3})")
_LAST_IN_COMMON, FIRST_OF_VALKEY = 11, 80  # Valkey 9
_EOF = 0xFF  # the opcode before the CRC-64
_TRAILER_BYTES = 9
_MARK = re.compile(rb"[0-9a-f]{40}")  # what a server ends a stream of unknown length with
_LENGTH = rb"(?:[\x00-\x3f]|[\x40-\x7f].|\x80.{4}|\x81.{8})"
# begins with a byte that is searched for as fast as memory is read; a look-ahead is tried at each
_DATABASE = re.compile(rb"\xfe(%s)\xfb(%s)(%s)" % (_LENGTH, _LENGTH, _LENGTH), re.DOTALL)
_OVERLAP = 40  # no match is longer
_MOST_PLACES = 200_000  # of data that only looks like the beginning of a database
_POLYNOMIAL = 0x95AC9329AC4BC9B5  # Jones', reflected


class Broken(Exception):
    """The stream is not a whole RDB file; the text says why."""


@dataclass(frozen=True)
class Found:
    """What an RDB stream holds."""

    databases: dict[int, tuple[int, int] | None]  # keys, and those with an expiry; None = unknown
    keys: int  # in all
    fields: dict[str, str]  # "redis-ver", "ctime", "used-mem"
    size_bytes: int = 0

    @property
    def taken_at(self) -> datetime | None:
        """When the server began to write it, by the server's clock."""
        told = self.fields.get("ctime", "")
        return datetime.fromtimestamp(int(told), timezone.utc) if told.isdigit() else None

    def inventory(self, path: Path) -> Inventory:
        writer = InventoryWriter(path)
        for number, counted in sorted(self.databases.items()):
            if counted is None:
                writer.add("database", str(number), uncounted=True)
            else:
                writer.add("database", str(number), keys=counted[0], expiring=counted[1])
        return writer.close()


def format_version(head: bytes) -> int:
    """The version in a header; Valkey's own begin at 80, above those of Redis. 0 = not an RDB file."""
    found = _HEADER.match(head)
    return int(found.group(1) or found.group(2)) if found else 0


def readable(version: int, own: int) -> bool:
    """Whether a server that writes version `own` reads `version`; Valkey refuses what Redis did later."""
    return version <= own and not (own >= FIRST_OF_VALKEY > version > _LAST_IN_COMMON)


def complaint(head: bytes, tail: bytes, size_bytes: int) -> str:
    """What the ends of a stream tell against it; "" = nothing."""
    if not format_version(head):
        return "it does not begin as an RDB file does"
    if size_bytes < 2 * _TRAILER_BYTES or tail[-_TRAILER_BYTES] != _EOF:
        return "the end of the RDB file is missing"
    return ""


def surplus(last: bytes) -> int:
    """How many bytes the client wrote after the end: to a pipe it passes the server's mark on."""
    marked = len(last) > 48 and last[-49] == _EOF and _MARK.fullmatch(last[-40:])
    return 40 if marked else 0


@dataclass
class Reader:
    """Give it a stream block by block; `end` tells what it held. `stop` gives it up."""

    command: Command  # the checker
    size_bytes: int = 0
    _places: dict[int, tuple[int, int]] = field(default_factory=dict)
    _last: bytes = b""
    _checking: Started | None = None
    _said: Any = None

    def feed(self, block: bytes) -> None:
        if self._checking is None:
            self._said = tempfile.TemporaryFile()
            self._checking = Started(self.command, subprocess.PIPE, self._said)
            self._checking.start()
            widen(self._checking.process.stdin)
        self._note(block)
        try:
            write_all(self._checking.process.stdin, memoryview(block))
        except (BrokenPipeError, ValueError):
            pass  # it has seen enough: `end` tells what

    def end(self) -> Found:
        """What the whole stream held; raises Broken."""
        if self._checking is None:
            raise Broken("it is empty")
        try:
            self._checking.process.stdin.close()
        except BrokenPipeError:
            pass
        status = self._checking.process.wait()
        self._said.seek(0)
        lines = self._said.read(4 << 20).decode("utf-8", "replace").splitlines()
        said = self._checking.said()
        accepted = self._checking.accepted
        if not accepted and not any("[offset" in line for line in lines):
            self._checking.raise_unless_accepted()  # it never began: missing, or its container is
        self.stop()
        if not accepted or not any("RDB looks OK" in line for line in lines):
            told = [line for line in lines if line.startswith("[offset")][-1:]  # keys are not shown
            raise Broken("\n".join([f"the checker ended with status {status}", *told, said]))
        return self._found(lines)

    def stop(self) -> None:
        if self._checking is not None:
            self._checking.kill()
            self._checking.close()
            self._said.close()
            self._checking = None

    def _note(self, block: bytes) -> None:
        """Remember each place that looks like the beginning of a database, and the two lengths there."""
        seen = self._last + block
        begins = self.size_bytes - len(self._last)
        found = _DATABASE.search(seen)
        while found is not None and len(self._places) < _MOST_PLACES:
            lengths = (_length(found.group(2)), _length(found.group(3)))
            self._places[begins + found.end(1)] = lengths
            # not at its end: what only looks like one may hide the real one
            found = _DATABASE.search(seen, found.start() + 1)
        self.size_bytes += len(block)
        self._last = seen[-_OVERLAP:]

    def _found(self, lines: list[str]) -> Found:
        databases: dict[int, tuple[int, int] | None] = {}
        fields, keys, end = {}, 0, 0
        for line in lines:
            if told := re.match(r"\[offset (\d+)\] Selecting DB ID (\d+)", line):
                databases.setdefault(int(told.group(2)), self._places.get(int(told.group(1))))
            elif told := re.match(r"\[offset \d+\] AUX FIELD (\S+) = '(.*)'", line):
                fields[told.group(1)] = told.group(2)
            elif told := re.match(r"\[info\] (\d+) keys read", line):
                keys = int(told.group(1))
            elif told := re.match(r"\[offset (\d+)\] .*RDB looks OK", line):
                end = int(told.group(1))
        if end != self.size_bytes:
            raise Broken("%d bytes follow the end of the RDB file" % (self.size_bytes - end))
        return Found(databases, keys, fields, self.size_bytes)


def examine(stream: Any, command: Command, keep: IO[bytes] | None = None) -> Found:
    """Read a whole RDB stream, and write it to `keep` on the way; raises Broken."""
    reader = Reader(command)
    try:
        while block := stream.read(1 << 20):
            reader.feed(block)
            if keep is not None:
                keep.write(block)
        return reader.end()
    finally:
        reader.stop()


def with_key(path: Path, key: str, value: str) -> tuple[int, Iterator[bytes]]:
    """(size, blocks) of an RDB file with one more key, in database 0; its checksum is right again."""
    added = b"\xfe\x00\x00" + _text(key) + _text(value) + bytes([_EOF])
    size = path.stat().st_size - _TRAILER_BYTES
    with open(path, "rb") as there:
        there.seek(size)
        trailer = there.read()
    if len(trailer) != _TRAILER_BYTES or trailer[0] != _EOF:
        raise SourceError(f"{path} is not a whole RDB file")
    checksum = int.from_bytes(trailer[1:], "little")
    if checksum:  # 0 = the server that wrote it sums none
        checksum = _crc(_crc_before(checksum, _EOF), added)

    def blocks() -> Iterator[bytes]:
        left = size
        with open(path, "rb") as content:
            while left:
                block = content.read(min(left, 1 << 20))
                if not block:
                    raise SourceError(f"{path} has become shorter while it was read")
                left -= len(block)
                yield block
        yield added + checksum.to_bytes(8, "little")

    return size + len(added) + 8, blocks()


def _text(text: str) -> bytes:
    raw = text.encode()
    return bytes([0x40 | len(raw) >> 8, len(raw) & 0xFF]) + raw  # a length of 14 bits


def _length(raw: bytes) -> int:
    if raw[0] & 0x80:
        return int.from_bytes(raw[1:], "big")
    return int.from_bytes(raw, "big") & (0x3FFF if len(raw) == 2 else 0x3F)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _bit in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()
_BY_TOP_BYTE = {entry >> 56: index for index, entry in enumerate(_TABLE)}


def _crc(crc: int, added: bytes) -> int:
    for byte in added:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_before(crc: int, last: int) -> int:
    """The sum as it was before the byte `last` went in: each step can be undone."""
    index = _BY_TOP_BYTE[crc >> 56]
    return (crc ^ _TABLE[index]) << 8 & (1 << 64) - 1 | index ^ last
