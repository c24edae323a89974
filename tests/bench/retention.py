# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure retention over 100,000 backups of one job: the plan, its memory, and the requests of a deletion.

    python -m tests.bench.retention [--backups 100000] [--rounds 3]

    names      reading 200,000 names (a manifest and a mark each); a server's time comes on top
    plan       from the copies to what is kept and what goes: <= 0.5 s
    all        also looking through five archives of each backup for those that belong to none
    delete     marks and requests for what goes, in batches of 1,000: <= 10 s of our own

Seconds are of the processor, the median of the rounds. Exit status 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

importlib.import_module("tests.conftest")  # makes `lifeboat` importable

from lifeboat.job import Job  # noqa: E402
from lifeboat.listed import copies  # noqa: E402
from lifeboat.manifest import encode  # noqa: E402
from lifeboat.model import Manifest  # noqa: E402
from lifeboat.naming import archive_key, backup_id, manifest_key, mark_key, parse_id  # noqa: E402
from lifeboat.operations.upkeep import prune  # noqa: E402
from lifeboat.policy import Keep  # noqa: E402
from lifeboat.retention import plan  # noqa: E402
from lifeboat.stored import Mark, Stored  # noqa: E402

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
KEEP = Keep(last=3, hourly=48, daily=7, weekly=4, monthly=12, yearly=3)
LIMIT_S = 0.5
LIMIT_DELETING_S = 10.0
LIMIT_MB = 150  # beside Python itself, and the 100,000 deletions that are then told


class Names:
    """A destination that only has names: what is measured is our part, not a server's."""

    kind, options, name = "names", (), "names"

    def __init__(self, backups: int) -> None:
        self._backups = backups
        self.requests = self.deleted = self.puts = 0

    def _each(self) -> Iterator[tuple[str, datetime]]:
        for back in range(self._backups):
            at = NOW - timedelta(hours=back)
            yield backup_id(at, "hourly", "%04x" % (back % 65536)), at

    def open(self, key: str) -> BytesIO:
        """A sound manifest: it is read of each backup that holds a place."""
        id_ = key.rsplit("/", 1)[-1][: -len(".json")]
        at, type_ = parse_id(id_)
        when = (type_, "production", at, at, "lifeboat 0.1.0", True)
        return BytesIO(encode(Manifest(id_, "db1", "shop", *when, (), ())))

    def list(self, prefix: str) -> Iterator[Stored]:
        if prefix.startswith("catalog/"):
            for id_, at in self._each():
                for key in (
                    manifest_key("db1", "shop", id_),
                    mark_key("db1", "shop", id_, Mark("intact", at)),
                ):
                    if key.startswith(prefix):
                        yield Stored(key, 0, at)
            return
        for id_, at in self._each():
            for name in (
                "a.b.sql.zst",
                "c.d.tar.zst",
                "c.inventory.jsonl.zst",
                "SHA256SUMS",
                "RESTORE.md",
            ):
                yield Stored(archive_key("db1", "shop", id_, name), 1, at)

    def put(self, key: str, content: bytes) -> None:
        self.puts += 1

    def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        self.requests += 1
        self.deleted += len(keys)
        return {}

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        return []


def measured(rounds: int, act: Callable[[], Any]) -> tuple[float, Any]:
    seconds = []
    for _round in range(rounds):
        begun = time.process_time()
        made = act()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds), made


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    asked.add_argument("--backups", type=int, default=100_000)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    place: Any = Names(given.backups)
    job = Job("shop", "db1", "production", (), (), (place,), keep=KEEP, prunes=("names",))

    listing, there = measured(given.rounds, lambda: list(copies(place.list("catalog/db1/shop/"))))
    planning, made = measured(given.rounds, lambda: plan(there, KEEP, {}, NOW))
    whole, planned = measured(1, lambda: list(prune.plan(job, NOW)))
    made_up, _nothing = measured(
        1, lambda: [deque(place.list(below), 0) for below in ("catalog/db1/shop/", "archives/")]
    )
    named, _nothing = measured(1, lambda: deque(place.list("catalog/db1/shop/"), 0))
    deleting, done = measured(1, lambda: prune.apply(job, planned, lambda: NOW, limit=False))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before

    gone = len(made.expired)
    print(f"backups {given.backups}, of which {gone} go; policy {KEEP}")
    print(f"reading the names           {listing - named:6.2f} s")
    print(f"plan                        {planning:6.2f} s   (promised: {LIMIT_S} s)")
    print(f"all of it, archives too     {whole - made_up:6.2f} s")
    print(
        f"deletion, our part          {deleting:6.2f} s   (promised: {LIMIT_DELETING_S:.0f} s) "
        f"{place.requests} requests for {place.deleted} keys, {place.puts} marks"
    )
    print(f"memory beside Python        {grown:6.0f} MB  (promised: {LIMIT_MB} MB)")
    whole_batches = place.requests == -(-gone // 1000) and len(done[0].pruned) == gone
    quick = planning <= LIMIT_S and deleting <= LIMIT_DELETING_S
    return 0 if quick and grown <= LIMIT_MB and whole_batches else 1


if __name__ == "__main__":
    raise SystemExit(main())
