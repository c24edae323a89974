# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a Manifest as JSON, and read one back without trusting it. Pure; docs/format.md#manifest.

The document carries a digest of itself, so that one changed by hand is noticed. (Who wrote it is
another question, which a signature answers.)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from .errors import FormatError
from .model import Archive, Manifest, SourceRecord
from .naming import check_archive_name, check_host, check_name, parse_id
from .units import iso, parse_instant

VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")  # of git, whose hash may be SHA-256


def encode(manifest: Manifest) -> bytes:
    """The document, UTF-8, sorted keys, one trailing newline: the same manifest gives the same bytes."""
    body = {
        "version": VERSION,
        "id": manifest.id,
        "host": manifest.host,
        "job": manifest.job,
        "type": manifest.type,
        "environment": manifest.environment,
        "taken_at": iso(manifest.taken_at),
        "finished_at": iso(manifest.finished_at),
        "tool": manifest.tool,
        "complete": manifest.complete,
        "tags": list(manifest.tags),
        "sources": [_source_out(source) for source in manifest.sources],
        "archives": [_archive_out(archive) for archive in manifest.archives],
        "totals": _totals(manifest.archives),
    }
    if manifest.rekeyed_from:
        body["rekeyed_from"] = manifest.rekeyed_from
    if manifest.repository:
        body["repository"] = dict(manifest.repository)
    body = json.loads(_dump(body))  # as a reader will see it: the digest is of that
    return _dump(dict(body, digest=_digest(body)))


def decode(content: bytes, where: str) -> Manifest:
    """The manifest in `content`; `where` names it in errors. Raises FormatError, never anything else.

    Unknown keys are passed over: a later minor version may add some.
    """
    try:
        body = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise FormatError(f"the manifest {where} is not JSON: {exc}") from None
    if not isinstance(body, dict) or not _is_count(body.get("version")):
        raise FormatError(f"{where} is not a manifest: it has no version")
    if body["version"] > VERSION:
        raise FormatError(
            "the manifest %s has version %d, this lifeboat reads up to %d"
            % (where, body["version"], VERSION),
            hint="use a lifeboat at least as new as the one that wrote the backup",
        )
    try:
        recorded = body.pop("digest", None)
        if recorded != _digest(body):
            raise FormatError(
                f"the manifest {where} was changed after it was written: its digest does not match",
                hint="use another copy of this backup (`lifeboat list` shows where there is one)",
            )
        return _manifest_in(body)
    except FormatError:
        raise
    except KeyError as exc:
        raise FormatError(f"the manifest {where} has no {exc.args[0]}") from None
    except Exception as exc:
        raise FormatError(f"the manifest {where} is malformed: {exc}") from None


def commit(manifest: Manifest) -> str:
    """Of the application, as the manifest's `repository` tells it; "" where it tells none."""
    told = str(manifest.repository.get("commit", ""))
    return told if _COMMIT.fullmatch(told) else ""


def sha256sums(manifest: Manifest) -> bytes:
    """The SHA256SUMS file that `sha256sum -c` reads."""
    return "".join(f"{one.sha256}  {one.name}\n" for one in manifest.archives).encode()


def _totals(archives: tuple[Archive, ...]) -> dict[str, int]:
    return {
        "archives": len(archives),
        "size_bytes": sum(archive.size_bytes for archive in archives),
        "plain_bytes": sum(archive.plain_bytes for archive in archives),
    }


def _dump(body: Mapping[str, Any]) -> bytes:
    text = json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    # A file name need not be UTF-8; its lone surrogates become \udcXX, which is JSON's own escape.
    return text.encode("utf-8", "backslashreplace")


