# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill host learns what it restores for other hosts, and nothing else of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.backup.plugins.filter.drilled_jobs import drilled_jobs
from lifeboat import config
from lifeboat.model import Secret

OFFSITE = {"type": "s3", "bucket": "acme", "credential": "acme_s3"}
PLACES = {"disk": {"type": "local", "path": "/var/backups"}, "offsite": OFFSITE}
DB = {"type": "postgresql", "database": "shop"}
SHOP = {
    "sources": {"db": {**DB, "password": {"credential": "shop_db"}}},
    "destinations": ["disk", "offsite"],
    "schedule": "02:00",
    "objectives": {"rto": "30m"},
    "drills": {"daily": {"at": "05:00", "what": "random"}},
}
DRILLED = {
    "sources": {"db": DB},
    "destinations": ["offsite"],
    "objectives": {"rto": "30m"},
    "environment": "production",
    "drill": {"identity": {"credential": "drill_key"}, "hosts": ["db1"]},
    "drills": {"daily": {"at": "05:00", "what": "random"}},
}


def host(**jobs: Any) -> dict[str, Any]:
    return {
        "lifeboat_drill_host": "cellar",
        "lifeboat_destinations": PLACES,
        "lifeboat_jobs": {"shop": SHOP, **jobs},
    }


CELLAR = {"lifeboat_drill_host": "cellar", "lifeboat_destinations": PLACES}


def on_cellar(jobs: Any = None, **hosts: Any) -> dict[str, Any]:
    return drilled_jobs(jobs or {}, {"cellar": CELLAR, **hosts}, "cellar")


def test_a_job_is_drilled_where_the_drill_host_reaches_it_without_its_secrets() -> None:
    assert on_cellar(db1=host()) == {"shop": DRILLED}


def test_a_secret_in_an_environment_stays_away_from_the_drill_host_too() -> None:
    app = {"type": "command", "dump": ["dump"], "env": {"PW": {"credential": "app"}, "LANG": "C"}}
    told = on_cellar(db1=host(app={**SHOP, "sources": {"app": app}}))
    assert told["app"]["sources"] == {"app": {**app, "env": {"LANG": "C"}}}


def test_a_host_that_another_one_drills_for_does_not_drill_itself() -> None:
    db1 = host()
    told = drilled_jobs(db1["lifeboat_jobs"], {"cellar": CELLAR, "db1": db1}, "db1")
    assert told == {"shop": {key: value for key, value in SHOP.items() if key != "drills"}}


def test_without_a_drill_host_nothing_changes() -> None:
    assert drilled_jobs({"shop": SHOP}, {"db1": {}}, "db1") == {"shop": SHOP}


def test_one_job_stands_for_all_hosts_that_have_it() -> None:
    told = on_cellar(db1=host(), db2={**host(), "lifeboat_host": "second"})
    hosts = ["db1", "second"]
    assert told == {"shop": {**DRILLED, "drill": {**DRILLED["drill"], "hosts": hosts}}}


def test_a_drill_host_drills_its_own_jobs_too_and_goes_on_backing_them_up() -> None:
    told = on_cellar({"shop": SHOP}, db1=host())["shop"]
    assert told["drill"]["hosts"] == ["cellar", "db1"]
    assert (told["schedule"], told["destinations"]) == ("02:00", ["disk", "offsite"])


@pytest.mark.parametrize(
    "own", [{"drill": {"identity": {"credential": "mine"}}}, {"drills": {}}], ids=str
)
def test_a_job_with_a_key_of_its_own_or_no_drills_is_left_alone(own: Any) -> None:
    db1 = {**host(), "lifeboat_jobs": {"shop": {**SHOP, **own}}}
    assert on_cellar(db1=db1) == {}
    assert drilled_jobs(db1["lifeboat_jobs"], {"db1": db1}, "db1") == db1["lifeboat_jobs"]


def test_what_lies_on_another_hosts_disk_only_is_not_drilled() -> None:
    db1 = {**host(), "lifeboat_jobs": {"shop": {**SHOP, "destinations": ["disk"]}}}
    assert on_cellar(db1=db1) == {}


def test_jobs_without_drills_get_one_a_week_apart_from_each_other() -> None:
    plain = {key: value for key, value in SHOP.items() if key != "drills"}
    told = on_cellar(db1={**host(), "lifeboat_jobs": {}, "lifeboat_jobs_more": {"shop": plain}})
    assert told["shop"]["drills"] == {"weekly": {"at": "Sun 05:00", "spread": "6h"}}


@pytest.mark.parametrize("own", [{}, {"shop": {**SHOP, "drills": {}}}], ids=["other", "own"])
def test_two_different_jobs_of_one_name_are_refused(own: Any) -> None:
    other = {"shop": {**SHOP, "sources": {"db": {**DB, "database": "wiki"}}}}
    with pytest.raises(AnsibleFilterError, match=r"job shop is not the same on db[12] as on"):
        on_cellar(own, db1=host(), db2={**host(), "lifeboat_jobs": other})


def test_what_was_written_by_hand_stands() -> None:
    mine = {"shop": {**DRILLED, "drill": {"hosts": ["db1"], "identity": {"credential": "k"}}}}
    assert on_cellar(mine, db1=host()) == mine


def test_the_engine_takes_what_is_rendered() -> None:
    told = on_cellar(db1=host(), db2=host())
    top = {"version": 1, "host": "cellar", "encryption": {"none": True}}
    made = config.parse(
        {**top, "destinations": {"offsite": OFFSITE}, "jobs": told}, lambda name: Secret.of(name)
    )
    job = made.jobs["shop"]
    assert (job.drilling.hosts, job.only_drilled) == (("db1", "db2"), True)
    assert made.drill_credentials["shop"] == ("drill_key",)
    assert made.credentials["shop"] == ("acme_s3",)
