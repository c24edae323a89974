# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect one SQLite database file, also while it is being written to."""

from __future__ import annotations

import copy as copying
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import ownership
from ...anchor import Astray, anchored, private
from ...errors import ConfigError, LifeboatError, SourceAbsent, SourceError, VerifyError
from ...inventory import Entry
from ...model import Inventory, Needs, Option, SourceRecord, Swap, Target, Workspace
from ...placement import HERE, Placement
from ...ports import Arena, Plain
from .. import some_tables
from ..trees.names import beside
from . import swap as sqlite_swap
from .dump import PART, SQLiteDump, copied, look_into
from .file import (
    COMPANIONS,
    Broken,
    connect,
    count,
    examine,
    first_row,
    looks_like_one,
    totals,
)
from .owner import as_owner
from .tables import keep_alone


class SQLite:
    """`path`: the database file, absolute."""

    kind = "sqlite"
    options = (Option("path", required=True),)

    def __init__(
        self, *, name: str, path: str, placement: Placement = HERE, optional: bool = False
    ) -> None:
        self.name = name
        self.optional = optional
        if not os.path.isabs(path):
            raise ConfigError("source %s: path: %r: write an absolute path" % (name, path))
        self._path = path
        self._placement = placement
        self._only: tuple[str, ...] = ()

    def needs(self) -> Needs:
        # beside the file, its -wal and -shm are written also by those who only read
        folder = os.path.dirname(self._path)
        return Needs(writes=(folder,), reads=(folder,), reads_everything=True, covers=(self._path,))

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []  # a file's own rights decide; `check` names the option that changes the user

    # -- backup

    def check(self) -> dict[str, Any]:
        path = self._look()
        with self._telling(path), connect(path) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return {
            "path": str(path),
            "size_bytes": path.stat().st_size,
            "sqlite": sqlite3.sqlite_version,
        }

    @contextmanager
    def open(self, work: Workspace) -> Iterator[SQLiteDump]:
        path = self._look()
        with tempfile.TemporaryDirectory(prefix="sqlite-", dir=work.bulk) as folder:
            copy = Path(folder) / "database.sqlite"
            facts = {"path": str(path), "sqlite": sqlite3.sqlite_version, **ownership.facts(path)}
            with self._telling(path):
                taken_at, facts["journal_mode"] = copied(path, copy)
            with ThreadPoolExecutor(1) as beside:  # while it is streamed: each takes as long
                yield SQLiteDump(
                    taken_at, facts, copy, beside.submit(look_into, self.name, path, copy)
                )

    def ask(self, statement: str) -> list[str]:
        """See ports.Askable."""
        path = self._look()
        with self._telling(path):
            answer: list[str] = as_owner(path, lambda file: first_row(file, statement))
        return answer

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        with tempfile.TemporaryDirectory(prefix="sqlite-", dir=work.bulk) as folder:
            copy = Path(folder) / "database.sqlite"
            self._plain(plains).save(copy)
            self._prove(copy)

    # -- restore

    def narrowed(self, paths: Sequence[str], merge: bool) -> SQLite:
        """See ports.Narrowable: `paths` are tables, which alone come into a new file."""
        some_tables.refuse_merge(self.name, merge)
        made = copying.copy(self)
        made._only = tuple(paths)
        return made

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """See ports.Narrowable."""
        return some_tables.alike(self.name, swap.note.get("only", ()), recorded, found)

    def target(self, record: SourceRecord, into: str | None) -> Target:
        named = Path(into or self._path)
        refusals = []
        path = named
        try:
            with anchored(str(named.parent)) as here:
                path = Path(os.path.realpath(here)) / named.name  # a link itself, not what it names
        except Astray as exc:
            refusals.append("%s: %s" % (exc, exc.hint))
        except LifeboatError:
            pass  # there is no such directory: told below
        exists = os.path.lexists(path)
        if not os.path.isabs(into or self._path):
            refusals.append("%s is not an absolute path" % into)
        if not path.parent.is_dir():
            refusals.append("the directory %s does not exist" % path.parent)
        elif not os.access(path.parent, os.W_OK):
            refusals.append("the directory %s is not ours to write to" % path.parent)
        if path.is_symlink():
            refusals.append(
                "%s is a symbolic link, and links are not followed: name the real file (%s)"
                % (path, os.path.realpath(path))
            )
        elif exists and not path.is_file():
            refusals.append("%s is not a regular file" % path)
        if exists and ownership.mounts_within(path):
            refusals.append("%s is a mount point, which cannot be replaced by a rename" % path)
        counted: dict[str, int] = {}
        if exists and not refusals and looks_like_one(path):
            try:
                counted = as_owner(path, totals)
            except sqlite3.Error:
                pass  # broken: it will be kept as it is
        refusals += some_tables.refusals(self._only, into, exists)
        alone = ", the tables %s alone" % ", ".join(self._only) if self._only else ""
        return Target(
            label="SQLite database %s%s" % (path, alone),
            name=str(path),
            exists=exists,
            size_bytes=path.lstat().st_size if exists else 0,
            totals=counted,
            refusals=tuple(refusals),
            folders={PART: str(path.parent)},
            note={"only": self._only} if self._only else {},
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        path = Path(target.name)
        sqlite_swap.refuse_link(path)
        names = beside(target.name, token)
        return Swap(
            self.name, target.name, names + ".new", names + ".old", target.exists, target.note
        )

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        with _near(swap) as near:
            self._stage(near, record, plains, work)

    def _stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        side, target = Path(swap.side), Path(swap.target)
        for suffix in ("",) + COMPANIONS:
            sqlite_swap.take_away(Path(swap.side + suffix))
        try:
            # In a place of our own: beside the target the application's user could exchange it.
            with tempfile.TemporaryDirectory(prefix="sqlite-", dir=work.bulk) as folder:
                copy = Path(folder) / "database.sqlite"
                self._plain(plains).save(copy)
                self._prove(copy)
                if swap.note.get("only"):
                    with self._telling(copy):
                        keep_alone(copy, swap.note["only"])
                if record.facts.get("journal_mode") == "wal":  # in the file; the copy is without
                    with connect(copy) as connection:
                        connection.execute("PRAGMA journal_mode=WAL").fetchone()
                sqlite_swap.place(copy, side, target if swap.existed else None, record.facts)
        except BaseException:
            for suffix in ("",) + COMPANIONS:
                with suppress(SourceError):  # `discard` tells of what somebody has put there
                    sqlite_swap.take_away(Path(swap.side + suffix))
            raise

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        descriptor, lines = tempfile.mkstemp(prefix="sqlite-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        with (
            _near(swap) as near,
            tempfile.TemporaryDirectory(prefix="sqlite-", dir=work.bulk) as folder,
            self._telling(Path(swap.side)),
        ):
            side = Path(near.side)
            if not private(os.path.dirname(near.side)):  # see owner.py
                side = sqlite_swap.copy_of(side, Path(folder) / "database.sqlite")
            return count(side, Path(lines))

    def swap(self, swap: Swap) -> None:
        with _near(swap) as near:
            sqlite_swap.swap(near)

    def swapped(self, swap: Swap) -> bool:
        if not os.path.isdir(os.path.dirname(swap.target)):
            return False
        with _near(swap) as near:
            return sqlite_swap.swapped(near)

    def undoing(self, swap: Swap) -> Swap:
        with _near(swap) as near:
            sqlite_swap.require_kept(near)
        return swap

    def back(self, swap: Swap) -> None:
        with _near(swap) as near:
            sqlite_swap.back(near)

    def discard(self, swap: Swap) -> None:
        with _near(swap) as near:
            sqlite_swap.discard(near)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        path = str(directory / os.path.basename(self._path))
        made: Any = SQLite(name=self.name, path=path)
        yield Arena(made, places={"PATH": path})

    # -- inside

    def _look(self) -> Path:
        """The file itself; raises unless it is one that we may read, and that a restore puts back."""
        if not self._placement.local:
            raise SourceError(
                "source %s: an SQLite file inside a container cannot be read from here" % self.name,
                hint="give the path that its volume has on this host, without placement",
            )
        if os.path.islink(self._path):
            raise SourceError(
                "source %s: %s is a link, and a restore follows none" % (self.name, self._path),
                hint="give the path it leads to: %s" % os.path.realpath(self._path),
            )
        path = Path(os.path.realpath(self._path))
        try:
            found = path.stat()
        except FileNotFoundError:
            raise SourceAbsent(
                "source %s: there is no database at %s" % (self.name, self._path)
            ) from None
        except OSError as exc:
            raise self._denied(path, exc.strerror or str(exc)) from exc
        if not stat.S_ISREG(found.st_mode):
            raise SourceError("source %s: %s is not a regular file" % (self.name, path))
        if found.st_size == 0:
            raise SourceError("source %s: %s is an empty file" % (self.name, path))
        try:
            # os.access would say no to a service that reads by its capability alone
            open(path, "rb").close()
        except OSError as exc:
            raise self._denied(path, exc.strerror or str(exc)) from exc
        return path

    def _denied(self, path: Path, why: str) -> SourceError:
        owner = ""
        try:
            owner = ownership.facts(path)["owner"]
        except OSError:
            pass
        return SourceError(
            "source %s: the database %s cannot be opened: %s" % (self.name, path, why),
            hint="a database in WAL mode needs a user who may write to it and to its directory; "
            "set the job's `user:` to its owner" + (" (%s)" % owner if owner else ""),
        )

    @contextmanager
    def _telling(self, path: Path) -> Iterator[None]:
        """Say what SQLite said in words that name the source."""
        try:
            yield
        except sqlite3.Error as exc:
            said = str(exc)
            if "unable to open" in said or "readonly" in said:
                raise self._denied(path, said) from exc
            hint = ""
            if "locked" in said:
                hint = "a program holds it locked for longer than 30 seconds; see which one"
            elif "not a database" in said:
                hint = (
                    "is it encrypted (SQLCipher and the like)? then let a source `command` run the "
                    "program that can read it; otherwise look what lies there"
                )
            elif "full" in said:
                hint = "make room where the spool lies: a copy of the database is made there"
            raise SourceError(
                "source %s: %s cannot be read: %s" % (self.name, path, said), hint=hint
            ) from exc

    def _plain(self, plains: Mapping[str, Plain]) -> Plain:
        if PART not in plains:
            raise VerifyError("source %s: the backup has no archive %s" % (self.name, PART))
        return plains[PART]

    def _prove(self, copy: Path) -> None:
        try:
            examine(copy)
        except Broken as exc:
            raise VerifyError(
                "source %s: its archive is not a whole SQLite database" % self.name,
                detail=str(exc),
            ) from exc


@contextmanager
def _near(swap: Swap) -> Iterator[Swap]:
    """The same, by names that no rename and no link above can turn elsewhere."""
    with anchored(os.path.dirname(swap.target)) as here:
        target, side, kept = (
            os.path.join(here, os.path.basename(name))
            for name in (swap.target, swap.side, swap.kept)
        )
        yield replace(swap, target=target, side=side, kept=kept)
