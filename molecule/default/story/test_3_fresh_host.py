"""The host is gone, and its disk with it: another one gets everything back from S3 alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.lab.hosts import PHRASE, changed, playbook, told


def test_an_empty_host_is_provisioned(fresh: Host) -> None:
    ran = playbook("site", "-e", "lifeboat_hosts=fresh", "-e", "backup_agent_first_backup=false")
    assert changed(ran, "fresh") > 0
    assert told("fresh", "list", "shop") == []


def test_it_sees_what_the_lost_host_left_offsite(backup: str) -> None:
    listed = told("fresh", "list", "shop", "--from-host", "db")
    assert backup in [one["id"] for one in listed]
    assert {name for one in listed for name in one["copies"]} == {"offsite"}


def test_a_backup_of_another_host_is_refused_until_that_host_is_named(
    backup: str, keys: Path
) -> None:
    ran = restore(backup, keys)
    assert ran.returncode != 0


def test_everything_comes_back_from_s3_alone(
    backup: str, keys: Path, lacking: Callable[[str], Any]
) -> None:
    ran = restore(backup, keys, "-e", "restore_from_host=db")
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert lacking("fresh") == {}


def restore(backup: str, keys: Path, *more: str) -> Any:
    words = ["-e", "job=shop", "-e", f"backup={backup}", "--limit", "fresh"]
    words += ["-e", f"restore_identity_file={keys / 'operator.key'}"]
    words += ["-e", f'{{"restore_confirm": "{PHRASE}"}}']
    return playbook("restore", *words, *more)
