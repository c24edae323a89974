# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong once all archives are stored, before the manifest is: no backup there until the next push."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import make_bucket
from tests.integration.sftp.places import options
from tests.lab import s3 as s3_lab
from tests.lab import sftp as sftp_lab

from .test_mended import copies
from .test_three_copies import give, key_of

PAUSE = """
import time
from pathlib import Path
from lifeboat.operations.backup import lanes
from lifeboat.destinations.{module}.destination import {name} as Kind
lanes._PAUSE_S = 0.1
put = Kind.put
def at_the_manifest(self, key, content):
    if key.endswith(".json"):
        Path({base!r}, "there").touch()
        for _moment in range(600):
            if Path({base!r}, "go").exists():
                break
            time.sleep(0.05)
    put(self, key, content)
Kind.put = at_the_manifest
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path, name="db1")
    made.fill(100)
    made.job["destinations"] = ["disk", "second"]
    return made


def ran(host: Host, kind: tuple[str, str], meanwhile: Callable[[], None]) -> str:
    """Runs; what was told of the copy that was lost."""

    def wait() -> None:
        for _moment in range(600):
            if (host.base / "there").exists():
                break
            time.sleep(0.05)
        meanwhile()
        (host.base / "go").touch()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    before = PAUSE.format(module=kind[0], name=kind[1], base=str(host.base))
    done = host.lifeboat("run", "shop", "--json", before=before)
    waiting.join()
    assert done.returncode == 3, done.stderr
    told = {one["name"]: one for one in json.loads(done.stdout)["destinations"]}
    assert (told["disk"]["state"], told["second"]["state"]) == ("intact", "lost")
    return str(told["second"]["error"])


def pushed_whole(host: Host) -> None:
    done = host.lifeboat("push", "shop", "--missing")
    assert done.returncode == 0, done.stdout + done.stderr
    (there,) = copies(host).values()
    assert there == {"disk": "intact", "second": "intact"}
    shutil.rmtree(host.disk)
    host.disk.mkdir()
    assert host.restore("latest").returncode != 0  # in production by its id only
    (id_,) = copies(host)
    assert host.restore(id_).returncode == 0


def test_a_key_that_is_revoked_before_the_manifest(host: Host, gateway: s3_lab.Server) -> None:
    """Nobody can take the archives back then; they are in nobody's way."""
    rights = {"host": {"read": [""], "write": [""], "delete": [""]}}
    bucket = make_bucket(gateway, **rights)
    place = {"type": "s3", "bucket": bucket.name, "endpoint": bucket.endpoint}
    host.configuration["destinations"]["second"] = {**place, "credential": "second"}
    host.configure()
    give(host, {"second": key_of(bucket, "host")})
    key = bucket.others["host"]

    def revoke() -> None:
        s3_lab.remove_user(gateway.endpoint, gateway.root, key["access_key"])

    assert "is refused" in ran(host, ("s3", "S3"), revoke)
    users = {"host": {**key, "read": [""], "write": [""], "delete": [""]}}
    s3_lab.provision(gateway.endpoint, gateway.root, {"bucket": bucket.name, "users": users})
    there = bucket.owner.list_objects_v2(Bucket=bucket.name)["Contents"]
    names = [one["Key"] for one in there]
    assert any(name.startswith("archives/") for name in names)
    assert not any(name.endswith(".json") for name in names)
    pushed_whole(host)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = Path("/run") / f"lifeboat-small-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def test_a_quota_that_is_reached_at_the_manifest(host: Host, small_disk: Path) -> None:
    if why := sftp_lab.missing("sshd"):
        pytest.skip(why)
    with sftp_lab.OpenSSH(small_disk) as server:
        (server.files / "attic").mkdir()
        shutil.chown(server.files / "attic", server.user)
        place = options(server, "attic", type="sftp", credential="second")
        host.configuration["destinations"]["second"] = place
        host.configure()
        give(host, {"second": server.key})
        filler = small_disk / "filler"

        def fill() -> None:
            with open(filler, "wb", buffering=0) as out, pytest.raises(OSError, match="space"):
                while True:
                    out.write(b"x" * 4096)

        told = ran(host, ("sftp", "SFTP"), fill)
        assert "no space left" in told or "takes no more" in told
        attic = server.files / "attic"
        assert not [one for one in attic.rglob("*") if one.name.endswith(".json")]
        assert not list(attic.rglob(".*"))
        filler.unlink()
        pushed_whole(host)
