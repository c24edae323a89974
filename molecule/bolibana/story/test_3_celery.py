"""The application backs itself up from Celery, and may do nothing else of lifeboat's."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import on, told

AS_APPLICATION = ("runuser", "-u", "bolibana", "--")


def test_a_task_in_a_worker_makes_a_proved_backup(guide: Guide) -> None:
    shown = guide.on_host("web1", "By hand, and from Celery", 1)
    newest = told("web1", "list", "bolibana")[0]
    assert newest["id"] in shown
    assert set(newest["copies"].values()) == {"intact"}


def test_a_task_fails_where_a_place_was_lost_and_says_which(web1: Host) -> None:
    web1.check_output("umount /mnt/external")
    words = "from bolibana.tasks import back_up; back_up.delay().get(timeout=120)"
    ran = on("web1", *AS_APPLICATION, "/srv/bolibana/manage.py", "shell", "-c", words)
    web1.check_output("mount /mnt/external")
    assert ran.returncode != 0
    assert re.search("BackupFailed.*external", ran.stderr, re.DOTALL), ran.stderr


def test_a_task_that_finds_the_job_held_tries_again_later() -> None:
    """As often as it may: here never, which it says."""
    words = "from bolibana.tasks import back_up as b; b.max_retries = 0; print(b.apply().result)"
    lock = "/var/lib/lifeboat/locks/bolibana.lock"
    held = ("flock", lock, *AS_APPLICATION, "/srv/bolibana/manage.py", "shell", "-c", words)
    assert "Can't retry bolibana.tasks.back_up" in on("web1", *held).stdout


@pytest.mark.parametrize(
    "words", ["restore bolibana", "run bolibana --json --quiet --only db", "list bolibana"]
)
def test_its_user_may_not_do_anything_else(words: str) -> None:
    ran = on("web1", *AS_APPLICATION, "sudo", "-n", "/usr/local/bin/lifeboat", *words.split())
    assert ran.returncode != 0
    assert "password is required" in ran.stderr
