# SPDX-License-Identifier: GPL-3.0-or-later
"""Data without a server, of about the asked size: a tree of files, an SQLite database."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_SEED = 7
_WORDS = ["the", "of", "invoice", "order", "to", "reply", "meeting", "error", "user", "path", "GET"]


class _Plain:
    """`_data` is made below `folder` and goes with it."""

    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, folder: Path, wanted_mb: int) -> None:
        self._folder, self._wanted_mb = folder, wanted_mb
        self._random = random.Random(_SEED)

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

    def into(self, name: str) -> str:
        return str(self._folder / name)


class Tree(_Plain):
    """Half of it media that do not compress, a quarter texts of some kB, a quarter Python's own sources.

    The floor of a restore ends with `sync -f`, as ours does: what is not on disk is not restored.
    """

    _dropped = 0

    @property
    def source(self) -> dict[str, object]:
        return {"type": "files", "paths": [str(self._data)]}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        words = ["--acls", "--xattrs", "--numeric-owner", "--sparse", "--format=posix"]
        return ["tar", "-c", *words, "-C", str(self._folder), "data"], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        into = self._folder / name
        into.mkdir()
        text = 'tar -x --acls --xattrs -p -C "$1" && sync -f "$1"'
        return ["sh", "-c", text, "-", str(into)], dict(os.environ)

    def drop(self, name: str) -> None:
        """Out of the way, but not removed: ext4 is slow to make files right after many were."""
        self._dropped += 1
        os.rename(self._folder / name, self._folder / f"dropped-{self._dropped}")

    def _make(self) -> None:
        share = self._wanted_mb << 18
        for number, size in enumerate(self._sizes(2 * share, 30_000, 3_000_000)):
            self._write(f"media/{number % 50}/{number}.jpg", self._random.randbytes(size))
        pool = self._text(8 << 20)
        for number, size in enumerate(self._sizes(share, 500, 60_000)):
            start = self._random.randrange(len(pool) - size)
            self._write(f"mail/{number % 200}/{number}.eml", pool[start : start + size])
        for number, content in enumerate(_sources(share)):
            self._write(f"projects/{number // 1000}/{number // 40}/module{number}.py", content)

    def _write(self, name: str, content: bytes) -> None:
        path = self._data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _sizes(self, left: int, least: int, most: int) -> Iterator[int]:
        """Many small ones and some large."""
        while left > 0:
            size = int(least * (most / least) ** self._random.random())
            left -= size
            yield size

    def _text(self, size: int) -> bytes:
        lines: list[str] = []
        while size > 0:
            words = " ".join(self._random.choices(_WORDS, k=9))
            lines.append(f"{words} {self._random.getrandbits(40):x}\n")
            size -= len(lines[-1])
        return "".join(lines).encode()


def _sources(left: int) -> Iterator[bytes]:
    """The library of this Python, file after file, again and again."""
    found = sorted(Path(os.__file__).parent.rglob("*.py"))
    while True:
        for path in found:
            content = path.read_bytes()
            yield content
            left -= len(content)
            if left < 0:
                return


class SQLiteFile(_Plain):
    """The floor copies with `.backup`, for `cat` of a file in use makes no database.

    A restore is judged where it lies (`PRAGMA integrity_check`) before anybody would start with it.
    """

    @property
    def source(self) -> dict[str, object]:
        return {"type": "sqlite", "path": str(self._data)}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        text = 'sqlite3 "$1" ".backup \'$2\'" && cat "$2" && rm "$2"'
        copy = str(self._folder / "copy.sqlite")
        return ["sh", "-c", text, "-", str(self._data), copy], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        text = (
            'dd bs=1M status=none conv=fsync of="$1.new" &&'
            ' [ "$(sqlite3 "$1.new" "PRAGMA integrity_check")" = ok ] && mv "$1.new" "$1"'
        )
        return ["sh", "-c", text, "-", str(self._folder / name)], dict(os.environ)

    def drop(self, name: str) -> None:
        (self._folder / name).unlink()

    def _make(self) -> None:
        """Half of a row does not compress; one index."""
        database = sqlite3.connect(self._data)
        with database:
            database.execute(
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, note TEXT, code BLOB)"
            )
            database.execute("CREATE INDEX of_customer ON orders (customer)")
            rows = (
                (
                    n * 7919 % 50021,
                    " ".join(self._random.choices(_WORDS, k=14)),
                    self._random.randbytes(96),
                )
                for n in range(self._wanted_mb * 4300)
            )
            database.executemany("INSERT INTO orders (customer, note, code) VALUES (?, ?, ?)", rows)
        database.close()
