# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a backup of a real database beside its floor, in one run on one disk.

    make bench                 1.4 GB made by pgbench; --rows mixed, --size-mb, --rounds, --no-s3
               --source mariadb, files or sqlite; redis has a program of its own beside this
    floor      pg_dump -Fc -Z0 (mariadb-dump, tar, cat) | zstd -3 -T0 | age -r RECIPIENT > FILE
    lifeboat   the whole `lifeboat run`: dump, row counts, globals, manifest, every byte read back
    restore    the whole `lifeboat restore` into another name, beside age -d | zstd -d | pg_restore
               (mariadb, tar, dd); the inventory compared too
    s3         the backup to a real S3 server on the same machine, and to disk and S3 at once

Times are wall seconds of whole processes; the median is quoted. Memory is the peak of lifeboat's own
process (VmHWM), without the programs it starts. Exit status 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Union

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.database import Database  # noqa: E402
from tests.bench.mariadb import MariaDB  # noqa: E402
from tests.bench.plain import SQLiteFile, Tree  # noqa: E402

Measured = Union[Database, MariaDB, Tree, SQLiteFile]

# As the launcher on a host: the system's own, isolated, no venv.
PYTHON = shutil.which("python3", path="/usr/bin") or os.path.join(sys.base_prefix, "bin", "python3")
LIBRARIES = sysconfig.get_path("purelib")
LIMIT_RATIO = 1.10
LIMIT_RESTORE = 1.15
LIMIT_RSS_MB = 150
PRELUDE = """
import importlib.util, sys
sys.path.append({libraries!r})
spec = importlib.util.spec_from_file_location(
    "lifeboat", {engine!r} + "/__init__.py", submodule_search_locations=[{engine!r}])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from lifeboat.cli.main import main
code = main(sys.argv[1:], scope="user", root={root!r})
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
open({peak!r}, "w").write(peak.split()[1])
raise SystemExit(code)
"""


class Bench:
    def __init__(self, folder: Path, database: Measured, rounds: int) -> None:
        self.folder, self.database, self.rounds = folder, database, rounds
        subprocess.run(["age-keygen", "-o", str(folder / "key")], check=True, capture_output=True)
        self.recipient = subprocess.run(
            ["age-keygen", "-y", str(folder / "key")], check=True, capture_output=True, text=True
        ).stdout.strip()

    def floor(self) -> float:
        target = self.folder / "floor.age"
        target.unlink(missing_ok=True)
        dump, environment = self.database.dump()
        begun = time.monotonic()
        one = subprocess.Popen(dump, stdout=subprocess.PIPE, env=environment)
        two = subprocess.Popen(
            ["zstd", "-q", "-3", "-T0", "-c"], stdin=one.stdout, stdout=subprocess.PIPE
        )
        with open(target, "wb") as out:
            three = subprocess.Popen(["age", "-r", self.recipient], stdin=two.stdout, stdout=out)
        one.stdout.close()
        two.stdout.close()
        statuses = [stage.wait() for stage in (three, two, one)]
        if any(statuses):
            raise SystemExit(f"the floor failed: {statuses}")
        return time.monotonic() - begun

    def configure(
        self,
        name: str,
        destinations: dict[str, dict[str, object]],
        secret: dict[str, str] | None = None,
    ) -> Path:
        root = self.folder / name
        (root / "config").mkdir(parents=True)
        credentials = root / "config/credentials"
        credentials.mkdir(mode=0o700)
        if secret:
            (credentials / "s3").write_text(json.dumps(secret))
            (credentials / "s3").chmod(0o600)
        source = self.database.source
        (root / "config/config.json").write_text(
            json.dumps(
                {
                    "version": 1,
                    "host": "bench",
                    "environment": "production",  # elsewhere a restore waits five seconds
                    "encryption": {"age_recipients": [self.recipient]},
                    "destinations": destinations,
                    "jobs": {
                        "bench": {"sources": {"db": source}, "destinations": list(destinations)}
                    },
                }
            )
        )
        return root

    def restore_floor(self) -> float:
        load, environment = self.database.load("bench_floor")
        begun = time.monotonic()
        decrypt = ["age", "-d", "-i", str(self.folder / "key"), str(self.folder / "floor.age")]
        one = subprocess.Popen(decrypt, stdout=subprocess.PIPE)
        two = subprocess.Popen(["zstd", "-q", "-d", "-c"], stdin=one.stdout, stdout=subprocess.PIPE)
        three = subprocess.Popen(load, stdin=two.stdout, env=environment)
        one.stdout.close()
        two.stdout.close()
        statuses = [stage.wait() for stage in (three, two, one)]
        if any(statuses):
            raise SystemExit(f"the floor of the restore failed: {statuses}")
        seconds = time.monotonic() - begun
        self.database.drop("bench_floor")
        return seconds

    def restoring(self, *words: str) -> tuple[str, ...]:
        """The words of a restore of the newest backup that passes the gate of production."""
        newest = max(path.stem for path in (self.folder / "disk").glob("catalog/*/bench/*.json"))
        gate = ("--target-host", "bench", "--confirm", "RESTORE PRODUCTION")
        return ("restore", "bench", newest, "--identity", str(self.folder / "key"), *gate, *words)

    def restore(self, root: Path) -> tuple[float, float]:
        """(seconds, own peak memory in MB) of a restore into another name, and let go of."""
        words = self.restoring("--into", self.database.into("bench_new"))
        measured = self.lifeboat(root, *words)
        self.lifeboat(root, "confirm", "bench")
        self.database.drop("bench_new")
        return measured

    def lifeboat(self, root: Path, *words: str) -> tuple[float, float]:
        """(seconds, own peak memory in MB) of one backup, or of the command given."""
        peak = self.folder / "peak"
        code = PRELUDE.format(
            libraries=LIBRARIES,
            engine=str(ROOT / "plugins/module_utils/engine"),
            root=str(root),
            peak=str(peak),
        )
        begun = time.monotonic()
        done = subprocess.run(
            [PYTHON, "-I", "-c", code, *(words or ("run", "bench"))],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        if done.returncode != 0:
            raise SystemExit(f"lifeboat {words} ended with {done.returncode}:\n{done.stderr}")
        return seconds, int(peak.read_text()) / 1024

    def clean(self, place: Path) -> None:
        for folder in ("archives", "catalog"):
            shutil.rmtree(place / folder, ignore_errors=True)


def row(name: str, seconds: list[float], note: str = "") -> float:
    middle = statistics.median(seconds)
    shown = " ".join(f"{one:6.2f}" for one in seconds)
    sys.stdout.write(f"{name:14} {middle:7.2f} s   [{shown}]  {note}\n")
    sys.stdout.flush()
    return middle


def main() -> int:
    asked = argparse.ArgumentParser(prog="tests/bench")
    asked.add_argument("--size-mb", type=int, default=1400)
    asked.add_argument("--rows", choices=["pgbench", "mixed"], default="pgbench")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--no-s3", action="store_true")
    asked.add_argument(
        "--source", choices=["postgresql", "mariadb", "files", "sqlite"], default="postgresql"
    )
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="lb-bench-") as name:
        folder = Path(name)
        made: Measured
        if options.source == "mariadb":
            made = MariaDB(options.size_mb, options.rows)
        elif options.source == "files":
            made = Tree(folder, options.size_mb)
        elif options.source == "sqlite":
            made = SQLiteFile(folder, options.size_mb)
        else:
            made = Database(folder, options.size_mb, options.rows)
        with made as database:
            sys.stdout.write(f"{options.source} of {database.size_mb} MB, {os.cpu_count()} cores\n")
            bench = Bench(folder, database, options.rounds)
            kept = measure(bench, not options.no_s3 and options.source == "postgresql")
            kept = measure_restore(bench) and kept
            return 0 if kept else 1


