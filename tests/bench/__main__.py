# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a backup and a restore of a real source beside their floors, in one run on one disk.

    make bench                 1.4 GB made by pgbench; --rows mixed, --size-mb, --rounds, --no-s3
               --source NAME   another one; --source all, one after the other
               --copies        a dump to three destinations at once over a slow network: copies.py
    floor      what an administrator types, with nothing checked (tests/bench, a file each):
               pg_dump -Fc -Z0 (mariadb-dump, tar, ...) | zstd -3 -T0 | age -r RECIPIENT > FILE
    lifeboat   the whole `lifeboat run`: dump, inventory, manifest, every byte read back
               --restore-from s3   a restore of PostgreSQL from S3 alone, in phases: from_s3.py
    restore    age -d | zstd -d | pg_restore (mariadb, tar, ...), beside the whole `lifeboat restore`:
               fetched and hashed, restored beside, counted, compared, swapped
    s3         PostgreSQL to a real S3 server on the same machine, and to disk and S3 at once

Both sides are on disk when their time ends. Times are wall seconds of whole processes; in turn, so that
a slow minute hits both. The median of the ratios is judged. Memory is the peak of lifeboat's own process
(VmHWM), without the programs it starts. Exit status 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import copies, from_s3
from tests.bench.bucket import Bucket
from tests.bench.command import Export
from tests.bench.database import Database
from tests.bench.mariadb import MariaDB
from tests.bench.mongodb import MongoDB
from tests.bench.plain import SQLiteFile, Tree
from tests.bench.redis import Redis
from tests.bench.running import Bench
from tests.bench.volume import Volume

Made = AbstractContextManager[Any]


class Limit(NamedTuple):
    """A promise: `times` the floor, and seconds for what is checked besides (ADR 21)."""

    times: float
    start_s: float = 0.0
    per_gb_s: float = 0.0  # of plain data
    each_s: float = 0.0  # of what is asked for piece by piece, and by the floor not at all

    def seconds(self, floor: float, size_mb: int, asked: int) -> float:
        more = self.per_gb_s * size_mb / 1024 + self.each_s * asked
        return self.times * floor + self.start_s + more

    def __str__(self) -> str:
        told = f"{self.times} x floor"
        told += f" + {self.start_s} s + {self.per_gb_s} s/GB" * bool(self.start_s)
        return told + f" + {self.each_s * 1000} ms an object" * bool(self.each_s)


BACKUP, RESTORE = Limit(1.10), Limit(1.15)  # where the source's own programs set the pace
# Where the floor is a copy, or the data are looked into: seconds for what the floor does not do.
COPIED, RETURNED = Limit(1.10, 0.5, 2.0), Limit(1.15, 1.0, 4.0)
TAGGED = COPIED._replace(each_s=0.0015)  # rclone does not ask for the tags of an object
JUDGED = Limit(1.10, 0.5, 4.0)  # by integrity_check, redis-check-rdb
IN_PLACE = Limit(
    1.15, 1.5, 10.0
)  # what is there is kept as a file, what comes is compared before and after
# {source: (made below a folder, of a size, with rows; MB if not told; what is promised)}
SOURCES: dict[str, tuple[Callable[[Path, int, str], Made], int, Limit, Limit]] = {
    "postgresql": (Database, 1400, BACKUP, RESTORE),
    "mariadb": (lambda _folder, size, rows: MariaDB(size, rows), 700, BACKUP, RESTORE),
    "mongodb": (lambda _folder, size, _rows: MongoDB(size), 100, BACKUP, RESTORE),
    "redis": (lambda _folder, size, _rows: Redis(size), 300, JUDGED, IN_PLACE),
    "sqlite": (lambda folder, size, _rows: SQLiteFile(folder, size), 300, JUDGED, RETURNED),
    "files": (lambda folder, size, _rows: Tree(folder, size), 300, COPIED, RETURNED),
    "volume": (lambda folder, size, _rows: Volume(folder, size), 300, COPIED, RETURNED),
    "s3_bucket": (lambda folder, size, _rows: Bucket(folder, size), 200, TAGGED, IN_PLACE),
    "command": (lambda folder, size, _rows: Export(folder, size), 300, COPIED, IN_PLACE),
}
LIMIT_RSS_MB = 150


def main() -> int:
    asked = argparse.ArgumentParser(prog="tests/bench")
    asked.add_argument("--source", choices=[*SOURCES, "all"], default="postgresql")
    asked.add_argument("--size-mb", type=int, default=0)
    asked.add_argument("--rows", choices=["pgbench", "mixed"], default="pgbench")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--no-s3", action="store_true")
    asked.add_argument("--copies", action="store_true")
    asked.add_argument("--restore-from", choices=["disk", "s3"], default="disk")
    options = asked.parse_args()
    if options.copies:
        return copies.main([])
    names = list(SOURCES) if options.source == "all" else [options.source]
    kept = [measure_source(name, options) for name in names]
    return 0 if all(kept) else 1


