# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket through the whole command: lost, brought back, taken back, killed in the middle."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host
from tests.integration.s3_bucket.conftest import Place

MIB = 1 << 20
GATE = ("--confirm", PHRASE, "--target-host", "h1")
# VmHWM and not getrusage, which begins with the size of the process that forked.
PEAK = """
import atexit, re, sys
atexit.register(lambda: sys.stderr.write(
    "peak=" + re.search("VmHWM:\\\\s+(\\\\d+)", open("/proc/self/status").read()).group(1)))
"""


class Documents:
    """A host with a job that protects the bucket's documents."""

    def __init__(self, base: Path, place: Place) -> None:
        self.place = place
        self.host = Host(base)
        secret = {
            "access_key_id": place.key["access_key"],
            "secret_access_key": place.key["secret_key"],
        }
        key = self.host.root / "config" / "credentials" / "docs_s3"
        key.parent.mkdir(mode=0o700)
        key.write_text(json.dumps(secret))
        key.chmod(0o600)
        self.secret = place.key["secret_key"]
        self.host.job["sources"] = {
            "docs": {
                "type": "s3_bucket",
                "endpoint": place.endpoint,
                "region": "us-east-1",
                "bucket": place.bucket,
                "credential": "docs_s3",
            }
        }
        self.host.configure()
        for number in range(30):
            place.put(
                f"folder {number % 3}/né {number}", b"x" * number, Metadata={"n": str(number)}
            )

    def held(self) -> dict[str, bytes]:
        return {key: one[0] for key, one in self.place.look().items()}

    def lose(self) -> dict[str, bytes]:
        self.place.remove(*self.place.keys()[3:])
        self.place.put("since", b"new")
        return self.held()

    def kept(self) -> list[Path]:
        return list((self.host.root / "state" / "restores").rglob("*"))


@pytest.fixture
def documents(tmp_path: Path, on_gateway: Place) -> Documents:
    return Documents(tmp_path, on_gateway)


def test_what_the_bucket_held_comes_back_and_goes_again(documents: Documents) -> None:
    before = documents.place.look()
    host = documents.host
    id_ = host.run()
    lost = documents.lose()

    restored = host.restore(id_)
    seen = documents.place.look()
    undone = host.lifeboat("undo", "shop", id_, *GATE)
    told = "".join(one.stdout + one.stderr for one in (restored, undone))

    assert restored.returncode == 0, restored.stderr
    assert seen == before
    assert undone.returncode == 0, undone.stderr
    assert documents.held() == lost
    assert documents.secret not in told
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert documents.kept() == []


_LOAD = """
import os
import lifeboat.sources.s3_bucket.load as s3_load, lifeboat.sources.s3_bucket.objects as s3_objects
real, done = s3_objects.Objects.put, []
def put(self, *words):
    real(self, *words)
    done.append(1)
    if len(done) == {count}:
        os.kill(os.getpid(), 9)
s3_objects.Objects.put = put
"""
_MOMENTS = {
    "while it is loaded": _LOAD.format(count=15),
    "when all is loaded": """
import os
import lifeboat.sources.s3_bucket.load as s3_load
s3_load.compare = lambda *words: os.kill(os.getpid(), 9)
""",
    "while what is there is saved": """
import os
import lifeboat.sources.s3_bucket.load as s3_load
s3_load.shutil.copyfileobj = lambda *words: os.kill(os.getpid(), 9)
""",
}


@pytest.mark.parametrize("moment", sorted(_MOMENTS))
def test_a_killed_restore_leaves_the_old_state_after_recovery(
    documents: Documents, moment: str
) -> None:
    id_ = documents.host.run()
    lost = documents.lose()

    killed = documents.host.restore(id_, before=_MOMENTS[moment])
    recovered = documents.host.lifeboat("recover")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert recovered.returncode == 0, recovered.stderr
    assert "the old state is in place" in recovered.stdout
    assert documents.held() == lost
    assert documents.kept() == []
    assert documents.host.left_over() == []


def test_an_undo_that_is_killed_is_completed(documents: Documents) -> None:
    id_ = documents.host.run()
    lost = documents.lose()
    assert documents.host.restore(id_).returncode == 0

    words = ("undo", "shop", id_, *GATE)
    killed = documents.host.lifeboat(*words, before=_LOAD.format(count=2))
    recovered = documents.host.lifeboat("recover")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert recovered.returncode == 0, recovered.stderr
    assert documents.held() == lost


def test_64_mb_go_through_in_bounded_memory(documents: Documents) -> None:
    content = bytes(range(256)) * (256 << 10)
    documents.place.put("large", content)

    done = documents.host.lifeboat("run", "shop", "--json", before=PEAK)
    documents.place.put("large", b"lost")
    restored = documents.host.restore(json.loads(done.stdout)["id"], before=PEAK)

    assert restored.returncode == 0, restored.stderr
    assert len(content) == 64 * MIB
    assert documents.place.one("large")[0] == content
    peaks = [int(re.findall(r"peak=(\d+)", one.stderr)[0]) for one in (done, restored)]
    assert max(peaks) < 150 << 10, peaks  # KiB


def test_backups_may_not_lie_in_what_a_restore_replaces(documents: Documents) -> None:
    source = documents.host.job["sources"]["docs"]
    offsite = {key: value for key, value in source.items() if key != "type"}
    documents.host.configuration["destinations"]["offsite"] = {
        "type": "s3", "prefix": "backups", **offsite
    }  # fmt: skip
    documents.host.job["destinations"] = ["disk", "offsite"]
    documents.host.configure()

    refused = documents.host.lifeboat("run", "shop")
    source["prefix"] = "folder 1"
    documents.host.configure()

    assert refused.returncode == 2
    assert "sources.docs: " in refused.stderr
    assert "holds the destination offsite" in refused.stderr
    assert documents.host.lifeboat("run", "shop").returncode == 0


def test_an_absent_bucket_is_no_failure_where_it_is_optional(documents: Documents) -> None:
    source = documents.host.job["sources"]["docs"]
    documents.host.job["sources"]["db"] = {"type": "sqlite", "path": str(documents.host.database)}
    documents.host.fill(3)
    source["bucket"] = "b-gone"
    documents.host.configure()
    failed = documents.host.lifeboat("run", "shop")
    source["optional"] = True
    documents.host.configure()

    assert failed.returncode == 3
    assert "there is no bucket b-gone" in failed.stderr
    assert documents.host.lifeboat("run", "shop").returncode == 0
