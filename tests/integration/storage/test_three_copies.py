# SPDX-License-Identifier: GPL-3.0-or-later
"""A host, its disk, a bucket that it may only add to, and a server that seals: what the command does there.

molecule/copies tells the same on real hosts that the roles made.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest
from lifeboat.operations.upkeep.seal import seal

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket
from tests.integration.sftp.places import behind, options
from tests.lab import sftp as lab

EVERYWHERE = {"disk": "intact", "offsite": "intact", "vault": "intact"}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def vault(openssh: lab.Server) -> Path:
    """The directory of the host at the server that seals."""
    folder = behind(openssh, f"v-{secrets.token_hex(4)}")
    folder.mkdir()
    shutil.chown(folder, openssh.user)
    return folder


@pytest.fixture
def host(tmp_path: Path, openssh: lab.Server, vault: Path, kept: Bucket) -> Host:
    made = Host(tmp_path, name="db1")
    made.fill(1000)
    made.configuration["destinations"].update(
        offsite={
            "type": "s3",
            "bucket": kept.name,
            "endpoint": kept.endpoint,
            "credential": "s3",
            "mode": "append_only",
        },
        vault=options(openssh, vault.name, type="sftp", credential="ssh", mode="append_only"),
    )
    made.job.update(destinations=["disk", "offsite", "vault"], keep={"last": 1})
    made.configure()
    give(made, {"s3": key_of(kept, "db1"), "ssh": openssh.key})
    return made


def sealed(vault: Path) -> None:
    done = seal("db1", str(vault), pwd.getpwnam("nobody").pw_gid)
    assert (done.failure, done.busy) == ("", [])


def checked(host: Host) -> tuple[int, dict[str, bool]]:
    done = host.lifeboat("destination", "check", "--json")
    return done.returncode, {
        one["destination"]: one["protected"] for one in json.loads(done.stdout)
    }


def copies(host: Host) -> dict[str, dict[str, str]]:
    told = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    return {one["id"]: one["copies"] for one in told}


@pytest.fixture
def receiver(host: Host, vault: Path, kept: Bucket) -> Host:
    """The server that seals; it is also the pruner of the bucket, with an identity of its own."""
    made = Host(host.base, name="vault")
    job = {"schedule": "02:00", "keep": {"last": 1}}

    def its(destination: str, place: dict[str, Any]) -> dict[str, Any]:
        jobs = {"shop": {**job, "destinations": [destination]}}
        return {"db1": {"destinations": {destination: place}, "jobs": jobs}}

    here = its("vault", {"type": "local", "path": str(vault)})
    known = {"version": 1, "host": "vault", "clients": {}, "hosts": here}
    (made.root / "config" / "receiver.json").write_text(json.dumps(known))
    bucket = {**host.configuration["destinations"]["offsite"], "credential": "prune"}
    made.configuration["prunes"] = {"at": "daily", "hosts": its("offsite", bucket)}
    made.configure()
    give(made, {"prune": key_of(kept, "pruner")})
    return made


def give(host: Host, credentials: dict[str, Any]) -> None:
    store = host.root / "config" / "credentials"
    store.mkdir(mode=0o700, exist_ok=True)
    for name, value in credentials.items():
        (store / name).touch(mode=0o600)
        (store / name).write_text(json.dumps(value))


def key_of(bucket: Bucket, who: str) -> dict[str, str]:
    key = bucket.others[who]
    return {"access_key_id": key["access_key"], "secret_access_key": key["secret_key"]}


def told(host: Host, *words: str) -> Any:
    done = host.lifeboat(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_three_copies_two_of_them_beyond_the_hosts_reach(
    host: Host, vault: Path, receiver: Host
) -> None:
    first = host.run()
    assert copies(host) == {first: EVERYWHERE}

    # -- what is claimed is tried: nothing is sealed yet, and the claim is refuted
    status, protected = checked(host)
    assert (status, protected) == (1, {"disk": False, "offsite": True, "vault": False})
    sealed(vault)
    status, protected = checked(host)
    assert (status, protected) == (0, {"disk": False, "offsite": True, "vault": True})

    # -- the host goes on: new ids, and marks beside what is sealed
    host.fill(2000)
    second = host.run()
    assert host.lifeboat("tag", first, "kept").returncode == 0
    sealed(vault)
    assert copies(host) == {first: EVERYWHERE, second: EVERYWHERE}

    # -- the host lets its own copies go; elsewhere the receiver and the pruner do
    third = host.run()
    sealed(vault)
    assert host.lifeboat("prune", "shop", "--apply").returncode == 0
    assert copies(host)[second] == {"disk": "pruned", "offsite": "intact", "vault": "intact"}
    planned = told(receiver, "receiver", "prune")
    assert [one["id"] for one in planned[0]["expired"]] == [second]  # the first has a tag
    told(receiver, "receiver", "prune", "--apply")
    told(receiver, "prune", "--all-hosts", "--apply")
    assert second not in copies(host)
    assert copies(host)[first] == copies(host)[third] == EVERYWHERE

    # -- each of them brings everything back
    for place in ("disk", "offsite", "vault"):
        host.fill(5)
        done = host.restore(third, "--at", place)
        assert done.returncode == 0, done.stderr
        assert host.rows() == 2000
        assert host.lifeboat("confirm", "shop").returncode == 0
