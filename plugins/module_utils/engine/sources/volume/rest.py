# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a volume while no container uses it, and let those that were stopped run again, whatever comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...containers import Engine
from ...errors import LifeboatError, SourceError
from ...model import Swap
from ...stopped import start
from ..trees import swap as tree_swap
from ..trees.swap import Tree
from . import facts
from .tree import VolumeTree


@dataclass(frozen=True)
class Rest:
    """Of the containers of `engine` that use a volume."""

    source: str  # its name, for errors
    engine: Engine
    tree: VolumeTree

    def change(
        self,
        swap: Swap,
        act: Callable[[Tree], None],
        *,
        stop: bool = True,
        inverse: Callable[[Tree], None] | None = None,
        again: Sequence[str] = (),
    ) -> None:
        """Do it while no container uses the volume; what was stopped runs again then, and so does `again`.

        Where it fails, `inverse` is done.
        """
        tree = tree_swap.from_notes(swap.note)[0]
        stopped: list[str] = []
        try:
            if os.path.isdir(tree.folder):
                with self.tree.held(tree) as there:
                    if stop:
                        tree_swap.refuse_mounts(tree.target)
                        self._stop(swap.target, stopped)
                    try:
                        act(there)
                        if stop:  # what has begun meanwhile may have the tree that is gone
                            self._stop(swap.target, stopped)
                    except (LifeboatError, OSError):
                        if inverse:
                            inverse(there)
                        raise
        finally:
            left: list[str] = []
            if os.path.lexists(tree.target) or not os.path.isdir(tree.folder):
                wanted = dict.fromkeys([*stopped, *again])
                left, _gone = start(self.engine, list(reversed(list(wanted))))
        if left:
            raise SourceError(
                f"source {self.source}: {', '.join(left)} was stopped and does not start again",
                hint=f"see why: {self.engine.program} logs {left[0]}",
            )

    def _stop(self, volume: str, stopped: list[str]) -> None:
        """Stop what uses the volume, and add it to `stopped` before."""
        using = self.engine.users(volume)
        facts.require_stoppable(self.engine, using)
        for name in map(facts.name_of, using):
            stopped.append(name)
            self.engine.stop(name)
