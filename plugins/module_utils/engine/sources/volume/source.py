# SPDX-License-Identifier: GPL-3.0-or-later
"""A named volume of docker or podman: its tree as one tar, with the containers that use it at rest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...anchor import anchored
from ...containers import Engine, at_rest
from ...errors import ConfigError, SourceAbsent, SourceError, VerifyError
from ...model import Inventory, Needs, Option, SourceRecord, Swap, Target, Workspace
from ...placement import HERE, Placement
from ...ports import Arena, Plain
from ...stopped import stopped
from ..trees import made as tree_made
from ..trees import swap as tree_swap
from ..trees import tar as tree_tar
from ..trees import target as tree_target
from ..trees.survey import survey
from ..trees.swap import Tree
from . import facts
from .arena import Directory
from .dump import VolumeDump, by_hand, excluded
from .rest import Rest
from .tree import VolumeTree


class Volume:
    """`docker` or `podman`: the volume's name.

    `running`: what becomes of running containers that use it. "stop": they are stopped, and started
    again; "refuse": the run fails; "copy": they go on, and write while they are read (a restore stops
    them all the same).
    """

    kind = "volume"
    packages = (
        r"docker\.io",
        r"docker-(ce|ce-cli|cli)",
        r"podman",
    )
    options = (
        Option("docker"),
        Option("podman"),
        Option("running", default="stop", choices=("stop", "refuse", "copy")),
        Option("exclude", "texts", default=()),
    )

    def __init__(
        self,
        *,
        name: str,
        docker: str | None = None,
        podman: str | None = None,
        running: str = "stop",
        exclude: Sequence[str] = (),
        placement: Placement = HERE,
        optional: bool = False,
    ) -> None:
        if bool(docker) == bool(podman):
            raise ConfigError(f"source {name}: write docker: VOLUME or podman: VOLUME")
        if not placement.local:
            raise ConfigError(f"source {name}: a volume has no placement, but docker or podman")
        self.name = name
        self.optional = optional
        self._volume = docker or podman or ""
        # docker is one for all: root asks it itself, not as a user whose settings say which docker
        owner = "" if docker else placement.owner
        self._engine = Engine("docker" if docker else "podman", owner, f"source {name}: ")
        self._running = running
        self._exclude = tuple(exclude)
        self._tree = VolumeTree(name, self._engine)
        self._rest = Rest(name, self._engine, self._tree)

    def belongings(self, _known: Mapping[str, Any]) -> list[str]:
        """See ports.Source."""
        return [f"/usr/bin/{self._engine.program}"]

    def needs(self) -> Needs:
        program = self._engine.program
        return Needs(reads_everything=True, engine=program, stops=True, volume=self._volume)

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []

    # -- backup

    def check(self) -> dict[str, Any]:
        place = facts.place(self._engine, self._volume)
        using = self._engine.users(self._volume)
        if self._running == "stop":
            facts.require_stoppable(self._engine, using)
        names = ", ".join(facts.name_of(one) for one in using)
        return {"tar": tree_tar.version(), "path": place, "used by": names}

    @contextmanager
    def open(self, work: Workspace) -> Iterator[VolumeDump]:
        place = facts.place(self._engine, self._volume)
        using = self._engine.users(self._volume)
        names = [facts.name_of(one) for one in using]
        if using and self._running == "refuse":
            raise SourceError(
                f"source {self.name}: volume {self._volume} is in use by {', '.join(names)}",
                hint="stop them before, or let lifeboat do it: `running: stop`",
            )
        if using and self._running == "copy":
            facts.refuse_databases(self._engine, self._volume, place)
        if self._running == "stop":
            facts.require_stoppable(self._engine, using)
        quiet = self._running != "copy" or not using
        with ExitStack() as held:
            if self._running == "stop":
                held.enter_context(
                    stopped(self._engine, names, work.lasting or work.bulk, self.name)
                )
            folder = held.enter_context(
                tempfile.TemporaryDirectory(prefix="volume-", dir=work.bulk)
            )
            dump = VolumeDump(
                self.name,
                facts.public(self._engine, self._volume, quiet, using),
                Path(folder) / "inventory.jsonl",
                lambda _path: self._tree.create(place, excluded(self._exclude)),
                False,
            )
            dump.look = partial(self._look, facts.started(self._engine.having(self._volume)))
            dump.by_hand = by_hand(self._engine, self._volume)
            dump.private = {"containers": [facts.private(one) for one in using]}
            held.callback(dump.abandon)
            yield dump

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        if "tree" not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive of it")
        plains["tree"].read(survey)

    # -- restore

    def target(self, record: SourceRecord, into: str | None) -> Target:
        name = into or self._volume
        label = f"volume {name} of {self._engine.program}"
        try:
            place = facts.place(self._engine, name)
        except SourceAbsent:
            return Target(label, name, False)
        label += f" at {place}"
        refusals = tree_target.forbidding(Path(place), None)
        using = self._engine.users(name)
        if using and self._running == "refuse":
            names = ", ".join(facts.name_of(one) for one in using)
            refusals.append(f"volume {name} is in use by {names}: stop them before")
        refusals += facts.unstoppable(using)
        counted = {"files": 0, "size_bytes": 0}
        tree_target.add_up(place, counted)
        note = {"place": place}
        folders = {"tree": os.path.dirname(place)}
        return Target(
            label,
            name,
            True,
            counted["size_bytes"],
            counted,
            tuple(refusals),
            note,
            folders=folders,
            exchanges=(place,),
        )

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        if not target.exists:
            labels = record.facts.get("volume", {}).get("labels") or {}
            words = [f"--label={key}={value}" for key, value in sorted(labels.items())]
            self._engine.ask("volume", "create", *words, target.name)
        place = facts.place(self._engine, target.name)
        if target.exists and place != target.note["place"]:
            raise SourceError(
                f"source {self.name}: volume {target.name} lies elsewhere now: {place}",
                hint="see what has made it anew, and restore again",
            )
        one = {**facts.TREE, "within": "/", "target": place, "chosen": []}
        tree = tree_target.plan(one, token, target.keep_in)
        note = {
            "trees": [tree.as_note()],
            "made": not target.exists,
            "running": [facts.name_of(one) for one in self._engine.users(target.name)],
        }
        return Swap(self.name, target.name, tree.side, tree.kept, target.exists, note)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        tree_tar.version()
        if "tree" not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive tree")
        self._tree.unpack(_tree(swap), plains["tree"])

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        return self._tree.count(_tree(swap), work.bulk)

    def swap(self, swap: Swap) -> None:
        running = [facts.name_of(one) for one in self._engine.users(swap.target)]
        new = sorted(set(running) - set(swap.note["running"]))
        if new:  # nobody would start it again
            raise SourceError(
                f"source {self.name}: {new[0]} has begun to use volume {swap.target} meanwhile",
                hint="stop it, or restore again",
            )
        self._rest.change(swap, tree_swap.swap, inverse=tree_swap.back)

    def swapped(self, swap: Swap) -> bool:
        tree = _tree(swap)
        if not os.path.isdir(tree.folder):
            return False
        with anchored(tree.folder) as here:
            if not tree_swap.swapped(tree.at(here)):
                return False
        running = {facts.name_of(one) for one in self._engine.users(swap.target)}
        return running >= set(swap.note["running"])

    def undoing(self, swap: Swap) -> Swap:
        """Who uses it today: those are stopped, and those are started again."""
        tree = _tree(swap)
        if not os.path.isdir(tree.folder):  # the volume was removed
            raise tree_swap.not_kept(tree.target, tree.kept)
        with self._tree.held(tree) as there:
            tree_swap.require_kept(there)
        tree_swap.refuse_mounts(tree.target)
        using = self._engine.users(swap.target)
        facts.require_stoppable(self._engine, using)
        running = [facts.name_of(one) for one in using]
        return replace(swap, note={**swap.note, "running": running, "undone": True})

    def back(self, swap: Swap) -> None:
        # taking back what never was in place need stop nobody; an undo may have been cut off anywhere
        moves = swap.note.get("undone") or not _old_in_place(_tree(swap))
        self._rest.change(swap, tree_swap.back, stop=bool(moves), again=swap.note["running"])

    def discard(self, swap: Swap) -> None:
        tree = _tree(swap)
        if not os.path.isdir(tree.folder):
            tree_made.forget(tree.notes)
            return
        self._tree.clear(tree)
        with self._tree.held(tree) as there:
            tree_swap.discard(there)
            # made for a restore that was taken back; after an undo it may be in use again
            made = swap.note["made"] and not swap.note.get("undone")
            unused = made and _old_in_place(there) and _is_empty(there.target)
        if unused and not self._engine.having(swap.target):
            self._engine.ask("volume", "rm", swap.target)
        tree_made.forget(tree.notes)

    # -- drill

    @contextmanager
    def arena(self, directory: Path, record: SourceRecord) -> Iterator[Arena]:
        place = directory / "volume"
        made: Any = Directory(self.name, place)
        yield Arena(made, places={"PATH": str(place)})

    # -- inside

    def _look(self, before: Mapping[str, str], told: dict[str, Any]) -> None:
        """Whether it was at rest as long as it was read; `told` is corrected where it may have not been.

        `before`: when which container was started, as it was then: one may have ended again.
        """
        having = self._engine.having(self._volume)
        running = {facts.name_of(one) for one in having if not at_rest(one)}
        began = sorted(
            running | {one for one, _at in facts.started(having).items() - before.items()}
        )
        if began and self._running != "copy":
            raise SourceError(
                f"source {self.name}: {', '.join(began)} was started while the volume was read",
                hint="see what starts it: a unit of systemd, another job",
            )
        if began:
            place = facts.place(self._engine, self._volume)
            facts.refuse_databases(self._engine, self._volume, place)
            told["at_rest"] = False


def _tree(swap: Swap) -> Tree:
    return tree_swap.from_notes(swap.note)[0]


def _old_in_place(tree: Tree) -> bool:
    try:
        return os.lstat(tree.target).st_ino == tree.inode
    except FileNotFoundError:
        return False


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except PermissionError:  # of a user of the containers
        return False
