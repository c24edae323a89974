# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure every command that goes through all backups of a job, where there are 100,000 of them.

    python -m tests.bench.listing [--backups 100000] [--at disk|bucket] [--twice] [--command NAME]

    floor     what reading the names takes without us, in a process of its own: of the catalog, and for
              `prune` of the archives too
    beyond    what the command takes on top of that, in seconds of its own processor
    memory    the peak of the command's own process

`rekey` and `verify` also read every manifest, and `verify` every archive, of a byte: of those the memory alone is
promised. They, and the prune of two hosts' backups by their pruner, are measured at a directory only.

At a directory of this host, and in a bucket of a real server, gofakes3, which keeps names in order:
versitygw reads the whole directory for every thousand names, and takes ten minutes for what is one here.
--twice: two destinations with all of them. Exit status 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

importlib.import_module("tests.conftest")  # makes `lifeboat` importable

from lifeboat.manifest import decode, encode  # noqa: E402

from tests.bench import names  # noqa: E402
from tests.integration.rescue.host import Host  # noqa: E402
from tests.lab import s3  # noqa: E402

HOSTS = ("h1", "h2")  # of whose backups `vault` is the pruner
KEEP = {"last": 3, "hourly": 48, "daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}
LIMIT_MB = 150
CATALOG, ARCHIVES = "catalog/h1/shop/", "archives/h1/shop/"
# command -> (what it reads the names of, seconds of the processor beyond that that are promised)
COMMANDS: dict[tuple[str, ...], tuple[tuple[str, ...], float]] = {
    ("list", "shop", "--json"): ((CATALOG,), 8.0),
    ("list", "shop"): ((CATALOG,), 8.0),
    ("prune", "shop", "--json"): ((CATALOG, ARCHIVES), 15.0),
    ("prune", "shop"): ((CATALOG, ARCHIVES), 15.0),
    ("status", "--json"): ((CATALOG,), 10.0),
    ("push", "shop", "--missing"): ((CATALOG,), 5.0),
    ("doctor", "--json"): ((CATALOG,), 10.0),
    ("freshness", "--json"): ((CATALOG,), 12.0),
}
OF_H2 = (CATALOG.replace("h1", "h2"), ARCHIVES.replace("h1", "h2"))
NO_PROMISE = float("inf")
ON_REQUEST = ("verify",)  # takes minutes: --command verify
AT_DIRECTORY: dict[tuple[str, ...], tuple[tuple[str, ...], float]] = {
    ("rekey", "shop", "--dry-run"): ((CATALOG,), NO_PROMISE),
    ("prune", "--from-host", "h2"): (OF_H2, 15.0),
    ("prune", "--all-hosts", "--json"): ((CATALOG, ARCHIVES, *OF_H2), 30.0),
    ("verify", "shop", "--all", "--json"): ((CATALOG,), NO_PROMISE),  # the last: it adds marks
}
AT_DISK = """
import os
below = {root!r}
for prefix in {prefixes!r}:
    for folder, _folders, found in os.walk(os.path.join(below, prefix)):
        for name in sorted(found):
            os.lstat(os.path.join(folder, name))
"""
AT_BUCKET = """
import sys
from datetime import datetime
import boto3
sys.path.insert(0, {root!r})
from tests.lab import s3
boto3.setup_default_session()
answers = boto3.DEFAULT_SESSION._session.get_component("response_parser_factory")
answers.set_parser_defaults(timestamp_parser=datetime.fromisoformat)  # as ours; else it takes twice that
client = s3.client({endpoint!r}, {key!r})
pages = client.get_paginator("list_objects_v2")
for below in {prefixes!r}:
    for page in pages.paginate(Bucket={bucket!r}, Prefix=below):
        page.get("Contents", [])
"""
Code = Callable[[tuple[str, ...]], str]


class Took(NamedTuple):
    wall_s: float
    processor_s: float
    peak_mb: float
    status: int
    said: Path


def watched(argv: list[str], folder: Path) -> Took:
    """Run it; its times, and the peak of its own memory (or of ours, if that was more)."""
    said = folder / "said"
    begun = time.monotonic()
    with said.open("wb") as out, (folder / "told").open("wb") as err:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall, processor = time.monotonic() - begun, used.ru_utime + used.ru_stime
    return Took(wall, processor, used.ru_maxrss / 1024, process.returncode, said)


@contextmanager
def at_disk(folder: Path, host: Host, backups: int, manifest: bytes, copies: int) -> Iterator[Code]:
    names.fill_directory(host.disk, manifest, backups)
    names.fill_directory(host.disk, encode(replace(decode(manifest, "of h1"), host="h2")), backups)
    yield lambda prefixes: AT_DISK.format(root=str(host.disk), prefixes=prefixes)


@contextmanager
def at_bucket(
    folder: Path, host: Host, backups: int, manifest: bytes, copies: int
) -> Iterator[Code]:
    with names.Ordered(folder) as server:
        client = s3.client(server.endpoint, server.root)
        for bucket in (names.BUCKET, "again")[:copies]:
            if bucket != names.BUCKET:
                client.create_bucket(Bucket=bucket)
            for path in (path for path in host.disk.rglob("*") if path.is_file()):
                key = path.relative_to(host.disk).as_posix()
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
            server.fill(manifest, backups, bucket)
        place = {"type": "s3", "bucket": names.BUCKET, "endpoint": server.endpoint}
        place.update(region=s3.REGION, credential="s3")
        host.configuration["destinations"] = {"offsite": place}
        host.job.update(destinations=["offsite"])
        kept = host.root / "config" / "credentials"
        kept.mkdir(mode=0o700)
        keys = {"access_key_id": server.root["access_key"], "secret_access_key": "any"}
        (kept / "s3").touch(mode=0o600)
        (kept / "s3").write_text(json.dumps(keys))
        given = {"root": str(ROOT), "endpoint": server.endpoint, "key": server.root}
        yield lambda prefixes: AT_BUCKET.format(**given, bucket=names.BUCKET, prefixes=prefixes)


def twice(host: Host) -> None:
    """The same backups at a second destination."""
    (only,) = host.job["destinations"]
    there = host.configuration["destinations"]
    there["again"] = dict(there[only])
    if there[only]["type"] == "s3":
        there["again"]["bucket"] = "again"
    else:
        there["again"]["path"] = str(host.base / "again")
        argv = ["cp", "-al", str(host.disk), str(host.base / "again")]
        subprocess.run(argv, check=True)  # what this process takes would count as the commands'
    host.job.update(destinations=[only, "again"])


def pruner(folder: Path, host: Host) -> Host:
    """A host that prunes the backups of all others, wherever those are."""
    made = Host(folder, "vault", disk=host.disk)
    places = {name: host.configuration["destinations"][name] for name in host.job["destinations"]}
    jobs = {"shop": {"destinations": list(places), "keep": KEEP}}
    hosts = {name: {"destinations": places, "jobs": jobs} for name in HOSTS}
    made.configuration.update(jobs={}, prunes={"at": "04:30", "hosts": hosts})
    made.configure()
    return made


def measured(
    place: str, folder: Path, backups: int, copies: int, only: Sequence[str] | None = None
) -> bool:
    """Measure the commands at one kind of destination; whether every promise held."""
    host = Host(folder)
    host.fill(10)
    host.job.update(keep=KEEP)
    host.configure()
    id_ = host.run()
    manifest = (host.disk / f"catalog/h1/shop/{id_}.json").read_bytes()
    well = True
    with PLACES[place](folder, host, backups - 1, manifest, copies) as code:
        if copies > 1:
            twice(host)
        host.configure()
        vault = pruner(folder, host)
        commands = {**COMMANDS, **(AT_DIRECTORY if place == "disk" else {})}
        floors: dict[tuple[str, ...], Took] = {}
        for words, (prefixes, limit_s) in commands.items():
            if words[0] not in only if only else words[0] in ON_REQUEST:
                continue
            if prefixes not in floors:
                floors[prefixes] = watched([sys.executable, "-c", code(prefixes)], folder)
            floor, took = (
                floors[prefixes],
                watched((vault if vaulted(words) else host).argv(*words), folder),
            )
            beyond = took.processor_s - copies * floor.processor_s
            fits = beyond <= limit_s * copies and took.peak_mb <= LIMIT_MB
            whole = took.status in (0, 1, 2) and _whole(words, took.said, backups, copies)
            print(
                f"{place:6} {' '.join(words):22} {took.wall_s:6.1f} s (floor {copies * floor.wall_s:5.1f} s)"
                f" {took.processor_s:5.1f} s of processor (floor {copies * floor.processor_s:5.1f} s,"
                f" promised beyond it {limit_s * copies:4.1f} s) {took.peak_mb:4.0f} MB (promised"
                f" {LIMIT_MB} MB)"
                + ("" if fits else "  TOO MUCH")
                + ("" if whole else "  NOT WHOLE"),
                flush=True,
            )
            well = well and fits and whole
    return well


def vaulted(words: tuple[str, ...]) -> bool:
    return "--from-host" in words or "--all-hosts" in words


def _whole(words: tuple[str, ...], said: Path, backups: int, copies: int) -> bool:
    """Whether a command told of all backups to the end, where it tells of each. Read line by line: what
    this process took before it starts another one counts as that one's memory too."""
    begins = {
        ("list", "shop", "--json"): '  "id": ',
        ("list", "shop"): "20",
        ("prune", "shop", "--json"): '    "id": ',
        ("prune", "shop"): ("  keep", "  delete"),
        ("prune", "--from-host", "h2"): ("  keep", "  delete"),
        ("prune", "--all-hosts", "--json"): '    "id": ',
        ("verify", "shop", "--all", "--json"): '  "state": "intact"',
    }
    if words not in begins:
        return True
    each = 1 if words[0] == "list" else copies
    whole = backups * each
    if vaulted(words):  # which made none of its own
        whole = (backups - 1) * each + ("--all-hosts" in words) * backups * each
    count, last = 0, ""
    with said.open() as lines:
        for last in lines:
            count += last.startswith(begins[words])
    return count == whole and (last == "]\n") == ("--json" in words)


PLACES = {"disk": at_disk, "bucket": at_bucket}


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    asked.add_argument("--backups", type=int, default=100_000)
    asked.add_argument("--at", choices=list(PLACES), action="append")
    asked.add_argument("--twice", action="store_true")
    asked.add_argument("--command", action="append", help="only this one, as list, or verify")
    given = asked.parse_args()
    well = []
    print(f"{given.backups} backups of one job" + (", twice" if given.twice else ""))
    for place in given.at or PLACES:
        with tempfile.TemporaryDirectory(prefix="lifeboat-listing-", dir="/var/tmp") as folder:
            copies = 2 if given.twice else 1
            well.append(measured(place, Path(folder), given.backups, copies, given.command))
    return 0 if all(well) else 1


if __name__ == "__main__":
    raise SystemExit(main())
