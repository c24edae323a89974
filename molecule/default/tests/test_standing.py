"""How the jobs stand after the story, in the words that an operator and a monitoring system read."""

from __future__ import annotations

from tests.lab.hosts import lifeboat, told


def test_status_is_good_for_every_job_and_destination() -> None:
    told("db", "run", "shop")  # the newest copy on the disk was tampered with
    standing = told("db", "status")
    assert {(one["job"], one["destination"]): one["state"] for one in standing} == {
        ("audit", "disk"): "good",
        ("audit", "offsite"): "good",
        ("bulk", "disk"): "good",
        ("bulk", "offsite"): "good",
        ("sessions", "disk_of_web"): "good",
        ("sessions", "offsite"): "good",
        ("shop", "disk"): "good",
        ("shop", "offsite"): "good",
    }


def test_every_newest_copy_verifies_by_hash() -> None:
    found = told("db", "verify")
    assert {one["state"] for one in found} == {"intact"}
    assert {one["destination"] for one in found} == {"disk", "disk_of_web", "offsite"}


def test_a_query_picks_from_the_result() -> None:
    ran = lifeboat("db", "list", "shop", "--query", "[?type=='predeploy'].tags | [0]")
    assert ran.stdout.split() == ["[", '"v1.2.3"', "]"]


def test_an_unknown_job_is_named_with_those_there_are() -> None:
    ran = lifeboat("db", "run", "sohp")
    assert ran.returncode == 2
    assert "'sohp'" in ran.stderr
    assert "audit, bulk, sessions, shop" in ran.stderr
    assert "Traceback" not in ran.stderr