def _digest(body: Mapping[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(_dump(body)).hexdigest()


def _source_out(source: SourceRecord) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "status": source.status,
        "taken_at": iso(source.taken_at) if source.taken_at else None,
        "facts": dict(source.facts),
        "totals": dict(source.totals),
        "inventory_digest": source.inventory_digest,
        "error": source.error,
    }


def _archive_out(archive: Archive) -> dict[str, Any]:
    return {
        "name": archive.name,
        "source": archive.source,
        "part": archive.part,
        "format": archive.format,
        "filters": [dict(one) for one in archive.filters],
        "size_bytes": archive.size_bytes,
        "plain_bytes": archive.plain_bytes,
        "sha256": archive.sha256,
        "warnings": list(archive.warnings),
        "by_hand": archive.by_hand,
    }


def _manifest_in(body: Mapping[str, Any]) -> Manifest:
    taken_at, type_ = parse_id(_text(body, "id"))
    manifest = Manifest(
        id=_text(body, "id"),
        host=check_host(body["host"]),
        job=check_name("job", body["job"]),
        type=_text(body, "type"),
        environment=_text(body, "environment"),
        taken_at=parse_instant(_text(body, "taken_at")),
        finished_at=parse_instant(_text(body, "finished_at")),
        tool=_text(body, "tool"),
        complete=_truth(body, "complete"),
        sources=tuple(_source_in(one) for one in _list(body, "sources")),
        archives=tuple(_archive_in(one) for one in _list(body, "archives")),
        tags=_texts(body, "tags"),
        rekeyed_from=_text(body, "rekeyed_from") if "rekeyed_from" in body else "",
        repository=_mapping(body, "repository") if "repository" in body else {},
    )
    if manifest.rekeyed_from:
        parse_id(manifest.rekeyed_from)
    if manifest.taken_at != taken_at or manifest.type != type_:
        raise FormatError(f"the manifest {manifest.id} disagrees with its own id")
    sources = [source.name for source in manifest.sources]
    names = [archive.name for archive in manifest.archives]
    for what, given in (("a source", sources), ("an archive", names)):
        if len(set(given)) != len(given):
            raise FormatError(f"the manifest {manifest.id} names {what} twice")
    if not {archive.source for archive in manifest.archives} <= set(sources):
        raise FormatError(f"the manifest {manifest.id} has an archive of a source it does not name")
    if not _totals(manifest.archives).items() <= _counts(body, "totals").items():
        raise FormatError(f"the totals of the manifest {manifest.id} are not those of its archives")
    return manifest


def _source_in(body: Mapping[str, Any]) -> SourceRecord:
    return SourceRecord(
        name=check_name("source", body["name"]),
        kind=_text(body, "kind"),
        status=_text(body, "status"),
        taken_at=None if body["taken_at"] is None else parse_instant(_text(body, "taken_at")),
        facts=_mapping(body, "facts"),
        totals=_counts(body, "totals"),
        inventory_digest=_text(body, "inventory_digest"),
        error=_text(body, "error"),
    )


def _archive_in(body: Mapping[str, Any]) -> Archive:
    if not _SHA256.fullmatch(_text(body, "sha256")):
        raise FormatError("{!r} is not a SHA-256".format(body["sha256"]))
    return Archive(
        name=check_archive_name(body["name"]),
        source=check_name("source", body["source"]),
        part=check_name("part", body["part"]),
        format=check_archive_name(body["format"]),
        filters=_filters_in(_list(body, "filters")),
        size_bytes=_count(body, "size_bytes"),
        plain_bytes=_count(body, "plain_bytes"),
        sha256=_text(body, "sha256"),
        warnings=_texts(body, "warnings"),
        by_hand=_text(body, "by_hand"),
    )


def _filters_in(filters: list[Any]) -> tuple[Mapping[str, Any], ...]:
    for one in filters:
        if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
            raise FormatError(f"{one!r} is not a filter")
    return tuple(filters)


def _text(body: Mapping[str, Any], key: str) -> str:
    if not isinstance(body[key], str):
        raise FormatError(f"{key} is not text")
    return str(body[key])


def _texts(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if not all(isinstance(one, str) for one in _list(body, key)):
        raise FormatError(f"{key} is not a list of texts")
    return tuple(body[key])


def _truth(body: Mapping[str, Any], key: str) -> bool:
    if not isinstance(body[key], bool):
        raise FormatError(f"{key} is neither true nor false")
    return bool(body[key])


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(body[key], list):
        raise FormatError(f"{key} is not a list")
    return list(body[key])


def _mapping(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(body[key], dict):
        raise FormatError(f"{key} is not a mapping")
    return dict(body[key])


def _counts(body: Mapping[str, Any], key: str) -> dict[str, int]:
    return {name: _count(_mapping(body, key), name) for name in _mapping(body, key)}


def _count(body: Mapping[str, Any], key: str) -> int:
    if not _is_count(body[key]):
        raise FormatError(f"{key} is not a count")
    return int(body[key])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0  # true is an int
