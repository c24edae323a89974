# SPDX-License-Identifier: GPL-3.0-or-later
"""Data without a server, of about the asked size: a tree of files, an SQLite database."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

_NOISE = random.Random(7).randbytes(1 << 20)  # half of each file does not compress
_FILES_PER_MB = 8


class _Plain:
    """`_data` is made below `folder` and goes with it."""

    def __init__(self, folder: Path, wanted_mb: int) -> None:
        self._folder, self._wanted_mb = folder, wanted_mb

    def __enter__(self) -> _Plain:
        self._make()
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def _make(self) -> None:
        raise NotImplementedError

    @property
    def size_mb(self) -> int:
        du = subprocess.run(["du", "-sm", str(self._data)], capture_output=True, check=True)
        return int(du.stdout.split()[0])

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _restored(self) -> Path:
        return self._folder / "restored"


class Tree(_Plain):
    """Many small files and some large ones."""

    @property
    def source(self) -> dict[str, object]:
        return {"type": "files", "paths": [str(self._data)]}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        words = ["--acls", "--xattrs", "--numeric-owner", "--sparse", "--format=posix"]
        return ["tar", "-c", *words, "-C", str(self._folder), "data"], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        into = self._folder / name
        into.mkdir()
        return ["tar", "-x", "--acls", "--xattrs", "-C", str(into)], dict(os.environ)

    def drop(self, name: str) -> None:
        shutil.rmtree(self._folder / name)

    def into(self, name: str) -> str:
        return str(self._folder / name)

    def _make(self) -> None:
        for number in range(self._wanted_mb // 2 * _FILES_PER_MB):
            path = self._data / f"{number % 100:02}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            size = (1 << 20) // _FILES_PER_MB
            start = number * 37 % (len(_NOISE) - size)
            path.write_bytes(_NOISE[start : start + size // 2] + b"word " * (size // 10))
        with open(self._data / "large", "wb") as large:
            for _mb in range(self._wanted_mb // 2):
                large.write(_NOISE[: 1 << 19] + b"word " * ((1 << 19) // 5))


class SQLiteFile(_Plain):
    """The floor reads the file as it is: less than any tool needs that copies a database in use."""

    @property
    def source(self) -> dict[str, object]:
        return {"type": "sqlite", "path": str(self._data)}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["cat", str(self._data)], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        return ["dd", "bs=1M", "status=none", "conv=fsync", f"of={self._folder / name}"], dict(
            os.environ
        )

    def drop(self, name: str) -> None:
        (self._folder / name).unlink()

    def into(self, name: str) -> str:
        return str(self._folder / name)

    def _make(self) -> None:
        database = sqlite3.connect(self._data)
        with database:
            database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, code BLOB)")
            rows = (
                (f"order {n}: " + "x" * 96, _NOISE[n * 37 % 1000000 :][:96])
                for n in range(self._wanted_mb * 4800)
            )
            database.executemany("INSERT INTO orders (note, code) VALUES (?, ?)", rows)
        database.close()
