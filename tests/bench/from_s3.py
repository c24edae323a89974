# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore PostgreSQL from a real S3 server on the same machine, in phases, beside what an administrator types.

Two ways to beat, the faster one is the floor: a stream out of S3 into `pg_restore`, and `pg_restore -j 2` from
a plain file that is already here. A restore of lifeboat fetches, hashes, restores beside, counts, compares,
swaps. The comparison is judged by itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.running import Bench
from tests.lab import s3

# As lifeboat names them, and what they are: it hashes while it fetches.
PHASES = {"fetch": "fetch and verify", "restore": "load", "compare": "compare", "swap": "swap"}
LIMIT_COMPARE = 0.10  # of all the rest


def measure(bench: Bench, rounds: int, limit: float) -> bool:
    """Whether what is promised holds; the floor and lifeboat in turn."""
    with s3.Server(bench.folder / "s3-of-restore") as server:
        client = s3.client(server.endpoint, server.root)
        client.create_bucket(Bucket="bench")
        keys = {
            "access_key_id": server.root["access_key"],
            "secret_access_key": server.root["secret_key"],
        }
        bucket: dict[str, object] = {"type": "s3", "bucket": "bench", "credential": "s3"}
        bucket.update(endpoint=server.endpoint, region=s3.REGION)
        root = bench.configure("from-s3", {"offsite": bucket}, {"s3": keys})
        bench.lifeboat(root)
        stored = client.list_objects_v2(Bucket="bench", Prefix="archives/")["Contents"]
        key = next(one["Key"] for one in stored if "/db.database." in one["Key"])
        plain = bench.folder / "plain.pgdump"
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": server.endpoint,
            "REGION": s3.REGION,
        }
        remote.update({name.upper(): value for name, value in keys.items()})
        variables = [f"RCLONE_CONFIG_LAB_{name}={value}" for name, value in remote.items()]
        fetch = ["env", "-u", "AWS_CA_BUNDLE", "RCLONE_CONFIG=/dev/null", *variables]
        fetch += ["rclone", "cat", "-q", f"lab:bench/{key}"]
        _decoded(bench, fetch, plain)
        floors: dict[str, list[float]] = {"S3 | pg_restore": [], "pg_restore -j 2": []}
        ours: list[dict[str, float]] = []
        for _round in range(rounds):
            floors["S3 | pg_restore"].append(_streamed(bench, fetch))
            floors["pg_restore -j 2"].append(_parallel(bench, plain))
            ours.append(_restored(bench, root, key.split("/")[-2]))
        return _judge(floors, ours, limit)


def _judge(floors: dict[str, list[float]], ours: list[dict[str, float]], limit: float) -> bool:
    for name, seconds in floors.items():
        _row(name, seconds)
    for phase, name in PHASES.items():
        _row(name, [one[phase] for one in ours])
    compare = statistics.median(one["compare"] for one in ours)
    rest = statistics.median(sum(one.values()) - one["compare"] for one in ours)
    best = min(statistics.median(one) for one in floors.values())
    sys.stdout.write(
        f"restore from s3 {rest:.2f} s, ratio {rest / best:.3f}, promised {limit}; "
        f"compare adds {compare / rest:.1%}, promised {LIMIT_COMPARE:.0%}\n"
    )
    return rest <= limit * best and compare <= LIMIT_COMPARE * rest


def _row(name: str, seconds: list[float]) -> None:
    shown = " ".join(f"{one:6.2f}" for one in seconds)
    sys.stdout.write(f"{name:16} {statistics.median(seconds):7.2f} s   [{shown}]\n")
    sys.stdout.flush()


def _decoders(bench: Bench) -> list[list[str]]:
    return [["age", "-d", "-i", str(bench.folder / "key")], ["zstd", "-q", "-d", "-c"]]


def _decoded(bench: Bench, fetch: list[str], target: Path) -> None:
    with open(target, "wb") as out:
        _pipe([fetch, *_decoders(bench)], None, out)


def _streamed(bench: Bench, fetch: list[str]) -> float:
    load, environment = bench.database.load("bench_floor")
    begun = time.monotonic()
    _pipe([fetch, *_decoders(bench), load], environment, None)
    seconds = time.monotonic() - begun
    bench.database.drop("bench_floor")
    return seconds


def _parallel(bench: Bench, plain: Path) -> float:
    load, environment = bench.database.load("bench_floor")
    begun = time.monotonic()
    subprocess.run([*load, "-j", "2", str(plain)], env=environment, check=True)
    seconds = time.monotonic() - begun
    bench.database.drop("bench_floor")
    return seconds


def _pipe(stages: list[list[str]], environment: dict[str, str] | None, out: object) -> None:
    running: list[subprocess.Popen[bytes]] = []
    for number, argv in enumerate(stages):
        last = number == len(stages) - 1
        made = subprocess.Popen(
            argv,
            stdin=running[-1].stdout if running else subprocess.DEVNULL,
            stdout=out if last else subprocess.PIPE,  # type: ignore[call-overload]
            env=environment if last else None,
        )
        if running and running[-1].stdout:
            running[-1].stdout.close()
        running.append(made)
    statuses = [one.wait() for one in reversed(running)]
    if any(statuses):
        raise SystemExit(f"the floor failed: {statuses}")


def _restored(bench: Bench, root: Path, id_: str) -> dict[str, float]:
    """{phase: seconds} of a restore into another name, and let go of it."""
    gate = ("--target-host", "bench", "--confirm", "RESTORE PRODUCTION")
    words = ("restore", "bench", id_, "--identity", str(bench.folder / "key"), *gate)
    begun = moment = time.monotonic()
    seconds, phase = dict.fromkeys(PHASES, 0.0), "fetch"
    for line, at in bench.heard(root, *words, "--into", bench.database.into("bench_new")):
        word = line.split(" ")[0]
        if word in PHASES and word != phase:
            seconds[phase] += at - moment
            moment, phase = at, word
    seconds[phase] += time.monotonic() - moment
    assert abs(sum(seconds.values()) - (time.monotonic() - begun)) < 1
    bench.lifeboat(root, "confirm", "bench")
    bench.database.drop("bench_new")
    return seconds
