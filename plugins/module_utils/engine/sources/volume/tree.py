# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a volume: read, unpacked beside and cleared, as the containers see its owners.

A rootless podman's containers have a range of users for themselves; `podman unshare` runs a program
among those, and so tar meets, and writes, the numbers that the containers know.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ... import ownership
from ...anchor import anchored
from ...containers import Engine
from ...errors import LifeboatError
from ...files import sync_file_system
from ...inventory import InventoryWriter
from ...model import Command, Inventory
from ...pipeline import Pipeline
from ...ports import Plain
from ..trees import swap as tree_swap
from ..trees import tar as tree_tar
from ..trees import unpack as tree_unpack
from ..trees.listing import Listing
from ..trees.swap import Tree
from . import facts

_CLEAR_S = 6 * 3600.0  # millions of files


@dataclass(frozen=True)
class VolumeTree:
    """What is done with the tree of a volume of `engine`."""

    source: str  # its name, for errors
    engine: Engine

    def create(self, place: str, options: Sequence[str]) -> Command:
        """tar of all that lies at `place`, named as it is seen from there."""
        return self._through(tree_tar.create(".", options, place))

    @contextmanager
    def held(self, tree: Tree) -> Iterator[Tree]:
        """The same by names that stay (anchor.py), and that root may touch."""
        names = [os.path.basename(one) for one in (tree.target, tree.side, tree.kept)]
        with anchored(tree.folder) as here:
            facts.require_theirs(self.engine, here, *names)
            yield tree.at(here)

    def unpack(self, tree: Tree, plain: Plain) -> None:
        """Restore beside; after a failure nothing is left there."""
        with self.held(tree) as there:
            self.clear(tree)
            try:
                tree_unpack.unpack(self.source, there, plain, self._into)
            except BaseException:
                self.clear(tree)
                with suppress(LifeboatError):  # of what somebody has put there `discard` will tell
                    tree_swap.take_away(there, there.unpacked, there.side)
                raise
        with self.held(tree) as there:
            sync_file_system(Path(there.folder))  # before a rename makes it the truth

    def count(self, tree: Tree, folder: Path) -> Inventory:
        """The inventory of what was unpacked."""
        descriptor, lines = tempfile.mkstemp(prefix="volume-", suffix=".jsonl", dir=folder)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        found_as = os.path.basename(tree.side)
        owners = os.geteuid() == 0 or self.engine.rootless
        listing = Listing(writer, tree.top, found_as, owners=owners)
        try:
            with self.held(tree) as there:
                command = self._through(tree_tar.create(found_as, (), there.folder))
                with Pipeline(command, []) as flow:
                    for block in flow.blocks():
                        listing.tap(block)
                    flow.check()
            listing.finish()
        finally:
            listing.abandon()
        return writer.close()

    def clear(self, tree: Tree) -> None:
        """Remove what a rootless podman's own user may not: files of the users of its containers."""
        if os.geteuid() == 0 or not self.engine.rootless:
            return
        names = (tree.target, tree.side, tree.kept)
        if all(os.path.lexists(one) for one in names) or not os.path.lexists(tree.target):
            return  # nothing may be removed then: tree_swap.discard tells why
        for one in (tree.side, tree.kept, tree.unpacked):
            tree_swap.refuse_mounts(one)
            self.engine.ask("unshare", "rm", "-rf", "--", one, timeout_s=_CLEAR_S)

    def _through(self, command: Command) -> Command:
        if not self.engine.rootless:
            return command
        inside = self.engine.command("unshare", *command.argv)
        env = {**command.env, **inside.env}
        return replace(
            command, argv=inside.argv, env=env, user=inside.user, unset=command.unset + inside.unset
        )

    def _into(self, command: Command, opened: int) -> Command:
        through = self._through(command)
        if through.user:  # root has made the directory, and tar runs as the volume's owner
            owner = ownership.known(through.user)
            os.fchown(opened, owner.pw_uid, owner.pw_gid)
        return through
