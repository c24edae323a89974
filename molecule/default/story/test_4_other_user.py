"""A job with a user of its own: its database lies where nobody else may write, and is open in WAL mode."""

from __future__ import annotations

from pathlib import Path

from testinfra.host import Host

from tests.lab.hosts import PHRASE, told

BOTH = {"disk_of_web": "intact", "offsite": "intact"}
COUNT = """
import sqlite3
database = sqlite3.connect("/srv/sessions/app.db")
print(*database.execute("PRAGMA journal_mode").fetchone())
print(*database.execute("SELECT count(*), sum(id) FROM sessions").fetchone())
database.close()
"""


def test_it_is_backed_up_restored_and_backed_up_again(db: Host, keys: Path) -> None:
    there = content(db)
    before = run()
    db.check_output("rm -f /srv/sessions/app.db /srv/sessions/app.db-wal /srv/sessions/app.db-shm")
    words = ("--identity", "-", "--confirm", PHRASE, "--target-host", "db")
    told("db", "restore", "sessions", before, *words, stdin=(keys / "operator.key").read_text())
    assert content(db) == there
    told("db", "confirm", "sessions")
    run()  # root has held its locks meanwhile, and shuts nobody out


def run() -> str:
    """A backup by the job's own unit; its id."""
    report = told("db", "run", "sessions")
    assert {one["name"]: one["state"] for one in report["destinations"]} == BOTH
    return str(report["id"])


def content(db: Host) -> str:
    counted = db.run("runuser -u www-data -- python3 -c %s", COUNT)
    assert counted.rc == 0, counted.stderr
    return str(counted.stdout) + str(db.check_output("stat -c '%U %G %a' /srv/sessions/app.db"))
