"""3-2-1: three copies with the live data, two media, one off-site; what is missing is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat import disks
from lifeboat.copies import HERE, copies_findings, domain_of
from lifeboat.stored import Place

LIVE = Place(HERE, "disk sda")
DISK = Place(HERE, "disk sda")
USB = Place(HERE, "disk sdb")
CLOUD = Place("aws eu-west-3", "object storage of aws eu-west-3")
ATTIC = Place("attic.example.org", "disk of attic.example.org")


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        ({"disk": DISK, "offsite": CLOUD}, []),
        ({"usb": USB, "attic": ATTIC}, []),
        ({"offsite": CLOUD}, ["2 copies"]),
        ({"disk": DISK, "usb": USB}, ["off-site"]),
        ({"disk": DISK}, ["2 copies", "one medium (disk sda)", "off-site"]),
        ({"one": CLOUD, "two": CLOUD}, ["one and two of job shop are one place"]),
        ({}, ["1 copies", "one medium", "off-site"]),
    ],
    ids=["3-2-1", "usb", "one", "here", "disk", "twins", "none"],
)
def test_what_is_missing_from_3_2_1_is_said(placed: dict[str, Place], said: list[str]) -> None:
    findings = copies_findings("shop", LIVE, placed)
    assert len(findings) == len(said)
    assert all(word in finding for word, finding in zip(said, findings))


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("https://s3.example.org:9000", "s3.example.org"),
        ("http://127.0.0.1:9000", HERE),
        ("localhost", HERE),
        ("attic", "attic"),
    ],
)
def test_a_host_is_a_domain_of_its_own_unless_it_is_this_one(host: str, domain: str) -> None:
    assert domain_of(host) == domain


def test_partitions_of_a_disk_are_one_medium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree as /sys has it: a partition, and a volume over two disks."""
    devices, numbers = tmp_path / "devices", tmp_path / "numbers"
    (devices / "sda" / "sda1").mkdir(parents=True)
    (devices / "sda" / "sda1" / "partition").write_text("1")
    (devices / "sdb").mkdir()
    (devices / "dm-0" / "slaves").mkdir(parents=True)
    for name in ("sda/sda1", "sdb"):
        (devices / "dm-0/slaves" / Path(name).name).symlink_to(devices / name)
    numbers.mkdir()
    number = os.stat(tmp_path).st_dev
    here = numbers / f"{os.major(number)}:{os.minor(number)}"
    monkeypatch.setattr(disks, "_BLOCK_DEVICES", numbers)
    assert disks.disk_of(str(tmp_path)).startswith("device ")
    here.symlink_to(devices / "sda/sda1")
    assert disks.disk_of(str(tmp_path / "not/there")) == "disk sda"
    here.unlink()
    here.symlink_to(devices / "dm-0")
    assert disks.disk_of(str(tmp_path)) == "disk sda+sdb"


def test_what_a_file_system_that_packs_may_hold_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(disks, "_MOUNTS", table)
    below = tmp_path / "packed"
    below.mkdir()
    table.write_text(
        "1 0 0:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        f"2 1 0:2 / {below} rw - zfs pool rw\n"
        f"3 1 0:3 / {below}-not rw - ext4 /dev/sdb1 rw\n"
    )
    assert disks.room(below) is None
    assert disks.room(tmp_path) is not None
