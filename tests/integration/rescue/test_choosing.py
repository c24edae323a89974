# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to say which backup, which copy and which part of it is meant, on the command and in a playbook."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.integration.roles.conftest import site
from tests.integration.roles.inventory import Site

from .host import Host

__all__ = ["site"]


class Shop:
    """Five backups, oldest first: weekly, weekly, tagged, daily, and one that proved corrupt."""

    def __init__(self, base: Path) -> None:
        self.host = host = Host(base)
        (host.data / "uploads").mkdir()
        (host.data / "uploads" / "one.txt").write_text("1")
        host.job["sources"]["uploads"] = {"type": "files", "paths": [str(host.data / "uploads")]}
        host.configuration["destinations"]["other"] = {"type": "local", "path": str(base / "other")}
        (base / "other").mkdir()
        host.job["destinations"] = ["disk", "other"]
        host.configure()
        words = [
            ("--type", "weekly"),
            ("--type", "weekly"),
            ("--tag", "v1", "--type", "predeploy"),
            ("--type", "daily"),
            ("--type", "daily"),
        ]
        self.ids = []
        for rows, one in enumerate(words, 1):
            host.fill(rows)
            self.ids.append(host.run(*one))
            time.sleep(1)
        for place in (host.disk, base / "other"):
            for archive in place.glob(f"archives/*/*/{self.ids[4]}/db.database*"):
                archive.write_bytes(b"not an archive")
        assert host.lifeboat("verify", self.ids[4]).returncode == 1

    def instant(self, number: int) -> str:
        """Of the backup: 20261121T020000Z."""
        return self.ids[number].partition("-")[0]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("choosing"))


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ([], 3),
        (["{id1}"], 1),
        (["--tag", "v1"], 2),
        (["--type", "weekly"], 1),
        (["--type", "weekly", "--index", "2"], 0),
        (["--index", "2"], 2),
        (["--as-of", "{at1}"], 1),
        (["--as-of", "{at2}", "--type", "weekly", "--index", "1"], 1),
        (["--at", "other"], 3),
    ],
)
def test_the_command_takes_the_backup_that_is_meant(
    shop: Shop, words: list[str], number: int
) -> None:
    names = {"id1": shop.ids[1], "at1": shop.instant(1), "at2": shop.instant(2)}
    words = [one.format(**names) for one in words]
    done = shop.host.lifeboat("restore", "shop", *words, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["id"] == shop.ids[number]
    assert told["destination"] == ("other" if "--at" in words else "disk")
    if not words:
        assert f"the newest backup, {shop.ids[4]}, is corrupt" in told["remark"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--type", "weekly", "--index", "3"], "no good backup"),
        (["--index", "0"], "1 is the newest"),
        (["--as-of", "yesterday"], "'yesterday' is not a time"),
        (["--as-of", "2001-01-01"], "no good backup"),
        (["--at", "moon"], "moon"),
        (["--only", "dbb"], "has no source dbb"),
        (["--only", "db", "--path", "one.txt"], "in place of others"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    shop: Shop, words: list[str], said: str
) -> None:
    done = shop.host.lifeboat("restore", "shop", *words, "--dry-run")
    told = done.stderr + done.stdout
    assert said in told
    assert "Traceback" not in told
    assert done.returncode == (6 if "refused: " in told else 2)


def test_one_source_and_one_path_of_a_named_copy_come_back(shop: Shop, tmp_path: Path) -> None:
    host = shop.host
    hidden = shutil.move(str(host.disk), str(host.disk) + ".hidden")
    try:
        into, at = ("--into", str(tmp_path / "look.db")), ("--at", "other")
        done = host.restore(shop.ids[1], "--only", "db", *at, *into)
        assert done.returncode == 0, done.stderr
        (host.data / "uploads" / "one.txt").write_text("spoilt")
        (host.data / "uploads" / "two.txt").write_text("came since")
        done = host.restore(shop.ids[1], "--only", "uploads", *at, "--path", "one.txt", "--merge")
        assert done.returncode == 0, done.stderr
    finally:
        shutil.move(hidden, str(host.disk))
    assert (tmp_path / "look.db").stat().st_size > 0
    assert host.rows() == 5  # the live one was not meant
    assert (host.data / "uploads" / "one.txt").read_text() == "1"
    assert (host.data / "uploads" / "two.txt").read_text() == "came since"
    assert host.lifeboat("confirm", "shop").returncode == 0


CHOICES = [
    ({}, 3),
    ({"restore_backup": "{id1}"}, 1),
    ({"restore_tag": "v1"}, 2),
    ({"restore_type": "weekly"}, 1),
    ({"restore_type": "weekly", "restore_index": 2}, 0),
    ({"restore_as_of": "{at1}", "restore_at": "other"}, 1),
]


def test_the_role_takes_the_backup_that_is_meant(shop: Shop, site: Site) -> None:
    names = {"id1": shop.ids[1], "at1": shop.instant(1)}
    tasks = [
        {
            "ansible.builtin.include_role": {"name": "lifeboat.backup.restore"},
            "vars": {
                "restore_job": "shop",
                **{k: v.format(**names) if isinstance(v, str) else v for k, v in chosen.items()},
            },
        }
        for chosen, _number in CHOICES
    ]
    host = shop.host
    site.variables["lifeboat_root"] = str(host.root)
    site.variables["lifeboat_jobs"] = {"shop": host.job}
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    (site.folder / "choices.yml").write_text(yaml.safe_dump(play))
    inventory = {"all": {"hosts": {"h1": {"ansible_connection": "local"}}, "vars": site.variables}}
    (site.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    ran = site._ran([program, "-i", "inventory.yml", "choices.yml", "--check"])
    assert ran.status == 0, ran.output[-3000:]
    shown = [one.split(",")[0] for one in ran.output.split("from backup ")[1:]]
    assert shown == [shop.ids[number] for _chosen, number in CHOICES]


def test_a_destination_that_cannot_be_asked_is_told_of_for_it_may_hold_a_newer_backup(
    host: Host,
) -> None:
    nas = host.base / "nas"
    nas.mkdir()
    host.configuration["destinations"]["nas"] = {"type": "local", "path": str(nas)}
    host.job["destinations"] = ["disk", "nas"]
    host.configure()
    id_ = host.run()
    host.disk.rename(host.base / "away")

    latest = host.lifeboat("restore", "shop", "--dry-run")
    named = host.lifeboat("restore", "shop", id_, "--dry-run")

    assert latest.returncode == named.returncode == 0
    assert "disk could not be asked, and may hold a newer backup" in latest.stdout
    assert "could not be asked" not in named.stdout
