# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that cross layers: what one backup is made of. Words: docs/design.md, glossary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .units import parse_stamp

DESCRIPTOR = "{descriptor}"  # in Command.argv: replaced by /dev/fd/N, from which `secret` is read


@dataclass(frozen=True)
class Inside:
    """How a program runs inside a container. Made by Placement.wrap."""

    container: str
    program: str  # for messages
    unfed: tuple[
        str, ...
    ]  # argv where nothing is written to it: it ends when its standard input does
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


@dataclass(frozen=True)
class Workspace:
    """Private directories for one operation, removed with all that is in them when it ends."""

    bulk: Path  # on the spool's file system: room for data
    secret: Path  # in memory where the system has such a place: password files
    lasting: Path | None = (
        None  # the job's own: what has to be put right after a crash is noted here
    )


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
    by_hand: str = (
        ""  # the command that restores the plain data from its standard input, for RESTORE.md
    )


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


class Mark(NamedTuple):
    """An empty object beside a manifest; the latest of a kind wins."""

    kind: str  # "intact", "pin", "tag", ...
    at: datetime
    value: str = ""  # of a tag; of `locked`, until when


class Copy(NamedTuple):
    """One backup as one destination's names tell it, without opening anything.

    A tuple, as Mark is: of 100,000 it takes a third of the memory that a dataclass does.
    """

    id: str
    taken_at: datetime
    type: str
    committed: bool  # the manifest is there
    marks: tuple[Mark, ...] = ()
    signed: bool = False  # there is a signature; whose, only reading it tells

    def latest(self, *kinds: str) -> Mark | None:
        """The newest mark of these kinds; a tie goes to the kind named last."""
        newest: Mark | None = None
        for mark in self.marks:
            if mark.kind in kinds and (
                newest is None
                or (mark.at, kinds.index(mark.kind)) > (newest.at, kinds.index(newest.kind))
            ):
                newest = mark
        return newest

    @property
    def pinned(self) -> bool:
        newest = self.latest("unpin", "pin")
        return newest is not None and newest.kind == "pin"

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted({mark.value for mark in self.marks if mark.kind == "tag"}))

    @property
    def subset(self) -> bool:
        """Was not asked for every source of its job, or one failed."""
        return self.latest("subset") is not None

    @property
    def locked_until(self) -> datetime | None:
        """Until when the destination lets nobody delete this copy, as it told; None = not locked."""
        newest = self.latest("locked")
        try:
            return parse_stamp(newest.value) if newest else None
        except ValueError:
            return None  # not a name of ours

    @property
    def suspect(self) -> bool:
        newest = self.latest("suspect", "accepted")
        return newest is not None and newest.kind == "suspect"

    @property
    def replaced(self) -> bool:
        """Its content is in another backup, encrypted anew, which was proved here."""
        return self.latest("replaced") is not None

    @property
    def good(self) -> bool:
        """Counts for retention and freshness: committed, complete, not suspect, and its bytes proved."""
        if not self.committed or self.replaced or self.latest("partial") or self.suspect:
            return False
        proof = self.latest("intact", "drilled", "bad")
        return proof is not None and proof.kind != "bad"

    @property
    def state(self) -> str:
        """missing, pruned, corrupt, replaced, partial, suspect, archived, stored, intact or restorable."""
        if not self.committed:
            return "pruned" if self.latest("pruned") else "missing"
        proof = self.latest("intact", "drilled", "bad")
        if proof is not None and proof.kind == "bad":
            return "corrupt"
        if self.replaced:
            return "replaced"
        if self.latest("partial"):
            return "partial"
        if self.suspect:
            return "suspect"
        if proof is None:
            return "archived" if self.latest("archived") else "stored"
        return "restorable" if self.latest("drilled") else "intact"


class Stored(NamedTuple):
    """One object at a destination."""

    key: str
    size_bytes: int
    changed_at: datetime  # as the destination tells it


@dataclass(frozen=True)
class Place:
    """Where data lies: what fails together has one domain; what wears out together has one medium."""

    domain: str
    medium: str


@dataclass(frozen=True)
class CopyPolicy:
    """What was said of one destination, whatever its kind."""

    bandwidth: int = 0  # bytes a second that are sent there; 0 = no limit
    full_up_to: int | None = (
        None  # a larger backup is sampled at first; None = all are read in full
    )
    domain: str = ""  # "" = derived: what fails together
    medium: str = ""  # "" = derived: what kind of thing it lies on


@dataclass(frozen=True)
class Cold:
    """An object in cold storage."""

    key: str
    state: str  # "frozen", "thawing" (asked for, and not there yet), "thawed"
    storage_class: str
    size_bytes: int
    hours: str = ""  # until it can be read, in words; "" = it cannot be asked for so


@dataclass(frozen=True)
class Protection:
    """How a destination keeps a copy beyond its bytes, as it told when it was asked again."""

    locked_until: datetime | None = None  # of all its objects the earliest; None = not locked
    problems: tuple[str, ...] = ()  # what was asked for and is not so
    remarks: tuple[str, ...] = ()  # what somebody may want to know
    cold: bool = False  # must be thawed before it can be read


@dataclass(frozen=True)
class Keep:
    """What retention keeps; None = the rule is not used. Counts are of good backups."""

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None
    tagged: timedelta | None = None  # how long a tag protects; None = for ever
    minimum: int = 1  # never fewer good ones than this
    default_of: str = ""  # the environment whose rules these are, where none were given

    @property
    def unlimited(self) -> bool:
        """No rule at all: everything is kept."""
        counts = (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        return self.within is None and all(count is None for count in counts)


@dataclass(frozen=True)
class Schedule:
    """When a job runs, and what that run takes."""

    type: str
    at: str  # a systemd calendar expression
    sources: tuple[str, ...] = ()  # empty = all
    keep: Keep | None = None  # counted within this type
    spread: timedelta | None = None


@dataclass(frozen=True)
class Health:
    """One question, as the configuration has it: exactly one of http, command, sql."""

    name: str
    http: str = ""  # a URL; an answer of 200 to 399 is good
    command: tuple[str, ...] = ()  # a status of 0 is good
    sql: str = ""  # a row is good, unless its first value is empty, 0 or false
    source: str = ""  # that is asked in SQL
    user: str = ""  # that runs the command

    @property
    def label(self) -> str:
        return f"{self.name} ({self.http or ' '.join(self.command) or self.sql})"


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
    folders: Mapping[str, str] = field(
        default_factory=dict
    )  # {part: the directory on this host that
    # all of the part's plain data is restored in}
    tables: tuple[str, ...] = ()  # of a database, by name: what its people know it by
    exchanges: tuple[
        str, ...
    ] = ()  # directories that go away as a whole, with all that lies in them
