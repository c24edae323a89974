# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect what a program of the user's writes as a stream, and another one reads back."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ... import inventory
from ...errors import ConfigError, LifeboatError, SourceError, VerifyError
from ...fleeting import fleeting
from ...inventory import Entry, InventoryWriter
from ...model import Inventory, Needs, Option, SourceRecord, Stream, Swap, Target, Workspace
from ...placement import HERE, Placement
from ...ports import Plain
from .. import in_place
from .dump import PART, TAIL, CommandDump, Digest, add, agreed, digest_of
from .programs import Entries, Programs

_CHECK_S = 600.0
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class CommandSource:
    """`dump` writes the data to its standard output; `restore` reads it from its standard input, and must
    replace what is there: where it only adds, `clear` empties first. All are argument lists.

    `check` is asked before a dump. `count` writes what there is, an inventory entry a line. `trailer`:
    what the stream must end with, but for white space. `restore_without_copy`: where what is there cannot be
    read, it may be overwritten with nothing kept; taking back is `clear` alone then. Without `restore` it is
    an export: for people, and for other programs.
    """

    kind = "command"
    options = (
        Option("dump", "texts", required=True),
        Option("restore", "texts", default=()),
        Option("clear", "texts", default=()),
        Option("check", "texts", default=()),
        Option("count", "texts", default=()),
        Option("extension", default="stream"),
        Option("trailer", default=""),
        Option("cwd"),
        Option("env", "variables", default={}),
        Option("user", default=""),
        Option("restore_without_copy", "boolean", default=False),
    )

    def __init__(
        self,
        *,
        name: str,
        dump: Sequence[str],
        restore: Sequence[str] = (),
        clear: Sequence[str] = (),
        check: Sequence[str] = (),
        count: Sequence[str] = (),
        extension: str = "stream",
        trailer: str = "",
        cwd: str | None = None,
        env: Mapping[str, Any] | None = None,
        user: str = "",
        restore_without_copy: bool = False,
        placement: Placement = HERE,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        self.export = not restore
        self._dump, self._restore, self._clear = dump, restore, clear
        self._check, self._count = check, count
        self._extension = extension
        self._trailer = trailer.strip().encode("utf-8")
        self._cwd = cwd
        self._may_lose = restore_without_copy
        self._programs = Programs(name, placement, cwd, dict(env or {}), user)
        wrong = ""
        if not dump or not all(argv[0] for argv in (dump, restore, clear, check, count) if argv):
            wrong = "dump: write a program and its arguments, as a list"
        elif not _EXTENSION.fullmatch(extension):
            wrong = f"extension: {extension!r}: use letters, digits, - and _, at most 32"
        elif cwd is not None and not os.path.isabs(cwd):
            wrong = f"cwd: {cwd!r}: write an absolute path"
        elif len(self._trailer) > TAIL // 2:
            wrong = "trailer: write at most %d bytes" % (TAIL // 2)
        elif restore_without_copy and not clear:
            wrong = "restore_without_copy: give a `clear`: without a copy, that alone can take back"
        if wrong:
            raise ConfigError(f"source {name}: {wrong}")

    def needs(self) -> Needs:
        folders = (self._cwd,) if self._cwd and self._programs.placement.local else ()
        return Needs(writes=folders, reads=folders)

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []  # what its programs need is between them and their user

    # -- backup

    def check(self) -> Mapping[str, Any]:
        self._programs.look(self._dump)
        if self._check:
            self._programs.run("check", self._check, timeout_s=_CHECK_S)
        return self._facts()

    @contextmanager
    def open(self, work: Workspace) -> Iterator[CommandDump]:
        self.check()
        with tempfile.TemporaryDirectory(prefix="command-", dir=work.bulk) as folder:
            lines = Path(folder) / "inventory.jsonl"
            stream = Stream(
                part=PART,
                extension=self._extension,
                feed=self._programs.command(self._dump),
                complaint=lambda _head, tail, size_bytes: self._complaint(tail, size_bytes),
            )
            yield CommandDump(self.name, stream, self._facts(), self._counted, lines)

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        recorded = self._recorded(plains)
        self._prove(recorded, plains[PART].read(digest_of))

    # -- restore: in place, see in_place.py

    def target(self, record: SourceRecord, into: str | None) -> Target:
        refusals = []
        label = "what `%s` replaces" % shlex.join(self._restore)
        if into is not None:
            refusals.append("a command restores where it is configured to, never into another name")
        if not self._restore:
            refusals.append("source %s has no `restore` command" % self.name)
        size_bytes, exists = 0, False
        totals: Mapping[str, int] = {}
        try:
            for argv in filter(None, (self._dump, self._restore, self._clear)):
                self._programs.look(argv)
        except SourceError as exc:
            refusals.append(str(exc))
        refusal = self._programs.refusal()
        if refusal:
            refusals.append(refusal)
        if not refusals:
            try:
                size_bytes, totals = self._look()
                exists = True
            except LifeboatError as exc:
                why = "what is there cannot be kept, for it cannot be read: %s" % exc
                if self._may_lose:
                    label += " (%s)" % why
                else:
                    refusals.append(why + "; mend that, or set restore_without_copy to lose it")
        return Target(label, self.name, exists, size_bytes, totals, tuple(refusals))

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        return in_place.plan(self.name, target)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        recorded = self._recorded(plains)
        in_place.make_folder(swap)
        try:
            plains[PART].save(Path(swap.side))
            with open(swap.side, "rb") as saved:
                self._prove(recorded, digest_of(saved))
            plains["inventory"].save(in_place.expected(Path(swap.side)))
        except BaseException:
            in_place.discard(swap)
            raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        """The stream as it lies at the side. What it holds shows when it is loaded, and `swap` compares it."""
        descriptor, lines = tempfile.mkstemp(prefix="command-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        with open(swap.side, "rb") as saved:
            add(writer, digest_of(saved).entry)
        for entry in self._expected(Path(swap.side)):
            add(writer, entry)
        return writer.close()

    def swap(self, swap: Swap) -> None:
        in_place.swap(swap, _Store(self), self._may_lose)

    def swapped(self, swap: Swap) -> bool:
        return in_place.swapped(swap)

    def undoing(self, swap: Swap) -> Swap:
        """What the restore brought, and what came since, is kept in turn: so it has to be readable."""
        if not in_place.swapped(swap):
            raise SourceError(
                f"source {self.name}: nothing says that {swap.target} is as the restore has left it, so"
                " nothing was undone",
                hint=f"what was there before is {swap.kept}, as long as that is there",
            )
        if not self._may_lose:
            with self._keeping():
                self._look()
        return swap

    def back(self, swap: Swap) -> str | None:
        return in_place.back(swap, _Store(self), self._may_lose)

    def discard(self, swap: Swap) -> None:
        in_place.discard(swap)

    # -- inside

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """While what is there is read, to be kept: say what a failure of that means, and the way on."""
        try:
            yield
        except LifeboatError as exc:
            clear = "" if self._clear else " and a `clear`"
            raise SourceError(
                f"source {self.name}: what is there now cannot be kept, for it cannot be read: {exc};"
                " nothing of it was touched",
                detail=exc.detail,
                hint=f"mend that and type the same again; or, if what is there now may be lost, give source"
                f" {self.name} `restore_without_copy: true`{clear} in the configuration, for this night only,"
                " and type the same again",
            ) from exc

    def _facts(self) -> dict[str, Any]:
        facts = {"dump": shlex.join(self._dump)}
        if self._restore:
            facts["restore"] = shlex.join(self._restore)
        if self._clear:
            facts["before_restore"] = shlex.join(self._clear)
        if self._cwd:
            facts["directory"] = self._cwd
        return facts

    def _look(self) -> tuple[int, Mapping[str, int]]:
        """(bytes, totals) of what is there now; raises when it cannot be read."""
        size_bytes = self._whole(*self._programs.measure("dump", self._dump))
        with fleeting(Path(tempfile.gettempdir())) as folder:
            writer = InventoryWriter(folder / "now.jsonl")
            for entry in self._counted().values():
                add(writer, entry)
            return size_bytes, writer.close().totals

    def _counted(self) -> Entries:
        return self._programs.entries("count", self._count) if self._count else {}

    def _expected(self, path: Path) -> list[Entry]:
        """What was counted of the stream `path`, but for the stream itself; [] where nothing was."""
        try:
            with open(in_place.expected(path), "rb") as lines:
                return [one for one in inventory.read(lines) if one["kind"] != PART]
        except FileNotFoundError:
            return []

    def _complaint(self, tail: bytes, size_bytes: int) -> str:
        if size_bytes == 0:
            return "it is empty"
        if not tail.rstrip().endswith(self._trailer):
            return "it does not end with its `trailer`"
        return ""

    def _whole(self, tail: bytes, size_bytes: int) -> int:
        """The size of what was dumped here to be kept; raises SourceError when it was cut off."""
        told = self._complaint(tail, size_bytes)
        if told:
            raise SourceError(
                f"source {self.name}: what its `dump` wrote of what is there is not whole: {told}",
                hint="run that command by hand, as the same user",
            )
        return size_bytes

    def _recorded(self, plains: Mapping[str, Plain]) -> Entry:
        """What the inventory says of the stream."""
        for part in (PART, "inventory"):
            if part not in plains:
                raise VerifyError(f"source {self.name}: the backup has no archive {part}")

        def find(lines: BinaryIO) -> Entry | None:
            return next((one for one in inventory.read(lines) if one["kind"] == PART), None)

        found: Entry | None = plains["inventory"].read(find)
        if found is None:
            raise VerifyError(f"source {self.name}: the inventory does not say what the stream is")
        return found

    def _prove(self, recorded: Entry, found: Digest) -> None:
        told = self._complaint(found.tail, found.size_bytes)
        if not told and found.entry != recorded:
            told = "it has %d bytes, and is not what was dumped" % found.size_bytes
        if told:
            raise VerifyError(f"source {self.name}: the archive {PART} is not whole: {told}")


class _Store:
    """in_place.Store by the user's programs."""

    def __init__(self, source: CommandSource) -> None:
        self._source = source
        self._programs = source._programs

    def save(self, path: Path) -> None:
        with self._source._keeping():
            self._save(path)

    def _save(self, path: Path) -> None:
        source = self._source
        before = source._counted()
        source._whole(*self._programs.save("dump", source._dump, path))
        if source._count:
            expected = in_place.expected(path)
            os.close(os.open(expected, os.O_WRONLY | os.O_CREAT, 0o600))
            writer = InventoryWriter(expected)
            for entry in agreed(source.name, before, source._counted()):
                add(writer, entry)
            writer.close()

    def load(self, path: Path) -> None:
        if self._source._clear:
            self._programs.run("clear", self._source._clear)
        self._programs.feed("restore", self._source._restore, path)

    def empty(self) -> None:
        if not self._source._clear:
            raise SourceError(
                f"source {self._source.name}: what was loaded stays, for nothing was kept, and it has no"
                " `clear`",
                hint="give it a `clear` that empties it, then run `lifeboat recover`",
            )
        self._programs.run("clear", self._source._clear)

    def compare(self, path: Path) -> list[str]:
        if not self._source._count or not in_place.expected(path).exists():
            return []
        expected = self._source._expected(path)
        return inventory.differences(expected, self._source._counted().values())
