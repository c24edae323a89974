# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine asks of sources, filters and destinations: small Protocols, described by what a
caller may rely on. tests/unit/contracts holds one suite per port, run on every adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import (
    Any,
    BinaryIO,
    Protocol,
)

from .inventory import Entry
from .model import (
    Command,
    Inventory,
    Needs,
    Option,
    Shelf,
    SourceRecord,
    Stream,
    Swap,
    Target,
    Workspace,
)
from .stored import Cold, Place, Protection, Stored

PROTECTION_PROBE = ".probe-protection"  # no object: a name that begins with a dot is never one


class Dump(Protocol):
    """One source, held still at one instant, while its streams are read."""

    taken_at: datetime  # UTC, the instant the data is from
    facts: Mapping[
        str, Any
    ]  # JSON values that a restore needs: versions, owner, encoding, settings

    def streams(self) -> Iterator[Stream]:
        """The streams, each to be read to its end before the next is asked for."""

    def inventory(self) -> Inventory | None:
        """What the source held at `taken_at`; asked once, after the last stream. None = not counted."""


class Plain(Protocol):
    """One archive of a backup whose stored bytes have been verified, ready to be read as plain data.

    Nothing that was read may be trusted before the call returned: decryption and decompression
    emit bytes before they notice that an archive is bad.
    """

    part: str
    format: str

    def feed(self, command: Command) -> None:
        """Run `command` with the plain data on its standard input; raises ProcessError."""

    def save(self, path: Path) -> None:
        """Write the plain data to `path` (0600, synced); removes it again on any failure."""

    def read(self, consume: Callable[[BinaryIO], Any]) -> Any:
        """Give `consume` a file object with the plain data, read what it leaves, check, return its result."""


class Source(Protocol):
    """One thing to protect. Made from options only: no connection, no file is touched until a method is called.

    A class states `kind` and `options`; it is made as `kind(name=..., placement=..., optional=...,
    **options)`. All errors are SourceError (SourceAbsent when it is not there), MissingDependency or
    ProcessError, and name the source.

    It may have `again(failure: LifeboatError) -> bool`: whether a dump that failed so may go well if it
    is begun anew. It is then, once; so only the first stream may fail in such a way.

    It may have `belongings(facts) -> Sequence[str]`, given the facts of a dump that was just opened:
    paths on this host, as patterns, of the programs
    that made the dump and, where it runs here, of the server: the packages that own them are recorded.
    Then its class has `packages: tuple[str, ...]`, patterns of the only names of packages that are ever
    installed because a manifest names them; see packages.named.

    It may have `export: bool`: nothing reads back what it writes, so a restore of everything leaves it out.

    It may have `undoing(swap: Swap) -> Swap`: the swap with what has to be known for as long as it is
    being undone; asked, and noted durably, before `back`. It raises where the undo is impossible now.
    """

    kind: str
    options: tuple[Option, ...]
    name: str
    optional: bool

    def needs(self) -> Needs:
        """What the sandbox of the job's unit must allow. Asks nothing of the source."""

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        """Give `user` (of the system) the least rights that a dump needs; called by an administrator when
        a host is provisioned. What was (would be) done, in words; empty = nothing was missing."""

    # -- backup
    def check(self) -> Mapping[str, Any]:
        """Look without changing anything: reachable, programs present and of the right version, rights.

        Returns facts for people ({"server": "15.4", "client": "15.4"}); "warning" is what to mend all the same.
        """

    def open(self, work: Workspace) -> AbstractContextManager[Dump]:
        """Hold the source still and dump it. Leaving ends all programs and removes all temporary files."""

    # -- verify
    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        """Read every archive of this source (by part) to its end as its format; raises VerifyError."""

    # -- restore: beside, compare, swap. Each step may be asked twice after a crash and must be idempotent.
    def target(self, record: SourceRecord, into: str | None) -> Target:
        """What a restore of `record` (into another name, if given) would replace, and what forbids it."""

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        """Names for the side and for what is kept. `token` is short, lower case, unique to this restore.

        Files that a source has to keep itself lie in the directory `target.keep_in`, which `discard` removes.
        """

    def stage(
        self,
        swap: Swap,
        record: SourceRecord,
        plains: Mapping[str, Plain],
        work: Workspace,
    ) -> None:
        """Restore beside, at swap.side. What lies there from an earlier attempt is replaced."""

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        """The inventory of what `stage` made."""

    def swap(self, swap: Swap) -> None:
        """Put the side in the target's place and keep what was there. Already done = nothing to do."""

    def swapped(self, swap: Swap) -> bool:
        """Whether the new state is in place. Decided from the world, not from memory."""

    def back(self, swap: Swap) -> str | None:
        """The inverse of `swap`: the kept state is in place again, the new one lies at swap.side.

        Returns, in words, what could not be put back since it was allowed to be lost; None = nothing.
        """

    def discard(self, swap: Swap) -> None:
        """Remove whichever of side and kept is not in place. Never the target. Already gone = done."""


class Narrowable(Source, Protocol):
    """A source that can also restore a part of what it holds, or leave what else is there."""

    def narrowed(self, paths: Sequence[str], merge: bool) -> Source:
        """The same source, whose `target` is of `paths` alone (() = all), merged into what is there."""

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """Of the backup's inventory, and of `count`, what can be compared after such a restore."""


class Askable(Source, Protocol):
    """A source that answers a question in SQL, as it is now: for the health checks after a restore."""

    def ask(self, statement: str) -> Sequence[str]:
        """The first row of the answer, as texts; () without one."""


