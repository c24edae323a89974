"""The shop is lost; nobody passes the gate who should not; it comes back, goes, and comes back again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.lab.hosts import PHRASE, lifeboat, on, playbook, said, told

NOTHING: dict[str, list[str]] = {"database": [], "files": [], "settings": []}
DISK = "/var/backups/lifeboat"
# What the gate of a production host wants where nobody sits at a terminal.
CONFIRMED = ("--confirm", PHRASE, "--target-host", "db")

FLIP_A_BIT = """
import sys
with open(sys.argv[1], "r+b") as archive:
    archive.seek(-99, 2)
    byte = archive.read(1)[0]
    archive.seek(-99, 2)
    archive.write(bytes([byte ^ 1]))
"""

State = Callable[[str], dict[str, list[str]]]
Lacking = Callable[[str], dict[str, tuple[list[str], list[str]]]]


def rescue(backup: str, keys: Path, *more: str) -> Any:
    """The restore as it is in the runbook."""
    words = ["-e", "job=shop", "-e", f"backup={backup}", "--limit", "db"]
    words += ["-e", f"restore_identity_file={keys / 'operator.key'}"]
    return playbook("restore", *words, *more)


def confirmed(phrase: str = PHRASE) -> tuple[str, str]:
    return ("-e", f'{{"restore_confirm": "{phrase}"}}')


def test_the_database_the_files_and_the_settings_are_lost(
    db: Host, backup: str, state: State
) -> None:
    db.check_output("runuser -u postgres -- psql -XqAtc 'DROP DATABASE shop WITH (FORCE)'")
    db.check_output("rm -rf /srv/shop/uploads /srv/shop/settings/settings.db*")
    assert state("db") == NOTHING


def test_the_playbook_refuses_without_the_phrase(backup: str, keys: Path, state: State) -> None:
    for words in ((), confirmed("restore production"), confirmed("yes")):
        ran = rescue(backup, keys, *words)
        assert ran.returncode != 0
        assert "Still needed: -e \"restore_confirm='RESTORE PRODUCTION'\"" in said(ran)
        assert "Nothing was touched" in said(ran)
    assert state("db") == NOTHING


def test_the_command_refuses_without_the_phrase(backup: str, keys: Path, state: State) -> None:
    key = (keys / "operator.key").read_text()
    without = lifeboat("db", "restore", "shop", backup, "--identity", "-", stdin=key)
    latest = lifeboat("db", "restore", "shop", "latest", "--identity", "-", *CONFIRMED, stdin=key)
    elsewhere = lifeboat(
        *("db", "restore", "shop", backup, "--identity", "-", "--confirm", PHRASE),
        *("--target-host", "db2"),
        stdin=key,
    )
    assert [without.returncode, latest.returncode, elsewhere.returncode] == [6, 6, 6]
    assert "production needs the phrase RESTORE PRODUCTION" in without.stderr
    assert "an explicit backup id, not latest" in latest.stderr
    assert "meant for db2" in elsewhere.stderr
    assert state("db") == NOTHING


def test_a_tampered_copy_is_refused(backup: str, keys: Path, state: State) -> None:
    archive = f"{DISK}/archives/db/shop/{backup}/db.database.pgdump.zst.age"
    assert on("db", "python3", "-c", FLIP_A_BIT, archive).returncode == 0
    ran = rescue(backup, keys, "-e", "restore_at=disk", *confirmed())
    assert ran.returncode != 0
    assert "db.database.pgdump.zst.age" in said(ran)
    assert state("db") == NOTHING
    assert on("db", "find", "/var/lib/lifeboat", "-path", "*spool*", "-type", "f").stdout == ""


def test_verify_finds_it_and_says_which_copy(backup: str) -> None:
    found = told("db", "verify", backup, exit_code=1)
    assert {one["destination"]: one["state"] for one in found} == {
        "disk": "corrupt",
        "offsite": "intact",
    }
    listed = {one["id"]: one for one in told("db", "list", "shop")}
    assert listed[backup]["copies"] == {"disk": "corrupt", "offsite": "intact"}
    assert listed[backup]["tags"] == ["v1.2.3"]


def test_the_playbook_brings_everything_back(backup: str, keys: Path, lacking: Lacking) -> None:
    ran = rescue(backup, keys, *confirmed())
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert lacking("db") == {}


def test_undo_puts_back_what_was_there_before(backup: str, state: State) -> None:
    assert lifeboat("db", "undo", "shop", backup).returncode == 6
    undone = lifeboat("db", "undo", "shop", backup, *CONFIRMED)
    assert undone.returncode == 0, undone.stderr
    assert state("db") == NOTHING


def test_the_command_brings_everything_back_as_well(
    db: Host, backup: str, keys: Path, lacking: Lacking
) -> None:
    db.check_output("runuser -u postgres -- createdb shop")  # as an application does that starts
    key = (keys / "escrow.key").read_text()
    words = ("restore", "shop", backup, "--identity", "-", *CONFIRMED)
    restored = lifeboat("db", *words, stdin=key)
    assert restored.returncode == 0, restored.stderr
    assert lacking("db") == {}
    assert len(databases_beside(db)) >= 1


def test_confirm_lets_go_of_what_was_replaced(db: Host, backup: str, lacking: Lacking) -> None:
    held = {one["destination"]: one["held"] for one in told("db", "prune", "shop")}
    undecided = f"the restore of {backup} is neither confirmed nor undone"
    assert (held["disk"], held["offsite"]) == (undecided, undecided)
    assert lifeboat("db", "confirm", "shop").returncode == 0
    assert databases_beside(db) == []
    assert db.check_output("ls -A /srv/shop").split() == ["settings", "uploads"]
    assert lacking("db") == {}
    assert lifeboat("db", "undo", "shop", *CONFIRMED).returncode == 2


def test_the_plan_of_retention_says_why_each_backup_stays(backup: str) -> None:
    planned = {one["destination"]: one for one in told("db", "prune", "shop")}
    assert set(planned) == {"disk", "offsite"}
    for one in planned.values():
        kept = {copy["id"]: copy["why"] for copy in one["kept"]}
        assert "tagged v1.2.3" in kept[backup]
        assert (one["expired"], one["failure"]) == ([], "")
    # where the newest copy was tampered with, nothing goes at all
    assert planned["disk"]["held"] == f"the newest backup {backup} is corrupt"
    assert planned["offsite"]["held"] == ""


def databases_beside(db: Host) -> list[str]:
    query = r"SELECT datname FROM pg_database WHERE datname LIKE '%\_lb\_%'"
    return str(db.check_output(f'runuser -u postgres -- psql -XqAtc "{query}"')).split()
