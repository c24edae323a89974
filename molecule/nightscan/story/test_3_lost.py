"""The server and its disk are gone; a bare Debian server becomes it, from S3 alone, in one playbook run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.hosts import told, wait_for

TITLE = "The server is gone"
PHRASE = """ \\\n    -e "restore_confirm='RESTORE PRODUCTION'\""""
JOBS = ("nightscan", "system")

State = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def lost(state: State) -> Iterator[list[str]]:
    """What night1 held, all of it backed up; after this it is off for ever, and `spare` has its name."""
    before = state("night1")
    assert len(before) > 20_400
    for job in JOBS:
        told("night1", "run", job)
    argv = ["podman", "stop", "-t", "0", hosts.container("night1")]
    subprocess.run(argv, check=True, capture_output=True)
    os.environ["LAB_NIGHT1"] = "spare"
    yield before
    del os.environ["LAB_NIGHT1"]


def test_the_server_is_bare(guide: Guide, spare: Host) -> None:
    for program in ("lifeboat", "psql", "postgres", "redis-server", "gpg", "zstd", "git", "nginx"):
        assert not spare.exists(program)
    guide.on_host("spare", TITLE)


def test_nothing_is_touched_without_the_phrase(guide: Guide, spare: Host, lost: list[str]) -> None:
    shown = guide.at_controller(TITLE, 1, {PHRASE: ""}, codes=(2,))
    assert "Still needed" in " ".join(shown.split())
    assert not spare.exists("lifeboat")


@pytest.fixture(scope="module")
def ids(guide: Guide, lost: list[str]) -> str:
    """The line to paste, which is on the screen when they are missing."""
    shown = guide.at_controller(TITLE, 1, codes=(2,))
    found = re.search(r"""-e '({"restore_backups": {[^']*}})'""", shown)
    assert found, shown[-3000:]
    return found.group(1)


def test_without_ids_no_data_is_touched_and_they_are_told(ids: str, spare: Host) -> None:
    assert set(json.loads(ids)["restore_backups"]) == set(JOBS)
    assert not spare.exists("postgres")
    assert not spare.file("/srv/nightscan").exists


def test_one_run_brings_everything_back(
    guide: Guide,
    spare: Host,
    lost: list[str],
    ids: str,
    state: State,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = time.monotonic()
    shown = guide.at_controller(TITLE, 1, {PHRASE: f"{PHRASE} -e '{ids}'"})
    took = time.monotonic() - begun
    assert sorted(set(lost) ^ set(state("spare"))) == []
    for left_out in ("node_modules", "__pycache__"):  # night1 has both
        assert not spare.file(f"/srv/nightscan/app/{left_out}").exists
    back = re.search(r"2 jobs of host night1 are back on night1 after ([0-9.]+) s", shown)
    assert back, shown[-4000:]
    with capsys.disabled():  # the story shows it
        sys.stdout.write(
            f"\nthe data was back after {back.group(1)} s, and backed up anew after {took:.1f} s\n"
        )


def test_the_application_answers_as_before(
    guide: Guide, answer: Callable[[str], dict[str, int]]
) -> None:
    guide.on_host("spare", TITLE, 2)
    assert wait_for(lambda: answer("spare"), 20) == {
        "scans": 20_000,
        "queued": 401,
        "reports": 60,
    }


def test_one_page_tells_of_the_month(guide: Guide) -> None:
    guide.at_controller("Each month")
    html, evidence = sorted(guide.place.glob("lifeboat-*.*"))
    told_of = json.loads(evidence.read_text())["night1"]["report"]
    assert {one["job"] for one in told_of["jobs"]} == set(JOBS)
    assert "night1" in html.read_text()


def test_every_block_of_the_guide_was_typed(guide: Guide) -> None:
    assert guide.left() == []
