# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a mongodump archive as it passes by: count its documents, know its collections and its end.

The format is common/archive/spec.md of mongodb/mongo-tools: a magic number, a header, one document a
collection, a terminator; then segments (a header, documents, a terminator) of collections in any
order, and for each collection a last header that says EOF. There is no mark of the whole archive's end.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...inventory import InventoryWriter

MAGIC = b"\x6d\xe2\x99\x81"
OURS = "lifeboat-"  # collections that a restore has put beside others, or kept
SYSTEM = ("admin", "config", "local")
_LARGEST = 64 << 20  # of a document: a server takes 16 MiB, and its own may be a little longer
_READ = 1 << 20
_SIZE = struct.Struct("<i")
_TERMINATOR = -1


@dataclass(frozen=True)
class Collection:
    """One collection or view as the archive describes it."""

    database: str
    name: str
    kind: str  # "" = a collection, "view", "timeseries"
    metadata: str  # extended JSON: options, indexes

    @property
    def data_name(self) -> str:
        """Where its documents are: a time series is stored in buckets."""
        return "system.buckets." + self.name if self.kind == "timeseries" else self.name

    @property
    def indexes(self) -> list[dict[str, Any]]:
        """The definitions of its indexes, in extended JSON; _id's own is among them."""
        listed = self._described("indexes", [])
        return [one for one in listed if isinstance(one, dict) and "name" in one]

    @property
    def options(self) -> dict[str, Any]:
        """What it was created with, in extended JSON."""
        return dict(self._described("options", {}))

    def _described(self, what: str, otherwise: Any) -> Any:
        try:
            told = json.loads(self.metadata).get(what)
        except (ValueError, AttributeError):
            return otherwise
        return told if isinstance(told, type(otherwise)) else otherwise


class Walk:
    """Takes the blocks of an archive in order; `complaint()` after the last. Memory: one header."""

    def __init__(self) -> None:
        self.header: Mapping[str, Any] = {}  # version, server_version, tool_version
        self.collections: list[Collection] = []
        self.counts: dict[tuple[str, str], int] = {}  # documents by (database, data name)
        self._ended: set[tuple[str, str]] = set()
        self._at: tuple[str, str] = ("", "")
        self._reading = "magic"  # magic, prelude, segment, documents
        self._rest = b""  # an incomplete header, or less than a length
        self._skip = 0  # bytes of a document that are still to come
        self.failure = ""  # what was found wrong so far

    def __call__(self, block: bytes) -> None:
        if self.failure:
            return
        if self._skip >= len(block):
            self._skip -= len(block)
            return
        try:
            self._follow(self._rest + block[self._skip :])
        except _Odd as exc:
            self.failure = str(exc)

    @property
    def announced(self) -> bool:
        """Whether `collections` has all of them: what comes are their documents."""
        return self._reading in ("segment", "documents")

    def complaint(self) -> str:
        """What is wrong with the archive; "" = it is whole."""
        if self.failure:
            return self.failure
        if self._reading == "magic":
            return "this is not a mongodump archive: it does not begin as one"
        if self._reading != "segment" or self._rest or self._skip:
            return "the mongodump archive is cut off"
        lacking = self._required() - self._ended
        if lacking:
            some = ", ".join(".".join(one) for one in sorted(lacking)[:3])
            return f"the mongodump archive is cut off: it has no end of {some}"
        return ""

    def ours(self, database: str) -> list[Collection]:
        """The collections and views of one database that a restore can bring back."""
        return [
            one
            for one in self.collections
            if one.database == database
            and not one.name.startswith(("system.", "$", OURS))
            and one.kind != "timeseries"
        ]

    def databases(self) -> list[str]:
        """Those that hold anything, without the server's own."""
        return sorted({one.database for one in self.collections} - {"", *SYSTEM})

    def write(self, inventory: InventoryWriter) -> None:
        """Count everything that a restore brings back. The counts are of the documents in the archive."""
        for database in self.databases():
            for one in self.ours(database):
                full = f"{database}.{one.name}"
                if one.kind == "view":
                    inventory.add("view", full)
                    continue
                rows = self.counts.get((database, one.data_name), 0)
                told = definition(read_extended(one.options))
                inventory.add("collection", full, rows=rows, definition=told)
                for index in one.indexes:
                    told = definition(read_extended(index))
                    inventory.add("index", f"{full} {index['name']}", definition=told)

    # -- inside

    def _required(self) -> set[tuple[str, str]]:
        """Whose end must be there. The server's own (users, the oplog) are left to mongodump's status."""
        listed = {
            (one.database, one.data_name)
            for one in self.collections
            if one.database not in ("", *SYSTEM) and not one.name.startswith("$")
        }
        return listed | set(self.counts)

    def _follow(self, content: bytes) -> None:
        at, self._skip, self._rest = 0, 0, b""
        if self._reading == "magic":
            if len(content) < len(MAGIC):
                self._rest = content
                return
            if not content.startswith(MAGIC):
                raise _Odd("this is not a mongodump archive: it does not begin as one")
            at, self._reading = len(MAGIC), "prelude"
        while len(content) - at >= _SIZE.size:
            if self._reading == "documents":
                at = self._documents(content, at)
                continue
            size = _SIZE.unpack_from(content, at)[0]
            if size == _TERMINATOR and self._reading == "prelude" and self.header:
                at, self._reading = at + _SIZE.size, "segment"
                continue
            if not 5 <= size <= _LARGEST:
                raise _Odd("the mongodump archive is damaged: a header has no valid length")
            if at + size > len(content):
                break
            self._take(dict(_fields(content[at : at + size])))
            at += size
        if at > len(content):
            self._skip = at - len(content)
        else:
            self._rest = content[at:]

    def _documents(self, content: bytes, at: int) -> int:
        """Pass over whole documents, counting; where it stopped, which may be past the end."""
        unpack, last, count = _SIZE.unpack_from, len(content) - _SIZE.size, 0
        while at <= last:
            size = unpack(content, at)[0]
            if not 5 <= size <= _LARGEST:
                break
            count += 1
            at += size
        else:
            size = 0
        self.counts[self._at] += count
        if size == _TERMINATOR:
            self._reading = "segment"
            return at + _SIZE.size
        if size != 0 and not 5 <= size <= _LARGEST:
            raise _Odd("the mongodump archive is damaged: a document has no valid length")
        return at

    def _take(self, document: dict[str, Any]) -> None:
        if self._reading == "segment":
            self._at = (str(document.get("db", "")), str(document.get("collection", "")))
            self.counts.setdefault(self._at, 0)
            if document.get("EOF"):
                self._ended.add(self._at)
            self._reading = "documents"
        elif not self.header:
            self.header = document
        else:
            told = [str(document.get(key, "")) for key in ("db", "collection", "type", "metadata")]
            kind = told[2] if told[2] in ("view", "timeseries") else ""
            self.collections.append(Collection(told[0], told[1], kind, told[3]))


