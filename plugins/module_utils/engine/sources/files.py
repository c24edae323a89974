# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect file trees with GNU tar: one archive a path, counted while it is written."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import ownership
from ..anchor import anchored
from ..disks import mounted_below, unmounted
from ..errors import ConfigError, LifeboatError, SourceAbsent, SourceError, VerifyError
from ..files import sync_file_system
from ..inventory import Entry, InventoryWriter
from ..model import Command, Inventory, Needs, Option, SourceRecord, Swap, Target, Workspace
from ..pipeline import Pipeline
from ..placement import HERE, Placement
from ..ports import Arena, Plain
from .trees import made as tree_made
from .trees import merge as tree_merge
from .trees import swap as tree_swap
from .trees import tar as tree_tar
from .trees import target as tree_target
from .trees import unpack as tree_unpack
from .trees.dump import TreeDump
from .trees.listing import Listing
from .trees.patterns import left_out
from .trees.survey import survey
from .trees.swap import Tree, member_name

_OURS = [".*lifeboat-%s.%s*" % ("[0-9a-f]" * 6, end) for end in ("new", "old")]


class Files:
    """`paths`: directories or single files, absolute; links are kept as links, never followed.

    `exclude`: tar patterns, matched at any depth ("*.tmp"), or from the root if they begin with /.
    `one_file_system`: leave out what is mounted below a path. `unreadable`: whether a file that
    cannot be opened fails the run ("fail"), or is left out and told ("warn").
    """

    kind = "files"
    options = (
        Option("paths", "texts", required=True),
        Option("exclude", "texts", default=()),
        Option("one_file_system", "boolean", default=True),
        Option("unreadable", default="fail", choices=("fail", "warn")),
    )

    def __init__(
        self,
        *,
        name: str,
        paths: Sequence[str],
        exclude: Sequence[str] = (),
        one_file_system: bool = True,
        unreadable: str = "fail",
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
        self._skips = unreadable == "warn"
        self._chosen: tuple[str, ...] = ()
        self._merge = False
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
    def open(self, work: Workspace) -> Iterator[TreeDump]:
        self._look()
        facts = {
            "tar": tree_tar.version(),
            "trees": [
                dict(ownership.facts(Path(path)), path=path, part=part)
                for path, part in zip(self._paths, _parts(self._paths))
            ],
        }
        with tempfile.TemporaryDirectory(prefix="files-", dir=work.bulk) as folder:
            lines = Path(folder) / "inventory.jsonl"
            apart = {path: len(self._apart(path)) for path in self._paths}
            dump = TreeDump(self.name, facts, lines, self._create, self._skips, apart)
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

    def narrowed(self, paths: Sequence[str], merge: bool) -> Files:
        """The same source, for a restore of `paths` alone, merged into what is there if asked."""
        made = copy.copy(self)
        made._chosen, made._merge = tuple(paths), merge
        return made

    def target(self, record: SourceRecord, into: str | None) -> Target:
        wanted = tree_target.wanted(self.name, _recorded(record), self._chosen, into)
        if self._merge:
            wanted = tree_target.merged(wanted, into)
        refusals: list[str] = []
        for one in wanted:
            refusals += tree_target.forbidding(Path(one["target"]), into, self._merge)
            if into is None and one["within"] not in self._paths:
                refusals.append(
                    "the backup holds %s, which this source is not configured to restore: use --into"
                    % one["within"]
                )
        targets = [one["target"] for one in wanted]
        there = [path for path in targets if os.path.lexists(path)]
        counted, newer = {"files": 0, "size_bytes": 0}, 0
        if not refusals:
            for path in there:
                newer += tree_target.add_up(path, counted, record.taken_at)
        label = "files in %s" % ", ".join(targets)
        if self._merge:
            chosen = ["/" + name for one in wanted for name in one["chosen"]]
            label = "%s merged into %s" % (", ".join(chosen) or "all files", ", ".join(targets))
        return Target(
            label=label,
            name=targets[0] if len(targets) == 1 else json.dumps(targets),
            exists=bool(there),
            size_bytes=counted["size_bytes"],
            totals=counted if there else {},
            refusals=tuple(refusals),
            note={"trees": wanted},
            newer={"files": newer} if newer else {},
            folders={
                one["part"]: one["target"] if self._merge else os.path.dirname(one["target"])
                for one in wanted
                if not one["chosen"]
            },
            exchanges=() if self._merge else tuple(there),
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        trees = [tree_target.plan(one, token, target.keep_in) for one in target.note["trees"]]
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
                with anchored(tree.folder, create=not tree.existed) as here:
                    tree_unpack.unpack(self.name, tree.at(here), plains[tree.part])
        except BaseException:
            for tree in trees:
                # of what somebody has put there `discard` will tell
                with suppress(LifeboatError), anchored(tree.folder) as here:
                    there = tree.at(here)
                    tree_swap.take_away(there, there.unpacked, there.side)
            raise
        for folder in {tree.folder for tree in trees}:  # before a rename makes it the truth
            with anchored(folder) as here:
                sync_file_system(Path(here))

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        descriptor, lines = tempfile.mkstemp(prefix="files-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        for tree in tree_swap.from_notes(swap.note):
            found_as = os.path.basename(tree.side)
            listing = Listing(writer, tree.top, found_as, owners=os.geteuid() == 0)
            try:
                with (
                    anchored(tree.folder) as here,
                    _around(tree.at(here)) as around,
                    Pipeline(tree_tar.create(found_as, (), around), []) as flow,
                ):
                    for block in flow.blocks():
                        listing.tap(block)
                    flow.check()
                listing.finish()
            finally:
                listing.abandon()
        return writer.close()

    def alike(
        self, swap: Swap, recorded: Iterator[Entry], found: Iterator[Entry]
    ) -> tuple[Iterator[Entry], Iterator[Entry]]:
        """Of the backup's inventory what this restore brings back, and how that is counted."""
        return tree_target.alike(tree_swap.from_notes(swap.note), recorded, found)

    def swap(self, swap: Swap) -> None:
        for tree in tree_swap.from_notes(swap.note):
            with anchored(tree.folder) as here:
                _steps(tree).swap(tree.at(here))

    def swapped(self, swap: Swap) -> bool:
        for tree in tree_swap.from_notes(swap.note):
            if not os.path.isdir(tree.folder):
                return False
            with anchored(tree.folder) as here:
                if not _steps(tree).swapped(tree.at(here)):
                    return False
        return True

    def undoing(self, swap: Swap) -> Swap:
        for tree in tree_swap.from_notes(swap.note):
            if tree.existed or os.path.isdir(tree.folder):
                with anchored(tree.folder) as here:
                    _steps(tree).require_kept(tree.at(here))
        return swap

    def back(self, swap: Swap) -> None:
        for tree in reversed(tree_swap.from_notes(swap.note)):
            if tree.existed or os.path.isdir(tree.folder):
                with anchored(tree.folder) as here:
                    _steps(tree).back(tree.at(here))

    def discard(self, swap: Swap) -> None:
        trees = tree_swap.from_notes(swap.note)
        for tree in trees:
            if tree.existed or os.path.isdir(tree.folder):
                with anchored(tree.folder) as here:
                    _steps(tree).discard(tree.at(here))
        tree_made.forget(trees[0].notes)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        made: Any = Files(name=self.name, paths=self._paths)
        yield Arena(made, str(directory), {"PATH": str(directory)})

    # -- of use to who checks a configuration

    def takes(self, place: str) -> bool:
        """Whether a backup would hold the directory `place`, as far as patterns and file systems tell."""
        place = os.path.realpath(place)
        for path in map(os.path.realpath, self._paths):
            if not tree_target.inside(place, path) or left_out(place, self._exclude):
                continue
            with suppress(OSError):  # else there is nothing yet
                if not self._one_file_system or os.stat(place).st_dev == os.stat(path).st_dev:
                    return True
        return False

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
            gone = unmounted(path)
            if gone:
                raise SourceError(
                    "source %s: the disk that /etc/fstab has for %s is not mounted"
                    % (self.name, gone),
                    hint="mount it; where none belongs there any more, take it out of /etc/fstab",
                )
            if os.path.islink(path):
                raise SourceError(
                    "source %s: %s is a link, and links are not followed" % (self.name, path),
                    hint="give the path it leads to: %s" % os.path.realpath(path),
                )
            for other in self._paths:
                if other is not path and (path + "/").startswith(other.rstrip("/") + "/"):
                    raise SourceError("source %s: %s lies in %s" % (self.name, path, other))

    def _apart(self, path: str) -> list[str]:
        """What is mounted below a path, and left out, though no pattern says so."""
        if not self._one_file_system:
            return []
        return [one for one in mounted_below(path) if not left_out(one, self._exclude)]

    def _create(self, path: str) -> Command:
        options = ["--one-file-system"] if self._one_file_system else []
        # what restores keep beside their targets, and in those that they merge into
        options += ["--no-anchored"] + ["--exclude=" + pattern for pattern in _OURS]
        for pattern in self._exclude:
            pattern = pattern.rstrip("/")  # or it would match nothing
            options.append("--anchored" if pattern.startswith("/") else "--no-anchored")
            options.append("--exclude=" + pattern.lstrip("/"))
        return self._placement.wrap(tree_tar.create(member_name(path), options))


def _steps(tree: Tree) -> Any:
    return tree_merge if tree.merged else tree_swap


@contextmanager
def _around(tree: Tree) -> Iterator[str]:
    """The directory that what was restored lies in, under the base name of `side`."""
    if not tree.merged:
        yield tree.folder
        return
    with tree_swap.closed(tree.side, tree.notes) as opened:
        yield "/proc/self/fd/%d" % opened


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
