"""A pruner host deletes, by each host's own rules, what that host itself cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from tests.integration.roles.inventory import ROOT, Ran, Site, job
from tests.lab import s3 as lab

HOST = {"access_key": "db1", "secret_key": "secret-of-the-host"}
PRUNER = {"access_key": "pruner", "secret_key": "secret-of-the-pruner"}
MINE = ["catalog/db1/", "archives/db1/"]


class Fleet:
    """db1, which makes backups, and vault, which prunes them: both this machine, in user scope."""

    def __init__(self, site: Site, server: lab.Server) -> None:
        self.site, self.folder, self.server = site, site.folder, server
        users = {
            "host": {**HOST, "read": MINE, "write": MINE},
            "pruner": {**PRUNER, "read": MINE, "write": MINE, "delete": MINE},
        }
        layout = {"bucket": "vault", "users": users}
        lab.provision(server.endpoint, server.root, layout)
        variables = {
            **site.variables,
            "lifeboat_encryption": {"none": True},
            "lifeboat_pruner": "vault",
            "lifeboat_destinations": {
                "offsite": {
                    "type": "s3",
                    "bucket": "vault",
                    "endpoint": server.endpoint,
                    "credential": "host_s3",
                    "pruner": {"credential": "prune_s3"},
                }
            },
        }
        del variables["lifeboat_jobs"], variables["lifeboat_root"]
        both = {"ansible_connection": "local"}
        hosts = {
            "db1": {
                **both,
                "lifeboat_root": str(self.folder / "db1"),
                "lifeboat_jobs": {"shop": {**job(self.folder, "offsite"), "keep": {"last": 2}}},
                "lifeboat_credentials_host": {"host_s3": _key(HOST)},
            },
            "vault": {
                **both,
                "lifeboat_root": str(self.folder / "vault"),
                "lifeboat_credentials_prune": {"prune_s3": _key(PRUNER)},
            },
        }
        inventory = {"all": {"hosts": hosts, "vars": variables}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))

    def play(self, name: str, *words: str) -> Ran:
        program = str(Path(sys.executable).parent / "ansible-playbook")
        return self.site._ran(
            [program, "-i", "inventory.yml", str(ROOT / "playbooks" / f"{name}.yml"), *words]
        )

    def lifeboat(self, host: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / host / "bin" / "lifeboat"), *words],
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder / "units")},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ids(self) -> list[str]:
        told = self.lifeboat("db1", "list", "shop", "--json")
        return [one["id"] for one in json.loads(told.stdout)]

    def config(self, host: str) -> dict[str, Any]:
        path = self.folder / host / "config" / "config.json"
        read: dict[str, Any] = json.loads(path.read_text())
        return read


def _key(user: dict[str, str]) -> dict[str, str]:
    return {"access_key_id": user["access_key"], "secret_access_key": user["secret_key"]}


@pytest.fixture
def fleet(site: Site) -> Any:
    try:
        server = lab.Server(site.folder / "server")
    except lab.Unavailable as why:
        pytest.skip(str(why))
    with server:
        yield Fleet(site, server)


@pytest.mark.nightly  # each time: s3/test_s3_prune.py, rescue/test_undecided.py
def test_a_pruner_host_prunes_what_the_others_may_only_append_to(fleet: Fleet) -> None:
    ran = fleet.play("site")
    assert ran.status == 0, ran.output[-3000:]

    # each knows what it needs, and no more
    assert "pruner" not in json.dumps(fleet.config("db1")["destinations"])
    assert fleet.config("db1")["prunes"] is None
    assert PRUNER["secret_key"] not in _everything(fleet.folder / "db1")
    seen = fleet.config("vault")["prunes"]["hosts"]["db1"]
    assert seen["jobs"] == {
        "shop": {"destinations": ["offsite"], "schedule": "02:00", "keep": {"last": 2}}
    }
    assert seen["destinations"]["offsite"]["credential"] == "prune_s3"
    assert HOST["secret_key"] not in _everything(fleet.folder / "vault")
    timer = fleet.folder / "units" / "systemd" / "user" / "lifeboat-prune.timer"
    assert "OnCalendar=04:30 UTC" in timer.read_text()

    for type_ in ("one", "two", "three"):
        assert fleet.lifeboat("db1", "run", "shop", "--type", type_).returncode == 0
    ids = fleet.ids()
    assert len(ids) == 4

    # the host cannot, and does not try
    tried = fleet.lifeboat("db1", "prune", "shop", "--apply")
    assert tried.returncode == 0, tried.stderr
    assert "append only, pruned by vault" in tried.stderr
    with pytest.raises(ClientError, match="AccessDenied"):
        lab.client(fleet.server.endpoint, HOST).delete_object(
            Bucket="vault", Key=f"catalog/db1/shop/{ids[-1]}.json"
        )
    assert fleet.ids() == ids

    # the plan, then exactly that
    planned = fleet.play("prune")
    assert planned.status == 0, planned.output[-3000:]
    assert ids[2] in planned.output
    assert fleet.ids() == ids
    applied = fleet.play("prune", "-e", "apply=true")
    assert applied.status == 0, applied.output[-3000:]
    assert fleet.ids() == ids[:2]

    # by its timer, and by hand
    again = fleet.lifeboat("vault", "prune", "--all-hosts", "--apply")
    assert (again.returncode, again.stdout) == (0, "nothing to prune\n")
    shown = fleet.lifeboat("vault", "prune", "--from-host", "db1", "shop")
    assert "db1/shop at offsite:\n  policy  last 2, minimum 1" in shown.stdout
    other = fleet.lifeboat("vault", "prune", "--from-host", "db9")
    assert other.returncode == 2
    assert "does not prune for 'db9'" in other.stderr


def _everything(folder: Path) -> str:
    """All files of a host; its libraries hold no secret."""
    found = [path for path in folder.rglob("*") if path.is_file() and "software" not in path.parts]
    return "".join(path.read_text(errors="replace") for path in found)