def read_extended(value: Mapping[str, Any]) -> Any:
    """Extended JSON as a server's answer would have it."""
    from bson import json_util

    return json_util.loads(json.dumps(value))


def definition(described: Mapping[str, Any]) -> str:
    """What makes an index or a collection this one, the same from an archive and from a server.

    Left out is what a server may add or choose itself: versions, sizes, weights, ids.
    """
    from bson import json_util

    told: dict[str, Any] = {
        one: True for one in ("unique", "sparse", "capped") if described.get(one)
    }
    if "key" in described:
        pairs = described["key"].items()
        told["key"] = [[name, int(to) if isinstance(to, float) else to] for name, to in pairs]
    if "expireAfterSeconds" in described:
        told["expires"] = True  # when, is set with the swap
    for one in ("partialFilterExpression", "validator"):
        if described.get(one):
            told[one] = described[one]
    if described.get("collation"):
        told["collation"] = [described["collation"].get(one) for one in ("locale", "strength")]
    return json_util.dumps(told, json_options=json_util.RELAXED_JSON_OPTIONS, sort_keys=True)


def walk(stream: BinaryIO) -> Walk:
    """Read a whole archive."""
    walked = Walk()
    for _block in passing(stream, walked):
        pass
    return walked


def passing(stream: BinaryIO, walked: Walk) -> Iterator[bytes]:
    """The blocks of an archive, each once `walked` has followed it; none from where it is damaged."""
    while block := stream.read(_READ):
        walked(block)
        if walked.failure:
            return
        yield block


class _Odd(Exception):
    """The archive does not have its documented form."""


def _fields(document: bytes) -> Iterator[tuple[str, Any]]:
    """(name, value) of a flat BSON document of texts, numbers and booleans; see bsonspec.org."""
    try:
        at = 4
        while document[at]:
            end = document.index(b"\0", at + 1)
            name, kind, at = document[at + 1 : end].decode("utf-8"), document[at], end + 1
            if kind == 0x02:
                size = _SIZE.unpack_from(document, at)[0]
                yield name, document[at + 4 : at + 4 + size - 1].decode("utf-8", "replace")
                at += 4 + size
            elif kind == 0x08:
                yield name, bool(document[at])
                at += 1
            elif kind in (0x10, 0x12):
                width = 4 if kind == 0x10 else 8
                yield name, int.from_bytes(document[at : at + width], "little", signed=True)
                at += width
            else:
                raise _Odd("the mongodump archive is damaged: a header has a value of another kind")
    except (IndexError, ValueError, struct.error):
        raise _Odd("the mongodump archive is damaged: a header cannot be read") from None
