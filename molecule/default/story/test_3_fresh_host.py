"""The host is gone, and its disk with it: another one gets everything back from S3 alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.lab.hosts import PHRASE, changed, playbook, said, told


def test_an_empty_host_is_provisioned(fresh: Host) -> None:
    words = ["-e", "lifeboat_hosts=fresh", "-e", "backup_agent_first_backup=false"]
    words += ["-e", "backup_schedule_enabled=false"]  # nothing to back up yet
    assert changed(playbook("site", *words), "fresh") > 0
    assert told("fresh", "list", "shop") == []


def test_it_sees_what_the_lost_host_left_offsite(backup: str) -> None:
    listed = told("fresh", "list", "shop", "--from-host", "db")
    assert backup in [one["id"] for one in listed]
    assert {name for one in listed for name in one["copies"]} == {"offsite"}


def test_what_is_missing_for_a_restore_is_named_before_anything_is_touched(
    backup: str, keys: Path, state: Callable[[str], Any]
) -> None:
    unnamed = restore(backup, keys)
    assert unnamed.returncode != 0
    homeless = restore(backup, keys, "-e", "restore_from_host=db")
    assert homeless.returncode != 0
    assert "the directory /srv/shop does not exist: make it" in said(homeless)
    assert not any(state("fresh").values())


def test_everything_comes_back_from_s3_alone(
    fresh: Host, backup: str, keys: Path, lacking: Callable[[str], Any]
) -> None:
    fresh.check_output("install -d /srv/shop")  # as the deployment of the shop does
    fresh.check_output("install -d -m 750 -o www-data -g www-data /srv/shop/settings")
    ran = restore(backup, keys, "-e", "restore_from_host=db")
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert lacking("fresh") == {}


def test_the_new_host_is_backed_up_from_now_on(fresh: Host) -> None:
    report = told("fresh", "run", "shop")
    assert report["complete"]
    assert {one["state"] for one in report["destinations"]} == {"intact"}
    assert told("fresh", "confirm", "shop")
    # the host that is lost stays as it was: this one has a prefix of its own
    listed = told("fresh", "list", "shop")
    assert [one["id"] for one in listed] == [report["id"]]


def restore(backup: str, keys: Path, *more: str) -> Any:
    words = ["-e", "job=shop", "-e", f"backup={backup}", "--limit", "fresh"]
    words += ["-e", f"restore_identity_file={keys / 'operator.key'}"]
    words += ["-e", f'{{"restore_confirm": "{PHRASE}"}}']
    return playbook("restore", *words, *more)