@dataclass(frozen=True)
class Arena:
    """A throw-away place for one source of a backup: a server of its own, or a directory."""

    source: Source  # like the one that was backed up, but pointing there
    into: str | None = None  # what its `target` is to be told
    places: Mapping[str, str] = field(default_factory=dict)
    # where a user's check finds it: {"SOCKET": "/…", "DATABASE": "shop"}


class Drillable(Source, Protocol):
    """A source that a drill can restore for real, where neither it nor its server is."""

    def arena(self, directory: Path, record: SourceRecord) -> AbstractContextManager[Arena]:
        """Make an empty place for `record` in `directory`, an empty and private one; throwaway.py helps.

        Nothing but this host's programs is needed: no placement, no credential, no network. Leaving
        ends what was started; `directory` is removed afterwards. Raises MissingDependency, SourceError.
        """


class Shelved(Source, Protocol):
    """A source that can tell what else lies where it reads. What tells of a server is a class's own:

    `signs`: paths of sockets, as patterns, or "tcp:6379", where a server of this kind listens;
    `keeps_in`: directories in which such a server keeps its data, which a copy of files does not protect.
    """

    signs: tuple[str, ...]
    keeps_in: tuple[str, ...]

    def shelf(self) -> Shelf:
        """Asked with the rights of whoever restores; changes nothing."""


class Filter(Protocol):
    """One program between the source and storage: a compressor, an encryptor.

    One that needs an identity has `recipients` in its record. It may have `opens(identity: bytes,
    record: Mapping) -> bool`: whether a private key fits an archive of that record, asked before a fetch;
    and `public_keys() -> list[PublicKey]`: the keys that it encrypts to, where they may end.
    """

    kind: str
    suffix: str  # ".zst"
    needs_identity: bool  # to decode

    def check(self) -> None:
        """Raise MissingDependency or ConfigError if it cannot encode here."""

    def encode(self) -> Command: ...

    def decode(self, identity: bytes | None) -> Command: ...

    def record(self) -> dict[str, Any]:
        """{"kind": ..., ...}: public facts for the manifest."""


class Growing(Protocol):
    """An archive that is still being written, as a destination sees it."""

    path: Path  # a regular file; complete only after `wait`
    size_hint: int  # expected bytes, 0 = unknown

    def reader(self) -> BinaryIO:
        """A file object that follows the writer. It ends only once the archive has passed its checks,
        and raises SpoolError if the archive was given up: what was read must then be thrown away."""

    def wait(self) -> int:
        """Block until the archive has passed its checks; its size in bytes. Raises like `reader`."""


class Destination(Protocol):
    """A place where copies live. Keys are naming's, relative, with /. All errors are DestinationError.

    A class states `kind` and `options`; it is made as `kind(name=..., **options)`.

    It may have `exposed(prefix: str) -> str`: what this host can do to what is stored below `prefix`, in
    words, found by doing it to the object PROTECTION_PROBE there, which stays; "" = it can neither delete
    nor change it. Without it, whatever is stored is this host's to delete.
    """

    kind: str
    options: tuple[Option, ...]
    name: str

    def needs(self) -> Needs:
        """What the sandbox of the job's unit must allow."""

    def place(self) -> Place:
        """Where copies here lie, as far as it can be told from this host without asking anybody."""

    def check(self, prefix: str = "") -> None:
        """Raise unless it is there and takes a small probe object below `prefix`, where this host may
        write (removed again where it may be)."""

    def store(self, key: str, growing: Growing) -> None:
        """Store an archive under `key`; may begin at once. Nobody sees a part of it under `key`, and after
        a failure nothing is left, no unfinished upload either. An object already there is an error."""

    def put(self, key: str, content: bytes) -> None:
        """Store a small object that is not there yet. An object already there, with other content, is an
        error; with the same content it is done."""

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """The object's bytes, streamed. missing=True when it is not there."""

    def open_at(self, key: str, offset: int) -> AbstractContextManager[BinaryIO]:
        """The same from a byte on, without what lies before it being sent."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects whose key starts with `prefix`; unfinished ones are not objects. None = empty."""

    def delete(self, key: str) -> None:
        """Deleting what is gone is not an error. Permission refused is, with permanent=True.

        One that can delete many in one request also has delete_many(keys) -> {key: why} of those that
        are refused for good; at most 1000 keys."""

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        """Remove unfinished uploads below `prefix` begun before then; what was removed, for the log."""


class Freezing(Destination, Protocol):
    """A destination with cold storage."""

    def cold(self, keys: Sequence[str], tier: str) -> Sequence[Cold]:
        """Those of the objects that are not to be read at once, thawed already or not."""

    def thaw(self, one: Cold, tier: str, days: int) -> None:
        """Ask for a frozen object; asked for already = nothing to do."""


class Guarded(Destination, Protocol):
    """A destination that may be asked for more than to keep bytes: locks, classes, encryption, versions."""

    def prepare(self) -> None:
        """Raise, before anything is dumped, where what was asked for cannot be had there."""

    def protection(self, keys: Sequence[str]) -> Protection:
        """How these objects, stored by this process, are kept. Asked after they were read back."""

    def older(self, key: str, size: int | None) -> Iterator[AbstractContextManager[BinaryIO]]:
        """The earlier contents of an object (of this size, if given), the first one first, where
        versions are kept: what was stored once cannot be hidden by storing something over it."""
