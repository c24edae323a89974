# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a backup and a restore of a real Redis beside their floors, in one run on one disk.

.venv/bin/python -m tests.bench.redis [--size-mb 300] [--rounds 3]
floor      redis-cli --rdb - | zstd -3 -T0 | age -r RECIPIENT > FILE
restore    age -d | zstd -d > dump.rdb, then a server that loads it
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.__main__ import LIMIT_RSS_MB, Bench, measure, row

# Values of 520 bytes, hexadecimal: the server does not compress them, and zstd halves them.
_FILL = """
for number = 1, tonumber(ARGV[1]) do
  local parts = {}
  for part = 1, 13 do parts[part] = redis.sha1hex(ARGV[2] .. ':' .. number .. ':' .. part) end
  redis.call('SET', 'session:' .. ARGV[2] .. ':' .. number, table.concat(parts))
end
"""
_ROUND_KEYS = 20_000


class Data:
    """A server below `folder` with about `size_mb` of keys."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.folder, self.size_mb = folder, size_mb
        self.socket = str(folder / "s")
        self.source: dict[str, object] = {"type": "redis", "socket": self.socket}

    def __enter__(self) -> Data:
        self.server = serve(self.folder, self.socket)
        for part in range(max(1, self.size_mb * 2000 // _ROUND_KEYS)):
            self.ask("EVAL", _FILL, "0", str(_ROUND_KEYS), str(part))
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.kill()
        self.server.wait()

    def ask(self, *words: str) -> str:
        argv = ["redis-cli", "-s", self.socket, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["redis-cli", "-s", self.socket, "--rdb", "-"], dict(os.environ)


def serve(folder: Path, address: str) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", address, "--dir", str(folder),
         "--save", "", "--repl-diskless-sync-delay", "0"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    ask = ["redis-cli", "-s", address, "PING"]
    while subprocess.run(ask, capture_output=True).stdout != b"PONG\n":
        time.sleep(0.02)
    return server


def restore_floor(bench: Bench) -> float:
    folder = bench.folder / "floor"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begun = time.monotonic()
    decrypt = ["age", "-d", "-i", str(bench.folder / "key"), str(bench.folder / "floor.age")]
    with open(folder / "dump.rdb", "wb") as out:
        one = subprocess.Popen(decrypt, stdout=subprocess.PIPE)
        two = subprocess.Popen(["zstd", "-q", "-d", "-c"], stdin=one.stdout, stdout=out)
        if two.wait() or one.wait():
            raise SystemExit("the floor of the restore failed")
    server = serve(folder, str(folder / "s"))
    seconds = time.monotonic() - begun
    server.kill()
    server.wait()
    return seconds


def main() -> int:
    asked = argparse.ArgumentParser(prog="tests.bench.redis")
    asked.add_argument("--size-mb", type=int, default=300)
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="lb-bench-") as name:
        (folder := Path(name) / "data").mkdir()
        with Data(folder, options.size_mb) as database:
            keys = database.ask("DBSIZE")
            sys.stdout.write(f"{keys} keys, about {options.size_mb} MB, {os.cpu_count()} cores\n")
            made: Any = database
            bench = Bench(Path(name), made, options.rounds)
            kept = measure(bench, False)
            root = Path(name) / "to-disk"
            bench.lifeboat(root)
            floors, ours, peaks = [], [], []
            for _round in range(options.rounds):
                floors.append(restore_floor(bench))
                seconds, peak = bench.lifeboat(root, *bench.restoring())
                ours.append(seconds)
                peaks.append(peak)
                bench.lifeboat(root, "confirm", "bench")
            row("restore floor", floors)
            row("restore", ours, f"own memory at most {max(peaks):.0f} MB")
            ratio = statistics.median(one / other for one, other in zip(ours, floors))
            sys.stdout.write(f"ratio {ratio:.3f}\n")
            return 0 if kept and max(peaks) <= LIMIT_RSS_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