def measure(bench: Bench, with_s3: bool) -> bool:
    disk = bench.folder / "disk"
    disk.mkdir()
    root = bench.configure("to-disk", {"disk": {"type": "local", "path": str(disk)}})
    bench.floor()  # warm the cache for both
    floors, ours, peaks = [], [], []
    for _round in range(bench.rounds):  # in turn, so that a slow minute hits both
        floors.append(bench.floor())
        seconds, peak = bench.lifeboat(root)
        ours.append(seconds)
        peaks.append(peak)
        bench.clean(disk)
    floor = row("floor", floors)
    middle = row("lifeboat", ours, f"own memory at most {max(peaks):.0f} MB")
    ratio = statistics.median(one / other for one, other in zip(ours, floors))
    sys.stdout.write(
        f"ratio {ratio:.3f} (of medians {middle / floor:.3f}), promised {LIMIT_RATIO}\n"
    )
    kept = ratio <= LIMIT_RATIO and max(peaks) <= LIMIT_RSS_MB
    if with_s3:
        kept = measure_s3(bench, disk) and kept
    return kept


def measure_restore(bench: Bench) -> bool:
    root = bench.folder / "to-disk"
    bench.lifeboat(root)
    floors, ours, peaks = [], [], []
    for _round in range(max(1, bench.rounds // 2)):
        floors.append(bench.restore_floor())
        seconds, peak = bench.restore(root)
        ours.append(seconds)
        peaks.append(peak)
    row("restore floor", floors)
    row("restore", ours, f"own memory at most {max(peaks):.0f} MB")
    ratio = statistics.median(one / other for one, other in zip(ours, floors))
    sys.stdout.write(f"ratio {ratio:.3f}, promised {LIMIT_RESTORE}\n")
    return ratio <= LIMIT_RESTORE and max(peaks) <= LIMIT_RSS_MB


def measure_s3(bench: Bench, disk: Path) -> bool:
    from tests.lab import s3

    kept = True
    with s3.Server(bench.folder / "s3") as server:
        (server.objects / "bench").mkdir()
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
        for name, destinations in {
            "s3": {"offsite": bucket},
            "disk and s3": {"disk": {"type": "local", "path": str(disk)}, "offsite": bucket},
        }.items():
            root = bench.configure(name.replace(" ", "-"), destinations, secret)
            seconds, peaks = [], []
            for _round in range(max(1, bench.rounds // 2)):
                spent, peak = bench.lifeboat(root)
                seconds.append(spent)
                peaks.append(peak)
                bench.clean(disk)
                bench.clean(server.objects / "bench")
            row(name, seconds, f"own memory at most {max(peaks):.0f} MB")
            kept = kept and max(peaks) <= LIMIT_RSS_MB
    return kept


if __name__ == "__main__":
    sys.exit(main())
