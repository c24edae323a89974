# SPDX-License-Identifier: GPL-3.0-or-later
"""Compress with the zstd program, on all cores."""

from __future__ import annotations

import shutil
from typing import Any

from ..errors import ConfigError, MissingDependency
from ..model import Command


class Zstd:
    """Level 1 to 19; `threads` 0 = one for each core. Decoding needs neither."""

    kind = "zstd"
    suffix = ".zst"
    needs_identity = False

    def __init__(self, level: int = 3, threads: int = 0) -> None:
        self.level = level
        self.threads = threads

    def check(self) -> None:
        # Above 19 a reader would need --ultra's memory, and RESTORE.md promises plain `zstd -d`.
        if not 1 <= self.level <= 19:
            raise ConfigError("compression level: %d is not from 1 to 19" % self.level)
        if shutil.which("zstd") is None:
            raise MissingDependency(
                "the program zstd is not on this machine", hint="install the package zstd"
            )

    def encode(self) -> Command:
        return Command(("zstd", "-q", "-c", "-T%d" % self.threads, "-%d" % self.level))

    def decode(self, identity: bytes | None) -> Command:
        return Command(("zstd", "-q", "-d", "-c"))

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "level": self.level}
