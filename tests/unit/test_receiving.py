# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiving host is told is checked, and leads to the retention of those that send."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lifeboat.cli.main import main
from lifeboat.errors import ConfigError
from lifeboat.receiving import load, parse

PLACE = {"type": "local", "path": "/srv/lifeboat/db1/backups"}


def told(**other: Any) -> dict[str, Any]:
    its = {
        "destinations": {"vault": PLACE},
        "jobs": {"shop": {"destinations": ["vault"], "schedule": "02:00", "keep": {"last": 3}}},
    }
    client = {"path": PLACE["path"], "group": "db1"}
    return {
        "version": 1,
        "host": "vault",
        "clients": {"db1": client},
        "hosts": {"db1": its},
        **other,
    }


def test_each_job_of_each_sender_has_its_own_retention() -> None:
    known = parse(told())
    assert [(one.name, one.path) for one in known.clients] == [("db1", PLACE["path"])]
    job = known.retention.prunes["db1"]["shop"]
    assert (job.host, job.prunes, job.keep.last) == ("db1", ("vault",), 3)


def test_a_sender_without_rules_has_those_of_its_environment() -> None:
    its = told()["hosts"]["db1"]
    del its["jobs"]["shop"]["keep"]
    job = parse(told(hosts={"db1": dict(its, environment="staging")})).retention.prunes["db1"][
        "shop"
    ]
    assert job.keep.within == timedelta(days=7)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"version": 2}, "version"),
        ({"clients": {"db1": {"path": "/x"}}}, "clients.db1.group"),
        ({"hosts": {"db1": {"destinations": {}, "jobs": {"shop": {}}}}}, "jobs.shop.destinations"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(told(**wrong))


def test_a_host_that_receives_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="receives nothing") as raised:
        load(tmp_path / "receiver.json")
    assert "backup_storage_clients" in raised.value.hint


def test_the_command_prunes_what_it_was_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "backups"
    (here / "catalog/db1/shop").mkdir(parents=True)
    for day in range(1, 6):
        id_ = f"202611{day:02}T020000Z-daily-000{day}"
        (here / f"catalog/db1/shop/{id_}.json").write_text("{}")
        (here / f"catalog/db1/shop/{id_}.intact-202611{day:02}T020100Z").touch()
    place = {"vault": {"type": "local", "path": str(here)}}
    its = dict(told()["hosts"]["db1"], destinations=place)
    (tmp_path / "config").mkdir()
    client = {"path": str(here), "group": "root"}
    known = told(clients={"db1": client}, hosts={"db1": its})
    (tmp_path / "config" / "receiver.json").write_text(json.dumps(known))
    assert main(["receiver", "prune", "--json"], "user", str(tmp_path)) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [one["job"] for one in planned] == ["db1/shop"]
    assert len(planned[0]["kept"]) >= 3
