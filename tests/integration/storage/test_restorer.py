# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore with the identity that may only read: what it cannot say to a pruner, the operator is told."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.rescue.host import PHRASE, Host
from tests.integration.s3.conftest import Bucket


def use(host: Host, bucket: Bucket, who: str) -> None:
    keys = bucket.others[who]
    folder = host.root / "config" / "credentials"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = {"access_key_id": keys["access_key"], "secret_access_key": keys["secret_key"]}
    (folder / "offsite").write_text(json.dumps(key))
    (folder / "offsite").chmod(0o600)


def test_a_restore_with_a_read_only_identity_says_that_no_pruner_waits_for_it(
    kept: Bucket, tmp_path: Path
) -> None:
    host = Host(tmp_path, "db1")
    host.fill(10)
    place = {"type": "s3", "bucket": kept.name, "endpoint": kept.endpoint, "region": "us-east-1"}
    host.configuration["destinations"] = {
        "offsite": {**place, "credential": "offsite", "mode": "append_only"}
    }
    host.job["destinations"] = ["offsite"]
    host.configure()
    use(host, kept, "db1")
    id_ = host.run()
    host.fill(3)
    use(host, kept, "restorer")

    done = host.restore(id_, "--json")

    assert done.returncode == 0, done.stderr
    assert host.rows() == 10
    assert json.loads(done.stdout)["unheld"] == ["offsite"]
    assert "offsite is NOT held" in done.stderr
    assert "systemctl stop lifeboat-prune.timer" in done.stderr
    assert f"`lifeboat pin {id_}`" in done.stderr
    confirmed = host.lifeboat("confirm", "shop")
    assert confirmed.returncode == 0, confirmed.stderr
    listed = kept.owner.list_objects_v2(Bucket=kept.name, Prefix="catalog/")["Contents"]
    assert [one["Key"] for one in listed if "restored" in one["Key"]] == []

    use(host, kept, "db1")  # who may write there is held, and says nothing
    told = host.restore(id_, "--json")
    assert json.loads(told.stdout)["unheld"] == []
    assert "NOT held" not in told.stderr
    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "db1")
    assert undone.returncode == 0, undone.stderr
