"""SIGKILL in the middle: the host says what is open and what to type, and ends with the old state or the new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import hosts, stored
from tests.lab.hosts import PHRASE, lifeboat, on, told, wait_for

KILL = Path(__file__).resolve().parent.parent / "files" / "kill_restore.py"
DAILY = "lifeboat-run@shop:daily"
BULK = "lifeboat-run@bulk:manual.service"
NOTHING_BESIDE = ["settings", "uploads"]

State = Callable[[str], dict[str, list[str]]]
Lacking = Callable[[str], dict[str, tuple[list[str], list[str]]]]


@pytest.fixture(scope="module")
def old(db: Host, state: State) -> dict[str, list[str]]:
    """The shop as it is before the restores that are killed: not what the backup holds, in all its parts."""
    psql(db, "DELETE FROM secrets")
    db.check_output("rm '/srv/shop/uploads/2026/-rf'")
    settings = "import sqlite3; c = sqlite3.connect('/srv/shop/settings/settings.db')"
    db.check_output(f"python3 -c \"{settings}; c.execute('DELETE FROM log'); c.commit()\"")
    return state("db")


def test_killed_while_it_restores_beside(
    db: Host, backup: str, keys: Path, old: dict[str, list[str]], state: State
) -> None:
    kill_restore("staging", backup, keys)
    assert beside(db) != NOTHING_BESIDE
    assert_open(db, backup, "staging")

    db.check_output("systemctl start lifeboat-recover.service")  # as at each boot
    said = db.check_output("journalctl --no-pager -o cat -u lifeboat-recover.service -n 5")
    assert "is taken back; the old state is in place" in said
    assert_ended(db)
    assert state("db") == old


def test_killed_between_two_swaps(
    db: Host,
    backup: str,
    keys: Path,
    whole: dict[str, list[str]],
    old: dict[str, list[str]],
    state: State,
) -> None:
    kill_restore("swapping", backup, keys)
    mixed = state("db")
    assert mixed["files"] == whole["files"] != old["files"]  # else it was not killed between two
    assert mixed["database"] == old["database"]
    assert_open(db, backup, "swapping")

    recovered = told("db", "recover")
    assert [one.rpartition("; ")[2] for one in recovered] == ["the old state is in place"]
    assert_ended(db)
    assert state("db") == old


def test_killed_after_the_last_swap(db: Host, backup: str, keys: Path, lacking: Lacking) -> None:
    kill_restore("swapped", backup, keys)
    for said in told("db", "recover"):  # nothing, where it was noted just before
        assert said.endswith("the new state is in place")
    assert lacking("db") == {}
    assert lifeboat("db", "confirm", "shop").returncode == 0
    assert_ended(db)


def test_a_backup_that_is_killed_leaves_no_orphan_after_the_next(db: Host) -> None:
    listed = told("db", "list", "bulk")
    db.check_output("touch /srv/bulk/wait")
    db.check_output(f"systemctl start --no-block '{BULK}'")
    assert wait_for(lambda: uploads() and spooled(db), timeout_s=30)
    db.check_output(f"systemctl kill --signal=SIGKILL '{BULK}'")
    assert wait_for(lambda: not db.service(BULK).is_running, timeout_s=10)
    assert (bool(uploads()), bool(spooled(db))) == (True, True)
    assert told("db", "list", "bulk") == listed  # nothing half done counts

    db.check_output("rm /srv/bulk/wait")
    report = told("db", "run", "bulk")
    assert {one["state"] for one in report["destinations"]} == {"intact"}
    assert (uploads(), spooled(db)) == ([], "")
    kept = {one["id"] for one in listed} | {report["id"]}
    stored = db.check_output("find /var/backups/lifeboat/archives/db/bulk -type f").splitlines()
    assert {Path(one).parent.name for one in stored} == kept


def kill_restore(moment: str, backup: str, keys: Path) -> None:
    words = (backup, "--identity", "-", "--confirm", PHRASE, "--target-host", "db")
    ran = on(
        *("db", "python3", "-c", KILL.read_text(), moment, "shop", *words),
        stdin=(keys / "operator.key").read_text(),
    )
    assert ran.returncode == 0, ran.stderr


def assert_open(db: Host, backup: str, step: str) -> None:
    """The host says so by itself, with the command to type, and no backup is made of what may be half."""
    told_first = told("db", "status", "shop", exit_code=2)[0]
    assert (told_first["state"], told_first["next"]) == ("critical", "lifeboat recover shop")
    assert f"restore of {backup} was cut off while {step}" in told_first["reason"]
    assert "`lifeboat recover shop` ends it" in lifeboat("db", "list", "shop").stderr
    assert db.run(f"systemctl start '{DAILY}.service'").rc != 0
    assert hosts.property_of(db, f"{DAILY}.service", "ExecMainStatus") == "5"


def assert_ended(db: Host) -> None:
    """Nothing is left of it, and what the timer starts goes well again."""
    assert beside(db) == NOTHING_BESIDE
    assert told("db", "recover") == []
    assert db.check_output(f"systemctl is-active '{DAILY}.timer'") == "active"
    db.check_output(f"systemctl start '{DAILY}.service'")


def beside(db: Host) -> list[str]:
    """What lies in /srv/shop, and the databases that a restore has made."""
    query = r"SELECT datname FROM pg_database WHERE datname LIKE '%\_lb\_%'"
    return sorted([*db.check_output("ls -A /srv/shop").split(), *psql(db, query, "postgres")])


def psql(db: Host, statement: str, database: str = "shop") -> list[str]:
    ran = db.run("runuser -u postgres -- psql -XqAt -d %s -c %s", database, statement)
    assert ran.rc == 0, ran.stderr
    return str(ran.stdout).split()


def spooled(db: Host) -> str:
    return str(db.check_output("find /var/lib/lifeboat/spool/bulk -type f"))


def uploads() -> list[Any]:
    """Uploads in parts to S3 that were begun and not completed."""
    return stored.unfinished("lifeboat", "archives/db/bulk/")
