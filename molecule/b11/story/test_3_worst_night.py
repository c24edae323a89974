"""Drilled, lost, brought back: by the runbook on the host and by the playbook, each row as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import PHRASE, container, lifeboat, said, told
from tests.typed import blocks, typed

Rows = Callable[[], dict[str, str]]
RUNBOOK = "/etc/lifeboat/database-restore.md"


@pytest.fixture(scope="module")
def whole(rows: Rows) -> dict[str, str]:
    found = rows()
    assert {name: text.count("\n") + 1 for name, text in found.items()} == {
        "customer": 500,
        "invoice": 5000,
        "owed": 500,
    }
    return found


@pytest.fixture(scope="module")
def backup(whole: dict[str, str]) -> str:
    """The newest good one, which holds all of it."""
    return str(told("db", "list", "production")[0]["id"])


@pytest.fixture(scope="module")
def answers(key: str) -> dict[str, str]:
    return {"paste the private key": key, f"type {PHRASE}": PHRASE}


def sql(db: Host, statement: str, database: str = "b11") -> None:
    db.check_output(f"runuser -u postgres -- psql -XqAtd {database} -c '{statement}'")


def test_a_drill_proves_the_newest_backup(guide: Guide, key: str, backup: str) -> None:
    shown = guide.on_host("db", "Drill", 1, {"paste the private key": key})
    assert "passed" in shown
    assert backup in shown
    assert told("db", "list", "production")[0]["copies"] == {"shared": "restorable"}


def test_the_doctor_looks_at_everything(guide: Guide) -> None:
    shown = guide.on_host("db", "Look", 1, codes=(0, 1))
    for area in ("configuration", "programs", "keys", "source", "destination", "timer", "clock"):
        assert area in shown
    assert "critical" not in shown


def test_one_table_back_as_the_runbook_on_the_host_says(
    db: Host, rows: Rows, whole: dict[str, str], backup: str, answers: dict[str, str]
) -> None:
    sql(db, "DROP TABLE invoice CASCADE")
    steps = blocks(
        db.file(RUNBOOK).content_string, "### db back to the last good backup (postgresql `b11`)"
    )
    for step in steps:
        words = ["podman", "exec", "-it", container("db"), "bash", "-e", "-c", step]
        code, shown = typed(words, answers)
        assert code == 0, shown
    assert backup in shown
    assert rows() == whole


def test_undo_puts_back_what_the_restore_replaced(
    db: Host,
    guide: Guide,
    rows: Rows,
    whole: dict[str, str],
    backup: str,
    answers: dict[str, str],
) -> None:
    guide.on_host("db", "database-restore", 1, answers)
    assert set(rows()) == {"customer"}
    guide.on_host("db", "database-restore", 0, answers)
    assert rows() == whole
    lifeboat("db", "confirm", "production")


def test_a_copy_that_was_damaged_there_is_found_and_never_restored(
    db: Host, shared: Host, backup: str, key: str
) -> None:
    folder = f"/srv/sftp/b11/data/backups/archives/db/production/{backup}"
    spoilt = f"{folder}/db.database.pgdump.zst.age"
    shared.check_output(
        f"cp -a {spoilt} /srv/kept && printf X | dd of={spoilt} bs=1 seek=900 conv=notrunc"
    )
    found = lifeboat("db", "verify", backup)
    assert found.returncode != 0
    assert "corrupt" in said(found)
    words = ("--identity", "-", "--confirm", PHRASE, "--target-host", "db")
    refused = lifeboat("db", "restore", "production", backup, *words, stdin=key)
    assert refused.returncode != 0
    shared.check_output(f"cp -a /srv/kept {spoilt}")
    assert lifeboat("db", "verify", backup).returncode == 0


def test_the_database_is_lost_and_the_playbook_brings_it_back(
    db: Host, guide: Guide, rows: Rows, whole: dict[str, str], backup: str
) -> None:
    sql(db, "DROP DATABASE b11 WITH (FORCE)", "postgres")
    assert backup in guide.at_controller("database-restore", 2)
    shown = guide.at_controller(
        "database-restore", 3, instead={"20261121T020000Z-daily-7f3a": backup}
    )
    assert "failed=0" in shown
    assert rows() == whole
    guide.on_host("db", "database-restore", 4)
    assert told("db", "recover") == []


def test_nothing_of_the_guide_is_left(guide: Guide) -> None:
    assert guide.left() == []
