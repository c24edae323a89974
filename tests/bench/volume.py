# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume of a podman with a storage of its own; nothing runs on it. Its floor is podman's own export."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.bench.plain import Tree

_LOAD = 'podman volume import "$1" - && sync -f "$2"'


class Volume(Tree):
    """The files of Tree. podman is reached through a program of the bench's, first in PATH."""

    def __init__(self, folder: Path, wanted_mb: int) -> None:
        super().__init__(folder, wanted_mb)
        real, base = shutil.which("podman"), folder / "podman"
        if real is None or os.geteuid() != 0:
            raise SystemExit("a volume is measured by root, where there is podman")
        (base / "bin").mkdir(parents=True)
        wrapper = base / "bin/podman"
        wrapper.write_text(
            f'#!/bin/sh\nexec {real} --root {base}/storage --runroot {base}/run "$@"\n'
        )
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{base}/bin:{os.environ['PATH']}"
        self._name = "bench-" + secrets.token_hex(4)

    def __enter__(self) -> Volume:
        self._place = self._create(self._name)
        self._make()
        return self

    @property
    def _data(self) -> Path:
        return self._place

    @property
    def source(self) -> dict[str, object]:
        return {"type": "volume", "podman": self._name}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["podman", "volume", "export", self._name], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        place = self._create(self.into(name))
        return ["sh", "-c", _LOAD, "-", self.into(name), str(place)], dict(os.environ)

    def into(self, name: str) -> str:
        return f"{name}-{self._dropped}"  # a new one each time, for the reason that Tree has

    def drop(self, name: str) -> None:
        self._dropped += 1

    def _create(self, name: str) -> Path:
        for words in (("create", name), ("inspect", "-f", "{{.Mountpoint}}", name)):
            done = subprocess.run(["podman", "volume", *words], capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"podman makes no volumes here: {done.stderr}")
        return Path(done.stdout.strip())
