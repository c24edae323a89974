# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume on its way into a backup: its tree, what is private about its containers, how it comes back by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...containers import Engine
from ...model import Stream
from ..trees import tar as tree_tar
from ..trees.dump import TreeDump


class VolumeDump(TreeDump):
    """A tree's dump, with what is private about the containers, and how it is restored by hand."""

    by_hand: str
    private: Mapping[str, Any]
    look: Callable[[dict[str, Any]], None]

    def streams(self) -> Iterator[Stream]:
        for stream in super().streams():
            yield replace(stream, by_hand=self.by_hand)
        self.look(self.facts["volume"])


def by_hand(engine: Engine, name: str) -> str:
    """The command that restores the tree into the volume `name`."""
    place = (
        f"\"$({engine.program} volume inspect --format '{{{{.Mountpoint}}}}' {shlex.quote(name)})\""
    )
    user = "podman unshare " if engine.rootless else ""
    return (
        f"# into a volume that is there, and that no running container uses\n{user}"
        + tree_tar.BY_HAND_INTO % place
    )


def excluded(patterns: Sequence[str]) -> list[str]:
    """tar's options for what is left out; a pattern with a leading / begins at the volume's top."""
    words = ["--one-file-system"]
    for pattern in patterns:
        words.append("--anchored" if pattern.startswith("/") else "--no-anchored")
        words.append("--exclude=" + ("." if pattern.startswith("/") else "") + pattern.rstrip("/"))
    return words
