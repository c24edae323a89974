# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that cross layers: what one backup is made of. Words: docs/design.md, glossary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

DESCRIPTOR = "{descriptor}"  # in Command.argv: replaced by /dev/fd/N, from which `secret` is read


@dataclass(frozen=True)
class Inside:
    """How a program runs inside a container. Made by Placement.wrap."""

    container: str
    program: str  # for messages
    unfed: tuple[str, ...]
    # argv where nothing is written to it: it ends when its standard input does
    ready: Callable[[], None]  # raises when the container can run nothing now


@dataclass(frozen=True)
class Command:
    """One program to run. Never a shell, never a secret in argv."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # added to ours, never instead of it
    cwd: str | None = None
    user: str = ""  # of this system, to run as; only root may name another
    accepts: tuple[int, ...] = (0,)  # exit statuses that are not a failure
    secret: bytes | None = field(default=None, repr=False)  # readable once at DESCRIPTOR
    secret_again: bool = False  # its reader opens it more than once: a file in memory, not a pipe
    inside: Inside | None = None  # a container
    hear: Callable[[Iterator[str]], None] | None = field(default=None, repr=False, compare=False)
    # is given all lines of standard error, where its end alone does not tell; see Pipeline.check
    within: Callable[[], AbstractContextManager[Mapping[str, str]]] | None = field(
        default=None, repr=False, compare=False
    )  # what has to be there as long as it runs; gives variables for its environment
    unset: tuple[str, ...] = ()
    # how names of our variables begin that it must not see: an operator's shell may name another server
    may_stop: bool = False  # it wants a part of its standard input, and may end before that does

    @property
    def program(self) -> str:
        return self.inside.program if self.inside else self.argv[0].rsplit("/", 1)[-1]


@dataclass(frozen=True)
class PublicKey:
    """A key that is encrypted to, and that may end."""

    fingerprint: str
    expires_at: datetime | None  # the last instant at which anything can be encrypted to it
    broken: str = ""  # why nothing can: "is revoked", "has expired", "cannot encrypt"


class Secret:
    """A value that must not be shown: its repr is ***. `reveal()` reads it only when it is needed.

    A secret is text, or a mapping of texts (an access key has two halves).
    """

    def __init__(self, load: Callable[[], Any], name: str = "") -> None:
        self._load = load
        self.name = name  # of the credential, for messages

    @classmethod
    def of(cls, value: Any) -> Secret:
        return cls(lambda: value)

    def reveal(self) -> Any:
        return self._load()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True)
class Option:
    """One option of a source or destination, as the configuration may give it.

    kind: "text", "integer", "boolean", "texts" (list of text), "size", "duration", "secret", "mapping",
    "variables" (of an environment: name to text or secret).
    """

    name: str
    kind: str = "text"
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needs:
    """What a source or destination needs of the sandbox that a job runs in."""

    writes: tuple[str, ...] = ()  # paths that must be writable
    reads: tuple[str, ...] = ()  # paths that must be visible, if they are in a home directory too
    replaces: tuple[str, ...] = ()  # paths that a restore takes away and puts back
    reads_everything: bool = False  # files of other users
    engine: str = ""  # "docker" or "podman": it is asked, and may be told to stop and start
    stops: bool = False  # something that has to be started again, also after a kill
    bucket: str = ""  # "ENDPOINT BUCKET/PREFIX/": of a source, what a restore replaces
    covers: tuple[str, ...] = ()  # files that it protects, besides what it replaces
    volume: str = ""  # of `engine`, that it protects
    server: str = ""  # "USER@HOST:PORT PATH" of a destination that is reached so


@dataclass(frozen=True)
class Workspace:
    """Private directories for one operation, removed with all that is in them when it ends."""

    bulk: Path  # on the spool's file system: room for data
    secret: Path  # in memory where the system has such a place: password files
    lasting: Path | None = None  # the job's own: notes of what to put right after a crash


@dataclass(frozen=True)
class Stream:
    """One stream of a source, on its way to become an archive."""

    part: str  # "database", "globals", "tree"; names the archive with the source
    extension: str  # of the plain format: "pgdump", "sql", "sqlite", "tar", "jsonl"
    feed: Command | Path | BinaryIO  # a program's standard output, a file, or what is read once
    complaint: Callable[[bytes, bytes, int], str]  # (head, tail, size) -> "" or what is missing
    tap: Callable[[bytes], None] | None = None  # sees every plain block, in order
    surplus: Callable[[bytes], int] | None = None
    # (last 64 bytes) -> how many of them the program added after its data: they are cut off
    finish: Callable[[int, str], tuple[str, ...]] | None = None
    # (exit status, stderr) -> warnings, called once all went well; may raise SourceError
    by_hand: str = ""  # for RESTORE.md: the command that restores the data from its standard input


@dataclass(frozen=True)
class Inventory:
    """What a source holds, counted: one JSON line an object in `path`, sorted by nobody.

    Each line: {"kind": "table", "name": "public.book", "rows": 12}; `uncounted: true` where a
    number is the server's estimate. totals: {"tables": 3, "rows": 40}. digest: the sum of the
    lines' SHA-256, so that it does not depend on the order in which they were found.
    """

    path: Path
    totals: Mapping[str, int]
    digest: str


@dataclass(frozen=True)
class Archive:
    """One archive of a committed backup."""

    name: str  # db.database.pgdump.zst.age; unique in its backup
    source: str
    part: str
    format: str  # the plain format: Stream.extension
    filters: tuple[Mapping[str, Any], ...]  # in encoding order: ({"kind": "zstd"}, {"kind": "age"})
    size_bytes: int  # as stored
    plain_bytes: int
    sha256: str  # of the bytes as stored
    warnings: tuple[str, ...] = ()
    by_hand: str = ""


@dataclass(frozen=True)
class SourceRecord:
    """What one source did in one backup."""

    name: str
    kind: str
    status: str  # "good", "failed", "absent" (optional and not there)
    taken_at: datetime | None = None  # the instant its data is from
    facts: Mapping[str, Any] = field(default_factory=dict)  # versions, owner, encoding: for restore
    totals: Mapping[str, int] = field(default_factory=dict)
    inventory_digest: str = ""
    error: str = ""


@dataclass(frozen=True)
class Manifest:
    """One backup, described. Its presence at a destination is the commit."""

    id: str
    host: str
    job: str
    type: str
    environment: str
    taken_at: datetime
    finished_at: datetime
    tool: str  # "lifeboat 0.1.0"
    complete: bool
    sources: tuple[SourceRecord, ...]
    archives: tuple[Archive, ...]
    tags: tuple[str, ...] = ()
    rekeyed_from: str = ""  # the id of the backup whose content this is, encrypted anew
    repository: Mapping[str, Any] = field(default_factory=dict)  # see `revision.look`

    def of_source(self, source: str) -> tuple[Archive, ...]:
        return tuple(archive for archive in self.archives if archive.source == source)


@dataclass(frozen=True)
class Swap:
    """One source's part in a restore, as the journal keeps it: names only, so that another process can finish."""

    source: str
    target: str  # what users of the data know: a database name, a path
    side: str  # restored here first
    kept: str  # what was there before goes here
    existed: bool  # whether there was anything at `target`
    note: Mapping[str, Any] = field(default_factory=dict)  # what else the source needs to undo


@dataclass(frozen=True)
class Shelf:
    """What lies where a source reads: the databases of one server."""

    place: str  # "/run/postgresql:5432"; sources of one server say the same
    there: tuple[str, ...]  # all, but the server's own
    held: tuple[str, ...]  # those that this source protects


@dataclass(frozen=True)
class Target:
    """What a restore would replace, as it is now."""

    label: str  # "database shop on /run/postgresql:5432"
    name: str  # Swap.target
    exists: bool
    size_bytes: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)  # what would be lost, counted
    refusals: tuple[str, ...] = ()  # reasons that make a restore impossible now
    note: Mapping[str, Any] = field(default_factory=dict)  # what else `plan` of the source needs
    keep_in: str = ""  # for `plan`: a directory of whoever restores alone, made by the source that
    # keeps something there for as long as the restore can be taken back
    newer: Mapping[str, int] = field(default_factory=dict)  # {"files": 3}: written since the backup
    folders: Mapping[str, str] = field(default_factory=dict)
    # {part: the directory on this host that all of the part's plain data is restored in}
    tables: tuple[str, ...] = ()  # of a database, by name: what its people know it by
    exchanges: tuple[
        str, ...
    ] = ()  # directories that go away as a whole, with all that lies in them
