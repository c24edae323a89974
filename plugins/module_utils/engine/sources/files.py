# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect file trees with GNU tar: one archive a path, counted while it is written."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from .. import ownership
from ..errors import ConfigError, SourceAbsent, SourceError, VerifyError
from ..files import remove
from ..inventory import InventoryWriter
from ..model import Command, Inventory, Needs, Option, SourceRecord, Stream, Swap, Target, Workspace
from ..pipeline import Pipeline
from ..placement import HERE, Placement
from ..ports import Plain
from . import tree_swap, tree_tar, tree_target
from .tree_listing import Listing, complaint, survey
from .tree_swap import Tree, member_name

_LOG = logging.getLogger(__name__)
_CHANGED = re.compile(r"file changed as we read|[Ff]ile removed before|File shrank by")
_NOISE = re.compile(r"Exiting with failure|Removing leading|socket ignored")


class Files:
    """`paths`: directories or single files, absolute; links are kept as links, never followed.

    `exclude`: tar patterns, matched at any depth ("*.tmp"), or from the root if they begin with /.
    `one_file_system`: leave out what is mounted below a path.
    """

    kind = "files"
    options = (
        Option("paths", "texts", required=True),
        Option("exclude", "texts", default=()),
        Option("one_file_system", "boolean", default=True),
    )

    def __init__(
        self,
        *,
        name: str,
        paths: Sequence[str],
        exclude: Sequence[str] = (),
        one_file_system: bool = True,
        placement: Placement = HERE,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        for path in paths:
            if not os.path.isabs(path):
                raise ConfigError("source %s: paths: %r: write an absolute path" % (name, path))
        self._paths = [os.path.normpath(path) for path in paths]
        self._exclude = tuple(exclude)
        self._one_file_system = one_file_system
        self._placement = placement

    def needs(self) -> Needs:
        paths = tuple(self._paths)
        return Needs(reads=paths, replaces=paths, reads_everything=True)

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []  # the job's unit may read every file

    # -- backup

    def check(self) -> dict[str, Any]:
        self._look()
        return {"tar": tree_tar.version(), "paths": self._paths}

    @contextmanager
    def open(self, work: Workspace) -> Iterator[_Dump]:
        self._look()
        facts = {
            "tar": tree_tar.version(),
            "trees": [
                dict(ownership.facts(Path(path)), path=path, part=part)
                for path, part in zip(self._paths, _parts(self._paths))
            ],
        }
        with tempfile.TemporaryDirectory(prefix="files-", dir=work.bulk) as folder:
            dump = _Dump(self.name, facts, Path(folder) / "inventory.jsonl", self._create)
            try:
                yield dump
            finally:
                dump.abandon()

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        if not plains:
            raise VerifyError("source %s: the backup has no archive of it" % self.name)
        for part, plain in plains.items():
            if part != "inventory":
                plain.read(survey)

    # -- restore

    def target(self, record: SourceRecord, into: str | None) -> Target:
        trees = _recorded(record)
        targets = [(into or "").rstrip("/") + tree["path"] for tree in trees]
        refusals: list[str] = []
        for path in targets:
            refusals += tree_target.forbidding(Path(path), into)
            if into is None and path not in self._paths:
                refusals.append(
                    "the backup holds %s, which this source is not configured to restore: use --into"
                    % path
                )
        there = [path for path in targets if os.path.lexists(path)]
        counted = {"files": 0, "size_bytes": 0}
        if not refusals:
            for path in there:
                tree_target.add_up(path, counted)
        return Target(
            label="files in %s" % ", ".join(targets),
            name=targets[0] if len(targets) == 1 else json.dumps(targets),
            exists=bool(there),
            size_bytes=counted["size_bytes"],
            totals=counted if there else {},
            refusals=tuple(refusals),
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        recorded = _recorded(record)
        targets = [target.name] if len(recorded) == 1 else json.loads(target.name)
        trees = [
            tree_target.plan(one["path"], one["part"], path, token)
            for one, path in zip(recorded, targets)
        ]
        return Swap(
            self.name,
            target.name,
            trees[0].side,
            trees[0].kept,
            target.exists,
            {"trees": [tree.as_note() for tree in trees]},
        )

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        tree_tar.version()
        trees = tree_swap.from_notes(swap.note)
        try:
            for tree in trees:
                if tree.part not in plains:
                    raise VerifyError(
                        "source %s: the backup has no archive %s" % (self.name, tree.part)
                    )
                self._unpack(tree, plains[tree.part])
        except BaseException:
            for tree in trees:
                remove(Path(tree.unpacked))
                remove(Path(tree.side))
            raise
        os.sync()  # before a rename makes it the truth; a million single syncs would take hours

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        descriptor, lines = tempfile.mkstemp(prefix="files-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        for tree in tree_swap.from_notes(swap.note):
            found_as = member_name(tree.side)
            listing = Listing(writer, tree.top, found_as, owners=os.geteuid() == 0)
            try:
                with Pipeline(tree_tar.create(found_as, ()), []) as flow:
                    for block in flow.blocks():
                        listing.tap(block)
                    flow.check()
                listing.finish()
            finally:
                listing.abandon()
        return writer.close()

    def swap(self, swap: Swap) -> None:
        for tree in tree_swap.from_notes(swap.note):
            tree_swap.swap(tree)

    def swapped(self, swap: Swap) -> bool:
        return all(tree_swap.swapped(tree) for tree in tree_swap.from_notes(swap.note))

    def back(self, swap: Swap) -> None:
        for tree in reversed(tree_swap.from_notes(swap.note)):
            tree_swap.back(tree)

    def discard(self, swap: Swap) -> None:
        for tree in tree_swap.from_notes(swap.note):
            tree_swap.discard(tree)

    # -- inside

    def _look(self) -> None:
        """Raise unless every path is there, and each only once."""
        if not self._placement.local:
            raise SourceError(
                "source %s: files inside a container cannot be read from here" % self.name,
                hint="give the paths that its volumes have on this host, without placement",
            )
        if not self._paths:
            raise SourceError("source %s: there are no paths" % self.name)
        for path in self._paths:
            if not os.path.lexists(path):
                raise SourceAbsent("source %s: there is nothing at %s" % (self.name, path))
            if os.path.islink(path):
                raise SourceError(
                    "source %s: %s is a link, and links are not followed" % (self.name, path),
                    hint="give the path it leads to: %s" % os.path.realpath(path),
                )
            for other in self._paths:
                if other is not path and (path + "/").startswith(other.rstrip("/") + "/"):
                    raise SourceError("source %s: %s lies in %s" % (self.name, path, other))

    def _create(self, path: str) -> Command:
        options = ["--one-file-system"] if self._one_file_system else []
        for pattern in self._exclude:
            pattern = pattern.rstrip("/")  # or it would match nothing
            options.append("--anchored" if pattern.startswith("/") else "--no-anchored")
            options.append("--exclude=" + pattern.lstrip("/"))
        return self._placement.wrap(tree_tar.create(member_name(path), options))

    def _unpack(self, tree: Tree, plain: Plain) -> None:
        """Extract in a closed directory beside the target, then move the tree out of it."""
        remove(Path(tree.unpacked))
        remove(Path(tree.side))
        plain.read(partial(survey, top=tree.top))
        os.makedirs(os.path.dirname(tree.unpacked), exist_ok=True)
        with tree_swap.closed_directory(tree.unpacked) as opened:
            plain.feed(tree_tar.extract(opened))
            try:
                os.stat(tree.top, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                raise VerifyError(
                    "source %s: its archive holds no %s" % (self.name, tree.path)
                ) from None
            tree_swap.require_same(tree.unpacked, opened)
            if tree.top == ".":
                os.rename(tree.unpacked, tree.side)
                tree_swap.require_same(tree.side, opened)
            else:
                os.rename(tree.top, tree.side, src_dir_fd=opened)
        remove(Path(tree.unpacked))


class _Dump:
    """One tar for each path, with the names and sums of its members counted on the way."""

    def __init__(self, name: str, facts: Mapping[str, Any], lines: Path, create: Any) -> None:
        self.taken_at = datetime.now(timezone.utc)
        self.facts = facts
        self._name = name
        self._create = create
        self._writer = InventoryWriter(lines)
        self._listing: Listing | None = None

    def streams(self) -> Iterator[Stream]:
        for tree in self.facts["trees"]:
            path = tree["path"]
            listing = self._listing = Listing(self._writer, member_name(path))
            yield Stream(
                part=tree["part"],
                extension="tar",
                feed=self._create(path),
                complaint=lambda _head, tail, size_bytes: complaint(tail, size_bytes),
                tap=listing.tap,
                finish=partial(self._finish, path, listing),
                by_hand=tree_tar.BY_HAND,
            )

    def inventory(self) -> Inventory:
        return self._writer.close()

    def abandon(self) -> None:
        if self._listing is not None:
            self._listing.abandon()
        self._writer.close()

    def _finish(self, path: str, listing: Listing, status: int, said: str) -> tuple[str, ...]:
        listing.finish()
        told = [line[5:] if line.startswith("tar: ") else line for line in said.splitlines()]
        told = [line for line in told if not _NOISE.search(line)]
        if status > 1:
            raise SourceError(
                "source %s: tar could not read all of %s" % (self._name, path),
                detail="\n".join(told),
                hint="run the job as a user who may read these files, or exclude them",
            )
        if not listing.members:
            raise SourceError(
                "source %s: the exclude patterns leave nothing of %s" % (self._name, path),
                hint="a pattern without / at its start matches at any depth, also in the path itself",
            )
        return _counted(told) if status else ()


def _counted(told: Sequence[str]) -> tuple[str, ...]:
    """What tar said, without names: the manifest is readable where the backup is stored."""
    for line in told:
        _LOG.warning("tar: %s", line)
    changed = sum(1 for line in told if _CHANGED.search(line))
    counts = (
        ("%d files changed while they were read", changed),
        ("tar warned %d times of something else, see the log", len(told) - changed),
    )
    return tuple(text % count for text, count in counts if count)


def _parts(paths: Sequence[str]) -> list[str]:
    """An archive for each path: a hard link between two of them could not be restored alone."""
    return ["tree" if place == 0 else "tree%d" % (place + 1) for place in range(len(paths))]


def _recorded(record: SourceRecord) -> list[Mapping[str, Any]]:
    trees = record.facts.get("trees")
    if not trees:
        raise SourceError("the record of source %s does not say which trees it holds" % record.name)
    for tree in trees:  # with --into, a .. would lead out of it
        path = str(tree["path"])
        if not os.path.isabs(path) or os.path.normpath(path) != path:
            raise SourceError("the record of source %s has a wrong path: %r" % (record.name, path))
    return list(trees)
