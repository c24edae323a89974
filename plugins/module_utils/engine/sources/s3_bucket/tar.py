# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as a tar archive: each a regular file, what belongs to it in a pax record; docs/format.md."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, BinaryIO

from ...errors import VerifyError
from ...inventory import InventoryWriter
from ..trees.listing import Forward, Piece, complaint, members
from .records import Record

RECORD = "LIFEBOAT.object"  # a pax keyword: those of vendors are in capitals, see pax(1)
ODD = ".lifeboat-keys"  # where objects lie whose keys cannot be paths
BY_HAND = (
    "mkdir NEW_DIRECTORY  # keys that cannot be paths come as numbers, in .lifeboat-keys\n"
    "tar --extract --directory NEW_DIRECTORY --warning=no-unknown-keyword --no-same-owner"
)
_FULL = 10240  # bytes; archives are filled up to whole records, as GNU tar does
_BLOCK = 512
_READ = 1 << 20


def header(record: Record, number: int) -> bytes:
    """The header blocks of an object's member. `number` is unique in the archive."""
    member = tarfile.TarInfo(member_name(record.key, number))
    member.size, member.mtime, member.mode = record.size_bytes, record.modified_at, 0o600
    told = {key: value for key, value in vars(record).items() if value}
    told.update(key=record.key, latest=record.latest)
    member.pax_headers = {RECORD: json.dumps(told, sort_keys=True)}
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % _BLOCK)


def end(size_bytes: int) -> bytes:
    """What closes an archive that has `size_bytes` so far."""
    return bytes(2 * _BLOCK + -(size_bytes + 2 * _BLOCK) % _FULL)


def member_name(key: str, number: int) -> str:
    """The key itself where any tar can extract it, safely and below one directory; else a number."""
    parts = key.split("/")
    fits = all(
        part not in ("", ".", "..") and part.isprintable() and len(part.encode("utf-8")) <= 255
        for part in parts
    )
    return key if fits and parts[0] != ODD else "%s/%08d" % (ODD, number)


def records(stream: BinaryIO) -> Iterator[tuple[Record, int, Iterator[Piece]]]:
    """(record, offset of its content, its content) of each member; raises VerifyError unless the archive
    is whole and of this form. The content is read, or passed over, before the next is asked for."""
    forward = Forward(lambda: stream.read(_READ))
    for member, content in members(forward):
        yield _record(member), forward.tell(), content or iter(())
    forward.drain()
    told = complaint(forward.tail, forward.size_bytes)
    if told:
        raise VerifyError("a tar archive is not whole: " + told)


def count(stream: BinaryIO, writer: InventoryWriter | None) -> None:
    """Read an archive to its end, and count what it holds."""
    for record, _offset, content in records(stream):
        digest = hashlib.sha256()
        for block in content:
            digest.update(block)
        if writer is not None:
            writer.add(**entry(record, digest.hexdigest()))


def entry(record: Record, sha256: str) -> dict[str, Any]:
    """The inventory's line of an object."""
    if not record.latest or (record.deleted and record.version):
        kind = "deletion" if record.deleted else "version"
        name = f"{record.key}?versionId={record.version}"
    else:
        kind, name = "object", record.key
    told = {"kind": kind, "name": name}
    if record.deleted:
        return told
    belonging = [dict(one or {}) for one in (record.headers, record.metadata, record.tags)]
    digest = hashlib.sha256(json.dumps(belonging, sort_keys=True).encode())
    return {
        **told,
        "size_bytes": record.size_bytes,
        "sha256": sha256,
        "properties": digest.hexdigest()[:16],
    }


_TEXTS = ("headers", "metadata", "tags")
_KINDS: dict[str, type] = {"size_bytes": int, "modified_at": int, "latest": bool, "deleted": bool}


def _record(member: tarfile.TarInfo) -> Record:
    try:
        told = json.loads(member.pax_headers[RECORD])
        known = {one.name: told[one.name] for one in fields(Record) if one.name in told}
        record = Record(**{"size_bytes": 0, "modified_at": 0, **known})
        sound = all(
            isinstance(value, _KINDS.get(name, dict if name in _TEXTS else str))
            for name, value in known.items()
        )
        sound = sound and all(
            isinstance(word, str)
            for name in _TEXTS
            for pair in known.get(name, {}).items()
            for word in pair
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise VerifyError(
            f"the archive has a member {member.name!r} that is not an object of a bucket"
        ) from None
    if not sound or record.size_bytes != member.size or not member.isreg():
        raise VerifyError(f"the archive's record of {member.name!r} is not sound")
    return record
