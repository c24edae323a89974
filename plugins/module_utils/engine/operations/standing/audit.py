# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep an audit log: a JSON line an event, each with the hash of the one before, so that a change shows.

Who can write the file can write all of it anew. So the hash of every line also goes to the system's log,
which belongs to root: compare the last one there with what `check` says.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import syslog
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import FormatError, LifeboatError
from ...files import make_private, open_regular, within
from ...units import iso

NAME = "audit.jsonl"
_BLOCK = 1 << 20  # bytes read at once, from the end of a file back to its last whole line
_MOST_FACT = 64 << 10  # bytes of one value; a larger one is told by its length and hash
# Of a line that somebody else may have written: deep nesting, and a number that is none.
_MALFORMED = (ValueError, KeyError, TypeError, ArithmeticError, RecursionError)
_MOST_ENTRIES = 1 << 53  # a larger number is none of ours
_FIRST = "0" * 64  # what the first line names as the one before


@dataclass(frozen=True)
class Chain:
    """What the log holds. head: the hash of its last line. problems: what is not as it was written.

    breaks: those of them that a power cut does not explain.
    """

    lines: int
    head: str
    first_at: str
    last_at: str
    problems: tuple[str, ...]
    breaks: tuple[str, ...]


def append(path: Path, event: str, job: str, at: datetime, facts: Mapping[str, Any]) -> str:
    """Add one line, synced; its hash. Raises LifeboatError, OSError."""
    make_private(path.parent, 0o750)
    descriptor = open_regular(
        path, os.O_RDWR | os.O_APPEND | os.O_CREAT, within(path.parent, 0o660)
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _belong(descriptor, path)
        before, cut = _last(descriptor) or (_last_rotated(path), False)
        entry = {
            "seq": int(before["seq"]) + 1 if before else 1,
            "prev": _hash(before["line"]) if before else _FIRST,
            "at": iso(at),
            "event": event,
            "job": job,
            "who": _who(),
            "facts": {name: bounded(value) for name, value in facts.items()},
        }
        line = json.dumps(entry, sort_keys=True, default=str).encode()
        os.write(descriptor, (b"\n" if cut else b"") + line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    digest = _hash(line)
    syslog.openlog("lifeboat", 0, syslog.LOG_AUTHPRIV)
    syslog.syslog(
        syslog.LOG_NOTICE, f"audit seq={entry['seq']} sha256={digest} event={event} job={job}"
    )
    return digest


def check(path: Path) -> Chain:
    """Read all of it, rotated files first, and follow the hashes.

    Where rotated files are here, the oldest may begin anywhere: those before it were kept long enough.
    """
    problems: list[str] = []
    breaks: list[str] = []
    before = _FIRST
    seq = lines = 0
    whole: dict[str, bool] = {}  # file -> whether it holds any entry
    first_at = last_at = ""
    for name, number, line in _lines(path):
        where = f"{name}, line {number}"
        try:
            entry = json.loads(line)
            said, this, at = str(entry["prev"]), int(entry["seq"]), str(entry["at"])
        except _MALFORMED:
            problems.append(f"{where}: this is no whole entry")
            whole.setdefault(name, False)
            continue
        whole[name] = True
        if lines and (said != before or this != seq + 1):
            breaks.append(f"{where}: what came before entry {this} was changed, or is missing")
            problems.append(breaks[-1])
        elif not lines and said != _FIRST and name == path.name:
            breaks.append(f"{where}: the log begins with entry {this}: older files are not here")
            problems.append(breaks[-1])
        before, seq, last_at = _hash(line), this, at
        first_at = first_at or at
        lines += 1
    if not whole.get(path.name, True):  # then `append` has nothing to go on from
        breaks.append(f"{path.name}: it holds no entry, and takes none: move it away")
        problems.append(breaks[-1])
    head = before if lines else ""
    return Chain(lines, head, first_at, last_at, tuple(problems), tuple(breaks))


def entries(path: Path, job: str = "") -> Iterator[Mapping[str, Any]]:
    """The entries, oldest first; what is no entry is passed over."""
    for _name, _number, line in _lines(path):
        try:
            entry = json.loads(line)
        except _MALFORMED:
            continue
        if isinstance(entry, dict) and (not job or entry.get("job") == job):
            yield entry


def _lines(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """(file, number, line), of rotated files and this one. Compressed ones are read by the system's gzip."""
    import gzip

    for one in [*_rotated(path), path]:
        try:
            descriptor = open_regular(one, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise LifeboatError(f"the audit log {one} cannot be read: {exc.strerror}") from exc
        with os.fdopen(descriptor, "rb") as raw:
            stream: Any = gzip.open(raw) if one.suffix == ".gz" else raw
            try:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield one.name, number, line.rstrip(b"\n")
            except (OSError, EOFError) as exc:
                raise FormatError(f"the audit log {one} cannot be read: {exc}") from exc


def _rotated(path: Path) -> list[Path]:
    """audit.jsonl.3.gz, audit.jsonl.2.gz, audit.jsonl.1: the oldest first."""
    found = []
    for one in path.parent.glob(path.name + ".*"):
        number = one.name[len(path.name) + 1 :].split(".")[0]
        if number.isdigit():
            found.append((int(number), one))
    return [one for _number, one in sorted(found, reverse=True)]


def _last(descriptor: int) -> tuple[dict[str, Any], bool] | None:
    """(the last whole entry, whether a cut line follows it); None in an empty file."""
    size = os.fstat(descriptor).st_size
    if not size:
        return None
    cut = os.pread(descriptor, 1, size - 1) != b"\n"
    for line in _backwards(descriptor, size):
        entry = _entry(line)
        if entry:
            return entry, cut
    raise FormatError("the end of the audit log is no entry", hint="`lifeboat audit` says more")


def _backwards(descriptor: int, size: int) -> Iterator[bytes]:
    """The lines, the last one first, however long each is."""
    blocks: list[bytes] = []  # of the line that goes on further ahead, the last one first
    while size:
        length = min(_BLOCK, size)
        size -= length
        first, *lines = os.pread(descriptor, length, size).split(b"\n")
        if lines:
            yield lines.pop() + b"".join(reversed(blocks))
            yield from reversed(lines)
            blocks = []
        blocks.append(first)
    yield b"".join(reversed(blocks))


def bounded(value: Any, most: int = _MOST_FACT) -> Any:
    """A value, or what tells that it was this one: nothing is to make a line that nobody can read."""
    text = json.dumps(value, sort_keys=True, default=str).encode()
    if len(text) <= most:
        return value
    return {"bytes": len(text), "sha256": _hash(text)}


def _last_rotated(path: Path) -> dict[str, Any] | None:
    last = None
    for name, _number, line in _lines(path):
        if name != path.name:
            last = _entry(line) or last
    return last


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        seq = int(entry["seq"])
        return {"seq": seq, "line": line} if 0 <= seq < _MOST_ENTRIES else None
    except _MALFORMED:
        return None


def _belong(descriptor: int, path: Path) -> None:
    """To whoever the directory belongs: root writes here, and the users of jobs, whatever the umask."""
    owner, there = os.stat(path.parent), os.fstat(descriptor)
    if there.st_size == 0 and os.geteuid() in (0, there.st_uid):
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fchmod(descriptor, within(path.parent, 0o660))


def _who() -> dict[str, str]:
    """The user, and who became that user."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    told = {"user": name}
    for key, variable in (("sudo", "SUDO_USER"), ("unit", "LIFEBOAT_UNIT")):
        if os.environ.get(variable):
            told[key] = os.environ[variable]
    return told


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
