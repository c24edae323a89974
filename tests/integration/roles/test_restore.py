"""The playbook refuses before it touches a host what the gate would refuse there."""

from __future__ import annotations

import pytest

from tests.integration.roles.inventory import Site

RESTORE = ["restore"]
ID = "20261121T020000Z-daily-7f3a"
PHRASE = '{"restore_confirm": "RESTORE PRODUCTION"}'
PROPER = {
    "-e": ["restore_job=shop", f"restore_backup={ID}", PHRASE],
    "--limit": ["here"],
}


@pytest.mark.parametrize(
    ("left_out", "wanted"),
    [
        (PHRASE, '-e restore_confirm="RESTORE PRODUCTION"'),
        (f"restore_backup={ID}", "-e backup=ID, never latest"),
        ("here", "--limit here"),
    ],
)
def test_production_wants_phrase_id_and_host(site: Site, left_out: str, wanted: str) -> None:
    words = [
        word
        for option, values in PROPER.items()
        for value in values
        if value != left_out
        for word in (option, value)
    ]
    ran = site.run(RESTORE, *words)
    assert ran.status != 0
    assert (
        f"job shop is production. Still needed: {wanted}. Nothing was touched"
        in ran.output.replace('\\"', '"')
    )


def test_more_than_one_host_must_be_meant(site: Site) -> None:
    site.hosts = ["here", "there"]
    ran = site.run(RESTORE, "-e", "restore_job=shop")
    assert ran.status != 0
    assert "this would restore on 2 hosts (here, there)" in ran.output


def test_a_job_that_the_host_does_not_have_is_refused_with_those_it_has(site: Site) -> None:
    ran = site.run(RESTORE, "-e", "restore_job=shoe")
    assert ran.status != 0
    assert "host here has no job shoe. Say -e job=JOB; its jobs are: shop" in ran.output


def test_a_key_that_is_not_there_is_named(site: Site) -> None:
    ran = site.run(
        RESTORE,
        "-e",
        "restore_job=shop",
        "-e",
        "restore_identity_file=missing.key",
        lifeboat_environment="dev",
    )
    assert ran.status != 0
    assert "there is no file missing.key on the controller" in ran.output