def measure_source(name: str, options: argparse.Namespace) -> bool:
    make, size_mb, limit_backup, limit_restore = SOURCES[name]
    with tempfile.TemporaryDirectory(prefix="lb-bench-") as made_in:
        folder = Path(made_in)
        with make(folder, options.size_mb or size_mb, options.rows) as made:
            sys.stdout.write(f"{name} of {made.size_mb} MB, {os.cpu_count()} cores\n")
            bench = Bench(folder, made)
            if options.restore_from == "s3":
                return from_s3.measure(bench, options.rounds, 1.10)
            kept = measure(bench, options.rounds, limit_backup)
            if name == "postgresql" and not options.no_s3:
                kept = measure_s3(bench, max(1, options.rounds // 2)) and kept
            return measure_restore(bench, max(1, options.rounds // 2), limit_restore) and kept


def measure(bench: Bench, rounds: int, limit: Limit) -> bool:
    (disk := bench.folder / "disk").mkdir()
    root = bench.configure("to-disk", {"disk": {"type": "local", "path": str(disk)}})
    bench.floor()  # warm the cache for both

    def ours() -> tuple[float, float]:
        measured = bench.lifeboat(root)
        bench.clean(disk)
        return measured

    return judge("backup", bench, rounds, bench.floor, ours, limit)


def measure_restore(bench: Bench, rounds: int, limit: Limit) -> bool:
    root = bench.folder / "to-disk"
    bench.lifeboat(root)
    kept = judge("restore", bench, rounds, bench.restore_floor, lambda: bench.restore(root), limit)
    row("of it compare", bench.compared, "counted where it lies, set against the inventory")
    return kept


def judge(
    what: str,
    bench: Bench,
    rounds: int,
    floor: Callable[[], float],
    ours: Callable[[], tuple[float, float]],
    limit: Limit,
) -> bool:
    """Run both in turn, and show them; whether the promises hold."""
    floors, mine, peaks, spent = [], [], [], []
    for _round in range(rounds):
        begun = processors()
        floors.append(floor())
        between = processors()
        seconds, peak = ours()
        spent.append((between.since(begun), processors().since(between)))
        mine.append(seconds)
        peaks.append(peak)
    shown = [str(Processors(*map(statistics.median, zip(*one)))) for one in zip(*spent)]
    row(f"{what} floor", floors, shown[0])
    row(what, mine, f"{shown[1]}, own memory at most {max(peaks):.0f} MB")
    ratio = statistics.median(one / other for one, other in zip(mine, floors))
    asked = getattr(bench.database, "objects", 0)
    allowed = limit.seconds(statistics.median(floors), bench.database.size_mb, asked)
    kept = statistics.median(mine) <= allowed if limit.start_s else ratio <= limit.times
    verdict = "kept" if kept else "BROKEN"
    sys.stdout.write(f"{what} ratio {ratio:.3f}; promised {limit} = {allowed:.2f} s: {verdict}\n")
    return kept and max(peaks) <= LIMIT_RSS_MB


class Processors(NamedTuple):
    """Seconds that all programs we have started took, without servers: they tell more on a busy machine.

    Where the kernel's part of it is large, what it hands out is dear: a virtual machine may get each page
    of memory from its host.
    """

    user_s: float
    system_s: float

    def __str__(self) -> str:
        return f"processors {self.user_s:.2f} s, kernel {self.system_s:.2f} s"

    def since(self, other: Processors) -> Processors:
        return Processors(self.user_s - other.user_s, self.system_s - other.system_s)


def processors() -> Processors:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Processors(used.ru_utime, used.ru_stime)


def row(name: str, seconds: list[float], note: str = "") -> None:
    shown = " ".join(f"{one:6.2f}" for one in seconds)
    sys.stdout.write(f"{name:14} {statistics.median(seconds):7.2f} s   [{shown}]  {note}\n")
    sys.stdout.flush()


def measure_s3(bench: Bench, rounds: int) -> bool:
    from tests.lab import s3

    kept = True
    with s3.Server(bench.folder / "s3") as server:
        client = s3.client(server.endpoint, server.root)
        client.create_bucket(Bucket="bench")
        secret = {
            "access_key_id": server.root["access_key"],
            "secret_access_key": server.root["secret_key"],
        }
        bucket = {
            "type": "s3",
            "bucket": "bench",
            "endpoint": server.endpoint,
            "region": "us-east-1",
            "credential": "s3",
        }
        disk = bench.folder / "disk"
        for name, destinations in {
            "s3": {"offsite": bucket},
            "disk and s3": {"disk": {"type": "local", "path": str(disk)}, "offsite": bucket},
        }.items():
            root = bench.configure(name.replace(" ", "-"), destinations, {"s3": secret})
            seconds, peaks = [], []
            for _round in range(rounds):
                spent, peak = bench.lifeboat(root)
                seconds.append(spent)
                peaks.append(peak)
                bench.clean(disk)
                s3.drop(client, "bench")
                client.create_bucket(Bucket="bench")
            row(name, seconds, f"own memory at most {max(peaks):.0f} MB")
            kept = kept and max(peaks) <= LIMIT_RSS_MB
    return kept


if __name__ == "__main__":
    sys.exit(main())
