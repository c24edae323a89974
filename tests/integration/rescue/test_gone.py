# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes away while it is wanted: the network in the middle of a fetch, and a backup that has expired."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.integration.s3_bucket.cutter import Cutter
from tests.lab import s3 as lab

from .host import Host

MIB = 1 << 20


@pytest.fixture
def offsite(host: Host, tmp_path: Path) -> lab.Server:
    """The host's only backups lie on a real S3 server; 6 MiB that do not compress."""
    try:
        server = lab.Server(tmp_path / "server")
    except lab.Unavailable as why:
        pytest.skip(str(why))
    host.configuration["destinations"]["offsite"] = {
        "type": "s3",
        "bucket": "vault",
        "region": lab.REGION,
        "endpoint": server.endpoint,
        "credential": "s3",
    }
    host.job["destinations"] = ["offsite"]
    (host.data / "blobs").mkdir()
    (host.data / "blobs" / "one").write_bytes(os.urandom(6 * MIB))
    host.job["sources"]["blobs"] = {"type": "files", "paths": [str(host.data / "blobs")]}
    host.configure()
    secrets = host.root / "config" / "credentials"
    secrets.mkdir(mode=0o700)
    keys = {
        "access_key_id": server.root["access_key"],
        "secret_access_key": server.root["secret_key"],
    }
    (secrets / "s3").write_text(json.dumps(keys))
    (secrets / "s3").chmod(0o600)
    return server


def through(host: Host, endpoint: str) -> None:
    host.configuration["destinations"]["offsite"]["endpoint"] = endpoint
    host.configure()


def test_a_network_that_breaks_in_the_fetch_is_picked_up_or_leaves_the_old_state(
    host: Host, offsite: lab.Server
) -> None:
    with offsite:
        lab.client(offsite.endpoint, offsite.root).create_bucket(Bucket="vault")
        id_ = host.run()
        host.fill(7)

        with Cutter(offsite.port, [3 * MIB] * 200) as cutter:  # it never gets through
            through(host, cutter.endpoint)
            broken = host.restore(id_)
            assert cutter.made_cuts > 0
        assert broken.returncode == 1, broken.stderr
        assert "offsite" in broken.stderr
        assert "Traceback" not in broken.stderr
        assert host.rows() == 7
        assert host.left_over() == [str(host.data / "blobs" / "one")]
        history = (host.root / "state" / "log" / "history.jsonl").read_text().splitlines()
        last = json.loads(history[-1])
        assert (last["event"], last["id"], last["exit_code"]) == ("restore", id_, 1)

        with Cutter(offsite.port, [3 * MIB]) as cutter:  # it breaks once
            through(host, cutter.endpoint)
            again = host.restore(id_)
            assert cutter.made_cuts == 1
        assert again.returncode == 0, again.stderr
        assert host.rows() == 1000


def test_a_backup_that_has_expired_is_named_as_gone(host: Host) -> None:
    host.job["keep"] = {"last": 1, "minimum": 1}
    host.configure()
    gone, kept = host.run(), host.run()
    assert host.lifeboat("prune", "shop", "--apply").returncode == 0
    done = host.restore(gone)
    assert done.returncode == 2
    assert f"job shop has no backup {gone}" in done.stderr
    assert "`lifeboat list shop` shows those there are" in done.stderr
    assert host.restore(kept).returncode == 0
