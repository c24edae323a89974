# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and read every name the format has. Pure; docs/format.md#names is the normative text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from .errors import FormatError, UsageError
from .stored import Mark
from .units import parse_stamp, stamp

# Always with fullmatch: `$` would let a newline through at the end.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ID = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([a-z0-9][a-z0-9_-]{0,62})-([0-9a-f]{4})")
_ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_MARK = re.compile(r"([a-z]+)(?:-(.+))?-([0-9]{8}T[0-9]{6}Z)")
_TAG_ESCAPE = re.compile(r"=([0-9A-F]{2})")

CATALOG = "catalog"
ARCHIVES = "archives"
SUMS = "SHA256SUMS"
RESTORE_NOTE = "RESTORE.md"
REPORT = "report"  # the mark that has content: what a drill told
MENDED = ".mended-"  # an instant follows
_LONGEST_TAG = (
    120  # escaped; with id and instant the name stays below the 255 that file systems take
)


def check_name(what: str, text: object) -> str:
    """A job, source, destination or type name; raises UsageError that says which letters may be used."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise UsageError(
            f"{what} name {text!r} cannot be used",
            hint="use a-z, 0-9, - and _, starting with a letter or digit, at most 63",
        )
    return text


def check_host(text: object) -> str:
    """A host name as it stands in keys; raises UsageError."""
    if not isinstance(text, str) or not _HOST.fullmatch(text):
        raise UsageError(
            f"host name {text!r} cannot be used",
            hint="use letters, digits, dots and hyphens",
        )
    return text


def check_tag(text: object) -> str:
    """A tag: any text that can be written as UTF-8, not too long for a name; raises UsageError."""
    if not isinstance(text, str) or not text:
        raise UsageError(f"the tag {text!r} cannot be used", hint="give some text")
    try:
        if len(_escape(text)) > _LONGEST_TAG:
            raise UsageError(
                f"the tag {text!r} is too long",
                hint="use at most %d letters and digits, or %d other characters"
                % (_LONGEST_TAG, _LONGEST_TAG // 12),
            )
    except UnicodeEncodeError:
        raise UsageError(
            f"the tag {text!r} is not text", hint="give it in UTF-8, as the locale says"
        ) from None
    return text


def backup_id(taken_at: datetime, type_: str, suffix: str) -> str:
    """20261121T020000Z-daily-7f3a; `suffix` is four random hexadecimal digits."""
    made = "{}-{}-{}".format(stamp(taken_at), check_name("type", type_), suffix)
    parse_id(made)
    return made


def parse_id(text: str) -> tuple[datetime, str]:
    """(instant, type) of an id; raises FormatError."""
    found = _ID.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise FormatError(
            f"{text!r} is not a backup id",
            hint="`lifeboat list` shows the ids there are",
        )
    try:
        return parse_stamp(found.group(1)), _one_of(found.group(2))
    except ValueError:
        raise FormatError(f"the backup id {text!r} holds an impossible date") from None


def check_archive_name(text: object) -> str:
    """The name of one archive inside its backup; raises FormatError (no path may hide in it)."""
    if not isinstance(text, str) or not _ARCHIVE.fullmatch(text):
        raise FormatError(f"{text!r} is not an archive name")
    return text


def archive_name(source: str, part: str, extension: str, suffixes: Iterable[str]) -> str:
    """db.database.pgdump.zst.age"""
    return check_archive_name(f"{source}.{part}.{extension}" + "".join(suffixes))


def archive_source(name: str) -> str:
    """The source that an archive of this name is of; "" for another file beside the archives."""
    source, _dot, rest = name.partition(".")
    return source if rest.count(".") and _NAME.fullmatch(source) else ""


def catalog_prefix(host: str, job: str) -> str:
    return "{}/{}/{}/".format(CATALOG, check_host(host), check_name("job", job))


def archives_prefix(host: str, job: str) -> str:
    """Below it lie the archives of all backups of one job."""
    return "{}/{}/{}/".format(ARCHIVES, check_host(host), check_name("job", job))


def archive_prefix(host: str, job: str, id_: str) -> str:
    parse_id(id_)
    return archives_prefix(host, job) + id_ + "/"


def manifest_key(host: str, job: str, id_: str) -> str:
    parse_id(id_)
    return catalog_prefix(host, job) + id_ + ".json"


def signature_key(host: str, job: str, id_: str) -> str:
    return manifest_key(host, job, id_) + ".sig"


def archive_key(host: str, job: str, id_: str, name: str) -> str:
    return archive_prefix(host, job, id_) + check_archive_name(name)


def mended_key(key: str, at: datetime) -> str:
    """The name beside an object under which it is stored again, since it proved bad."""
    return key + MENDED + stamp(at)


def mark_key(host: str, job: str, id_: str, mark: Mark) -> str:
    """catalog/db1/shop/<id>.intact-20261121T020102Z; a tag's text is escaped with =XX."""
    parse_id(id_)
    middle = mark.kind
    if mark.kind == "tag":
        middle += "-" + _escape(check_tag(mark.value))
    elif mark.value:
        middle += "-" + _escape(mark.value)
    return f"{catalog_prefix(host, job)}{id_}.{middle}-{stamp(mark.at)}"


def parse_mark(text: str) -> Mark | None:
    """A mark from what follows the id in its name; None for what is none."""
    found = _MARK.fullmatch(text)
    if not found:
        return None
    try:
        at = parse_stamp(found.group(3))
    except ValueError:
        return None
    value = found.group(2)
    return Mark(_one_of(found.group(1)), at, _unescape(value) if value else "")


@lru_cache(maxsize=256)
def _one_of(word: str) -> str:
    """The same word, held once: there are few types and kinds of marks, and a name for each of them in
    every one of 100,000 backups."""
    return word


def _escape(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"={byte:02X}"
        for byte in text.encode("utf-8")
    )


def _unescape(text: str) -> str:
    raw = _TAG_ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), text)
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")
