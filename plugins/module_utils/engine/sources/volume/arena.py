# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a volume's tree into a plain directory, for a drill: no container engine is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...anchor import anchored
from ...containers import Engine
from ...errors import VerifyError
from ...model import Inventory, SourceRecord, Swap, Target, Workspace
from ...ports import Plain
from ..trees import swap as tree_swap
from ..trees import target as tree_target
from .facts import TREE
from .tree import VolumeTree


class Directory:
    """The part of ports.Source that a drill uses: the volume is `place`, which is not there yet."""

    kind = "volume"

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self._place = str(place)
        # only what is done with a directory is used of it: the engine itself is never asked
        self._tree = VolumeTree(name, Engine("docker", "", f"source {name}: "))

    def target(self, record: SourceRecord, into: str | None) -> Target:
        return Target(f"directory {self._place}", self._place, False)

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        one = {**TREE, "within": "/", "target": self._place, "chosen": []}
        tree = tree_target.plan(one, token, target.keep_in)
        return Swap(
            self.name, self._place, tree.side, tree.kept, False, {"trees": [tree.as_note()]}
        )

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        if "tree" not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive tree")
        self._tree.unpack(tree_swap.from_notes(swap.note)[0], plains["tree"])

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        return self._tree.count(tree_swap.from_notes(swap.note)[0], work.bulk)

    def swap(self, swap: Swap) -> None:
        tree = tree_swap.from_notes(swap.note)[0]
        with anchored(tree.folder) as here:
            tree_swap.swap(tree.at(here))
