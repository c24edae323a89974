# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the whole command on 100,000 backups of one job in a bucket of a real server.

    python -m tests.bench.listing [--backups 100000]

    listing    what the server takes to list the names, by the same library, in a process of its own
    list       `lifeboat list shop --json`
    prune      `lifeboat prune shop`, the plan: it also lists the archives

What the command takes beyond the listing itself is judged, in seconds of its own processor, for the
server takes many times that; and its memory. The objects are put behind the server's back, where they are
plain files: 100,000 puts would take an hour. It reads the whole directory anew for every thousand names, so
a run takes long: --backups 5000 shows what is wrong as well. Exit status 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.integration.rescue.host import Host  # noqa: E402
from tests.lab import s3  # noqa: E402

BUCKET = "vault"
KEEP = {"last": 3, "hourly": 48, "daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}
LIMIT_MB = 150
LIMIT_S = {"list": 15.0, "prune": 30.0}  # of the processor, beyond the listing itself
LISTING = """
import sys
sys.path.insert(0, {root!r})
from tests.lab import s3
client = s3.client({endpoint!r}, {key!r})
pages = client.get_paginator("list_objects_v2")
print(sum(page["KeyCount"] for below in {prefixes!r}
          for page in pages.paginate(Bucket={bucket!r}, Prefix=below)))
"""


class Took(NamedTuple):
    wall_s: float
    processor_s: float
    peak_mb: float
    said: str


def watched(argv: list[str]) -> Took:
    """Run it; its times, and the peak of its own memory."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begun
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise SystemExit(err.read().decode())
        said = out.read().decode()
    return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)


def fill(behind: Path, manifest: bytes, id_: str, backups: int) -> None:
    """Backups of each hour, the newest now; each a manifest, a mark and an archive."""
    catalog, archives = behind / "catalog/h1/shop", behind / "archives/h1/shop"
    now = datetime.now(timezone.utc)
    for back in range(1, backups + 1):
        at = (now - timedelta(hours=back)).strftime("%Y%m%dT%H%M%SZ")
        new = "%s-hourly-%04x" % (at, back % 65536)
        (catalog / f"{new}.json").write_bytes(manifest.replace(id_.encode(), new.encode()))
        (catalog / f"{new}.intact-{at}").touch()
        (archives / new).mkdir()
        (archives / new / "db.database.sqlite.zst.age").touch()


def host_at(folder: Path, server: s3.Server) -> Host:
    host = Host(folder)
    host.fill(10)
    place = {"type": "s3", "bucket": BUCKET, "endpoint": server.endpoint, "region": s3.REGION}
    host.configuration["destinations"] = {"offsite": {**place, "credential": "s3"}}
    host.job.update(destinations=["offsite"], keep=KEEP)
    host.configure()
    kept = host.root / "config" / "credentials"
    kept.mkdir(mode=0o700)
    root = server.root
    keys = {"access_key_id": root["access_key"], "secret_access_key": root["secret_key"]}
    (kept / "s3").touch(mode=0o600)
    (kept / "s3").write_text(json.dumps(keys))
    return host


def measured(folder: Path, backups: int) -> dict[str, Any]:
    """{"list" and "prune": (listing, command), "told": backups that `list` told}."""
    with s3.Server(folder / "server") as server:
        s3.client(server.endpoint, server.root).create_bucket(Bucket=BUCKET)
        host = host_at(folder, server)
        id_ = host.run()
        behind = server.objects / BUCKET
        manifest = (behind / f"catalog/h1/shop/{id_}.json").read_bytes()
        fill(behind, manifest, id_, backups - 1)
        found: dict[str, Any] = {}
        for what, below, words in (
            ("list", ["catalog/h1/shop/"], ("list", "shop", "--json")),
            ("prune", ["catalog/h1/shop/", "archives/h1/shop/"], ("prune", "shop", "--json")),
        ):
            given = {"root": str(ROOT), "endpoint": server.endpoint, "key": server.root}
            code = LISTING.format(**given, prefixes=below, bucket=BUCKET)
            alone = watched([sys.executable, "-c", code])
            found[what] = (alone, watched(host.argv(*words)))
        return found


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    asked.add_argument("--backups", type=int, default=100_000)
    given = asked.parse_args()
    well = True
    with tempfile.TemporaryDirectory(prefix="lifeboat-listing-", dir="/var/tmp") as folder:
        found = measured(Path(folder), given.backups)
    print(f"{given.backups} backups of one job, in a bucket of versitygw")
    for what, (alone, whole) in found.items():
        beyond = whole.processor_s - alone.processor_s
        print(
            f"{what:6} {whole.wall_s:6.1f} s, of which the listing {alone.wall_s:6.1f} s;"
            f" beyond it {beyond:5.1f} s of processor (promised: {LIMIT_S[what]:.0f} s);"
            f" memory {whole.peak_mb:4.0f} MB (promised: {LIMIT_MB} MB)"
        )
        well = well and beyond <= LIMIT_S[what] and whole.peak_mb <= LIMIT_MB
    told = len(json.loads(found["list"][1].said))
    print(f"`list` tells of {told}")
    return 0 if well and told == given.backups else 1


if __name__ == "__main__":
    raise SystemExit(main())
