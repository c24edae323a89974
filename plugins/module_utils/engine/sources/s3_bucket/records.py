# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bucket tells of its objects, as records, and the failures that a caller tells apart."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from typing import Any

from ...errors import SourceError

# What an answer calls a header, and what a request does.
_HEADERS = (
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "WebsiteRedirectLocation",
)


class Gone(SourceError):
    """The object is not there."""


class Passing(SourceError):
    """Asking again may help."""


@dataclass(frozen=True)
class Listed:
    """One object as a listing tells it. `key` is without the prefix."""

    key: str
    size_bytes: int
    modified_at: datetime
    version: str = ""  # "" = whichever is current
    latest: bool = True
    deleted: bool = False  # a delete marker


@dataclass(frozen=True)
class Record:
    """One object, or one version of it, without its content."""

    key: str
    size_bytes: int
    modified_at: int  # seconds since 1970
    etag: str = ""
    version: str = ""
    latest: bool = True
    deleted: bool = False
    headers: Mapping[str, str] | None = None  # {"ContentType": "image/png", ...}
    metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None


def headers_of(found: Mapping[str, Any]) -> dict[str, str]:
    headers = {name: str(found[name]) for name in _HEADERS if found.get(name)}
    if found.get("ExpiresString"):
        headers["Expires"] = str(found["ExpiresString"])
    # a form of transfer, which some servers store with the object
    coding = [one.strip() for one in headers.pop("ContentEncoding", "").split(",")]
    kept = ",".join(one for one in coding if one and one != "aws-chunked")
    return {**headers, "ContentEncoding": kept} if kept else headers


def metadata_of(found: Mapping[str, Any]) -> dict[str, str]:
    """As it can be written back: requests take ASCII alone. What some servers give raw is encoded as
    the others store and give it (RFC 2047).
    """
    return {name: _ascii(value) for name, value in found.get("Metadata", {}).items()}


def _ascii(value: str) -> str:
    if value.isascii():
        return value
    try:
        value = value.encode("latin-1").decode("utf-8")  # a header's bytes come as Latin-1
    except UnicodeError:
        pass
    return Header(value, "utf-8", maxlinelen=sys.maxsize).encode()


def oldest_first(versions: list[Listed], markers: list[Listed]) -> Iterator[Listed]:
    """Both are newest first. Instants have whole seconds: of one second, a deletion is taken for the newer."""
    merged: list[Listed] = []
    while versions or markers:
        heads = [one for one in (versions, markers) if one]
        newest = max(heads, key=lambda one: (one[0].latest, one[0].modified_at, one[0].deleted))
        merged.append(newest.pop(0))
    return reversed(merged)
