"""What lies on the host for the worst night is typed as it stands, and so is what lies beside a backup."""

from __future__ import annotations

import json
from pathlib import Path

from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import PHRASE, lifeboat, on, told
from tests.typed import blocks, typed

RUNBOOK = "/etc/lifeboat/RUNBOOK.md"
CONFIRMED = ("--confirm", PHRASE, "--target-host", "db")


def type_on_db(commands: str, key: str) -> tuple[int, str]:
    """At a terminal of db, where the key is pasted and the phrase is typed when asked."""
    answers = {"paste the private key": key, "type RESTORE PRODUCTION": "RESTORE PRODUCTION"}
    words = ["podman", "exec", "-it", hosts.container("db"), "bash", "-e", "-c", commands]
    return typed(words, answers)


def test_one_database_back_to_last_night_as_the_runbook_says(db: Host, keys: Path) -> None:
    text = db.file(RUNBOOK).content_string
    lifeboat("db", "confirm", "shop")
    good = json.loads(lifeboat("db", "run", "shop", "--json").stdout)["id"]
    lifeboat("db", "accept", good)  # far off the size of those before it, as it should be
    rows = "runuser -u postgres -- psql -XqAtd shop -c 'SELECT count(*) FROM orders'"
    before = db.check_output(rows)
    db.check_output("runuser -u postgres -- psql -XqAtd shop -c 'DELETE FROM orders WHERE id > 1'")
    title = "### orders back to the last good backup"
    key = (keys / "operator.key").read_text().splitlines()[-1]
    for number in (0, 1):
        code, heard = type_on_db(blocks(text, title)[number], key)
        assert code == 0, heard
    assert f"restored {good}" in heard
    assert "would be lost" in heard or "there now" in heard
    assert db.check_output(rows) == before
    assert key not in db.check_output("journalctl --no-pager")
    assert lifeboat("db", "confirm", "shop").returncode == 0


def test_one_table_comes_beside(db: Host, keys: Path) -> None:
    rows = "runuser -u postgres -- psql -XqAtc 'SELECT count(*) FROM orders' -d"
    newest = told("db", "list", "shop")[0]["id"]
    words = ("--only", "orders", "--path", "orders", "--into", "shop_look", "--identity", "-")
    key = (keys / "operator.key").read_text()
    ran = lifeboat("db", "restore", "shop", newest, *words, *CONFIRMED, stdin=key)
    assert ran.returncode == 0, ran.stderr
    assert db.check_output(f"{rows} shop_look") == db.check_output(f"{rows} shop")
    assert lifeboat("db", "undo", "shop", newest, *CONFIRMED).returncode == 0
    assert db.run(f"{rows} shop_look").rc != 0
    assert lifeboat("db", "confirm", "shop").returncode == 0


def test_the_note_beside_a_backup_is_enough_where_there_is_no_lifeboat(
    db: Host, fresh: Host, keys: Path
) -> None:
    """`fresh` has a PostgreSQL server, and gets age and zstd from Debian; no lifeboat, no Ansible."""
    assert not fresh.exists("lifeboat")
    ran = on("fresh", "sh", "-c", "apt-get -q update && apt-get -qy install age zstd")
    assert ran.returncode == 0, ran.stderr
    newest = told("db", "list", "shop")[0]["id"]
    there = f"/var/backups/lifeboat/archives/db/shop/{newest}"
    copied = on("db", "tar", "-C", there, "-c", "--mode=a+rX", "-f", "/var/tmp/carried.tar", ".")
    assert copied.returncode == 0, copied.stderr
    hosts.carry("db", "/var/tmp/carried.tar", "fresh", "/var/tmp/carried.tar")
    note = on("fresh", "tar", "-xOf", "/var/tmp/carried.tar", "./RESTORE.md").stdout
    steps = blocks(note)
    assert len(steps) >= 4
    script = "\n".join(
        [
            "set -e; mkdir by-hand; cd by-hand; tar -xf /var/tmp/carried.tar; umask 077",
            f"cat > identity.txt <<'KEY'\n{(keys / 'operator.key').read_text()}KEY",
            *steps,
            "psql -XqAtd NEW_DATABASE -c 'SELECT count(*) FROM orders' || "
            "psql -XqAtd new_database -c 'SELECT count(*) FROM orders'",
            "python3 -c \"import sqlite3; print(sqlite3.connect('app.database.sqlite')"
            ".execute('select count(*) from book').fetchone())\"",
        ]
    )
    login = ["runuser", "-u", "postgres", "--", "bash", "-c"]
    ran = on("fresh", *login, f"cd /var/lib/postgresql && {script}")
    assert ran.returncode == 0, ran.stdout[-1500:] + ran.stderr[-2500:]
    rows = db.check_output(
        "runuser -u postgres -- psql -XqAtd shop -c 'SELECT count(*) FROM orders'"
    )
    assert rows in ran.stdout.split()
