# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `command` with the fastest programs there are: what is measured is what goes on around them."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path

# A restore is in place: what is there is saved first, by hand as by us.
_LOAD = 'cat "$1" > "$1.before" && sync "$1.before" && exec dd bs=1M status=none conv=fsync of="$1"'


class Export:
    """Half of the file does not compress."""

    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.size_mb = size_mb
        self._ours, self._floor = folder / "export", folder / "floor-export"

    def __enter__(self) -> Export:
        dice = random.Random(7)
        for path in (self._ours, self._floor):
            with open(path, "wb") as out:
                for _mb in range(self.size_mb):
                    for _part in range(64):
                        out.write(dice.randbytes(1 << 13) + b"word " * ((1 << 13) // 5))
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    @property
    def source(self) -> dict[str, object]:
        load = ["dd", "bs=1M", "status=none", "conv=fsync", f"of={self._ours}"]
        return {"type": "command", "dump": ["cat", str(self._ours)], "restore": load}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["cat", str(self._ours)], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        return ["sh", "-c", _LOAD, "-", str(self._floor)], dict(os.environ)

    def into(self, name: str) -> str:
        return ""

    def drop(self, name: str) -> None:
        pass
