# SPDX-License-Identifier: GPL-3.0-or-later
"""A pruner host learns what every host keeps and where, and nothing else of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.backup.plugins.filter.pruned_hosts import JOB_KEYS, pruned_hosts
from lifeboat import config
from lifeboat.configuring.adapters import append_only
from lifeboat.configuring.pruner import PRUNED_JOB
from lifeboat.configuring.reading import Reading
from lifeboat.errors import ConfigError
from lifeboat.model import Secret

OFFSITE = {"type": "s3", "bucket": "acme", "credential": "acme_s3", "keep": {"daily": 60}}


def host(**changes: Any) -> dict[str, Any]:
    return {
        "lifeboat_pruner": "vault",
        "lifeboat_environment": "staging",
        "lifeboat_destinations": {
            "disk": {"type": "local", "path": "/var/backups"},
            "offsite": OFFSITE,
            "unused": {"type": "s3", "bucket": "other"},
        },
        "lifeboat_jobs": {
            "shop": {
                "sources": {"db": {"type": "postgresql", "password": {"credential": "shop_db"}}},
                "destinations": ["disk", "offsite"],
                "schedules": {"daily": {"at": "02:00", "sources": ["db"], "keep": {"last": 7}}},
            }
        },
        **changes,
    }


def test_a_job_is_rendered_with_its_rules_and_without_its_sources() -> None:
    told = pruned_hosts({"db1": host(), "web1": {"lifeboat_jobs": {}}}, "vault")
    assert told == {
        "db1": {
            "environment": "staging",
            "destinations": {"offsite": {**OFFSITE, "credential": "pruner"}},
            "jobs": {
                "shop": {
                    "destinations": ["offsite"],
                    "schedules": {"daily": {"at": "02:00", "sources": ["db"], "keep": {"last": 7}}},
                }
            },
        }
    }


def test_a_pruner_knows_who_signs_for_each_host() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"
    told = pruned_hosts({"db1": host(lifeboat_signers=[key]), "db2": host()}, "vault")
    made = config.parse(_vault(told), lambda name: Secret.of(name))
    signers = {name: jobs["shop"].signers for name, jobs in made.prunes.items()}
    assert signers == {"db1": (key,), "db2": ()}


def test_a_destination_that_prunes_itself_is_left_out() -> None:
    places = host()["lifeboat_destinations"]
    attic = {"type": "sftp", "host": "attic", "mode": "append_only", "pruner": False}
    told = pruned_hosts({"db1": host(lifeboat_destinations={**places, "disk": attic})}, "vault")
    assert told["db1"]["jobs"]["shop"]["destinations"] == ["offsite"]


@pytest.mark.parametrize(
    ("instead", "made"),
    [
        ({"credential": "p"}, {**OFFSITE, "credential": "p"}),
        ({"credential": ""}, {key: OFFSITE[key] for key in ("type", "bucket", "keep")}),
        ({"prefix": "x"}, {**OFFSITE, "credential": "pruner", "prefix": "x"}),
        (
            {"type": "local", "path": "/srv"},
            {"type": "local", "path": "/srv", "keep": {"daily": 60}},
        ),
    ],
)
def test_what_the_pruner_uses_instead_is_laid_over(instead: Any, made: Any) -> None:
    given = host(lifeboat_destinations={"offsite": {**OFFSITE, "pruner": instead}})
    assert pruned_hosts({"db1": given}, "vault")["db1"]["destinations"] == {"offsite": made}


@pytest.mark.parametrize(
    ("body", "pruned"),
    [
        ({"type": "s3", "mode": "standard"}, False),
        ({"type": "s3"}, True),
        ({"type": "sftp"}, False),
        ({"type": "sftp", "mode": "append_only"}, True),
    ],
)
def test_only_what_a_host_may_append_to_is_another_hosts_to_prune(
    body: dict[str, str], pruned: bool
) -> None:
    given = host(lifeboat_destinations={"offsite": body})
    assert ("db1" in pruned_hosts({"db1": given}, "vault")) is pruned
    reading = Reading({"destinations": {"x": body}, "pruner": "vault"}, Secret.of)
    assert append_only(reading, "x") is pruned  # the host itself says the same


def test_variables_that_begin_with_the_name_are_merged() -> None:
    given = host(lifeboat_jobs_more={"wiki": {"destinations": ["offsite"]}})
    assert set(pruned_hosts({"db1": given}, "vault")["db1"]["jobs"]) == {"shop", "wiki"}


def test_two_hosts_with_one_name_are_refused() -> None:
    both = {"a": host(lifeboat_host="db"), "b": host(lifeboat_host="db")}
    with pytest.raises(AnsibleFilterError, match="a and b both store their backups as db"):
        pruned_hosts(both, "vault")


def test_the_keys_are_those_that_the_engine_takes() -> None:
    assert sorted(JOB_KEYS) == sorted(one.name for one in PRUNED_JOB)


def test_the_engine_takes_what_is_rendered() -> None:
    told = pruned_hosts({"db1": host(), "db2": host(lifeboat_environment="dev")}, "vault")
    made = config.parse(_vault(told), lambda name: Secret.of(name))
    job = made.prunes["db1"]["shop"]
    assert (job.host, job.prunes, job.sources) == ("db1", ("offsite",), ())
    assert job.keep.default_of == "staging"
    assert job.keep_for("offsite").daily == 60
    assert made.prunes["db2"]["shop"].keep.default_of == "dev"
    assert made.prunes_with == ("pruner",)
    assert made.jobs == {}


def test_a_mistake_names_the_host_that_it_is_in() -> None:
    told = pruned_hosts(
        {"db1": host(lifeboat_jobs={"shop": {"destinations": ["offsite"], "keep": {"dayly": 1}}})},
        "vault",
    )
    with pytest.raises(
        ConfigError, match=r"^prunes\.hosts\.db1\.jobs\.shop\.keep\.dayly: unknown key"
    ):
        config.parse(_vault(told), lambda name: Secret.of(name))


def _vault(hosts: Any) -> dict[str, Any]:
    prunes = {"at": "04:30", "hosts": hosts}
    return {"version": 1, "host": "vault", "destinations": {}, "jobs": {}, "prunes": prunes}
