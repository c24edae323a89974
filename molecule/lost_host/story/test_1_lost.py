"""db and its disk are gone; `fresh`, a bare Debian host, becomes it from S3 alone, in one playbook run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import PHRASE, Ran, on, playbook, said, told

STATE = (Path(__file__).resolve().parent.parent / "files" / "state.sh").read_text()
HOMES = [{"path": "/srv/shop/settings", "owner": "www-data", "group": "www-data", "mode": "0750"}]


def state(name: str) -> str:
    ran = on(name, "bash", "-s", stdin=STATE)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def lost() -> tuple[str, dict[str, str]]:
    """(the state of db, the newest backups of its jobs); after this db is off for ever."""
    before = state("db")
    assert before.count("\n") > 20_000
    ids = {job: told("db", "list", job)[0]["id"] for job in ("shop", "uploads")}
    subprocess.run(
        ["podman", "stop", "-t", "0", hosts.container("db")], check=True, capture_output=True
    )
    return before, ids


def rebuild(keys: Path, *more: str) -> Ran:
    words = ["--limit", "fresh", "-e", "restore_from_host=db"]
    words += ["-e", f"restore_identity_file={keys / 'operator.key'}"]
    words += ["-e", json.dumps({"restore_directories": HOMES})]
    return playbook("rebuild", *words, *more)


def confirmed(**more: object) -> tuple[str, str]:
    return ("-e", json.dumps({"restore_confirm": PHRASE, **more}))


def test_the_host_is_bare(fresh: Host) -> None:
    for program in ("lifeboat", "psql", "postgres", "age", "zstd"):
        assert not fresh.exists(program)


def test_nothing_is_touched_without_the_phrase(keys: Path, fresh: Host) -> None:
    ran = rebuild(keys)
    assert ran.returncode != 0
    assert "Still needed: -e \"restore_confirm='RESTORE PRODUCTION'\"" in said(ran).replace(
        "\\", ""
    )
    assert not fresh.exists("lifeboat")


def test_one_run_brings_everything_back(
    keys: Path, lost: tuple[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    before, ids = lost
    begun = time.monotonic()
    ran = rebuild(keys, *confirmed(restore_backups=ids))
    took = time.monotonic() - begun
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert set(state("fresh").splitlines()) ^ set(before.splitlines()) == set()
    back = re.search(r"2 jobs of host db are back on fresh after ([0-9.]+) s", said(ran))
    assert back, ran.stdout[-6000:]
    with capsys.disabled():  # the story shows it
        sys.stdout.write(
            f"\nthe data was back after {back.group(1)} s, and backed up anew after {took:.1f} s\n"
        )
    assert "to be installed: postgresql-15, postgresql-client-15" in said(ran)


def test_without_ids_it_says_what_to_type(keys: Path, lost: tuple[str, dict[str, str]]) -> None:
    """Also with `latest`: nothing that was typed once may be replayed by habit."""
    _before, ids = lost
    ran = rebuild(keys, *confirmed(restore_backups={**ids, "shop": "latest"}))
    assert ran.returncode != 0
    assert "production, which wants the id of every backup" in said(ran)
    assert f'"shop": "{ids["shop"]}"' in said(ran).replace("\\", "")
