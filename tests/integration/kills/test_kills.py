# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, every source is wholly as it was or wholly as it shall be, and nothing is left.

A few rounds of two kinds here, since each kind has its own tests that kill it at every step; many of
all with `make nightly`, or by `python -m tests.kills`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket

from . import grounds
from .campaign import Campaign, Ground
from .prunes import Prunes
from .upkeep import Upkeep

NIGHTLY = 20
ROUNDS = int(os.environ.get("LIFEBOAT_KILLS", NIGHTLY if "LIFEBOAT_NIGHTLY" in os.environ else 0))
SAMPLE = 4  # every time
QUICK = ("merge", "postgresql")
KINDS = (
    *QUICK,
    "mariadb",
    "redis",
    "files",
    "sqlite",
    "redis-aof",
    "valkey",
    "mongodb",
    "command",
    "s3_bucket",
    "volume",
)


@pytest.fixture
def ground(request: pytest.FixtureRequest, host: Host) -> Ground:
    kind = request.param
    if kind in ("files", "merge"):
        return grounds.Trees(host.data, merge=kind == "merge")
    if kind == "sqlite":
        return grounds.SQLite(host.data)
    if kind == "command":
        return grounds.Command(host.data)
    if kind == "s3_bucket":
        return grounds.Bucket(request.getfixturevalue("on_gateway"), host.root / "config")
    if kind == "volume":
        return grounds.Volume(*map(request.getfixturevalue, ("volume", "user")))
    if kind in ("redis", "redis-aof", "valkey"):
        make = request.getfixturevalue("make_redis")
        product, _dash, aof = kind.partition("-")
        return grounds.Redis(make(product, *(["appendonly yes"] if aof else [])))
    server = request.getfixturevalue(f"make_{kind}")()
    return {
        "postgresql": grounds.PostgreSQL,
        "mariadb": grounds.MariaDB,
        "mongodb": grounds.MongoDB,
    }[kind](server)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("ground", KINDS if ROUNDS else QUICK, indirect=True)
def test_old_or_new_and_nothing_left(host: Host, ground: Ground, request: pytest.FixtureRequest):
    campaign(request.node.callspec.id, lambda seed: Campaign(host, ground, seed))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["upkeep", "prune"])
def test_no_backup_is_lost_and_nothing_left(
    host: Host, bucket: Bucket, make_redis: Any, kind: str
) -> None:
    if kind == "prune":
        data = grounds.SQLite(host.data)
        campaign(kind, lambda seed: Prunes(host, data, bucket, seed))
        return
    ground = grounds.Redis(make_redis("redis"))
    campaign(kind, lambda seed: Upkeep(host, ground, bucket, seed))


def campaign(name: str, make: Callable[[int], Campaign]) -> None:
    seed = int(os.environ.get("LIFEBOAT_KILLS_SEED", time.time_ns() % 100000))
    print(f"\n{name}: seed {seed}", flush=True)
    made = make(seed)
    try:
        made.run(ROUNDS or SAMPLE)
    except AssertionError as error:
        print(f"{name}: {error}", flush=True)  # whole
        raise
    finally:
        rounds = sum(n for what, n in made.counts.items() if "recover" not in what)
        print(f"{name}: {rounds} rounds, {dict(sorted(made.counts.items()))}", flush=True)
