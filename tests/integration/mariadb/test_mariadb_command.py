"""A whole round by the command: run, verify, lose, restore, undo; and a table altered in the middle."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import ME, Server
from .test_mariadb_contract import fill

# The dump program fails as it does when a table was altered: the first time, in its middle.
ALTERED_ONCE = """
import os
from lifeboat.model import Command
from lifeboat.sources.mariadb import dump as mariadb_dump
real = mariadb_dump.dump
def dump(access, *words):
    if os.path.exists({flag!r}):
        return real(access, *words)
    open({flag!r}, "w").close()
    told = "mariadb-dump: Error 1412: Table definition has changed, please retry transaction"
    return Command(("sh", "-c", "echo '-- MariaDB dump '; echo '" + told + "' >&2; exit 3"))
mariadb_dump.dump = dump
"""

# Killed by SIGKILL in the middle of the swap: the tables have moved, their triggers are not there yet.
KILLED = """
import os, signal
from lifeboat.sources.mariadb.packing import Packer
Packer.unpack = lambda *words, **more: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Host:
    fill(server)
    made = Host(tmp_path)
    source = {"type": "mariadb", "database": "shop", "socket": server.socket, "user": ME}
    made.job["sources"] = {"db": source}
    made.configure()
    return made


def test_a_database_is_lost_and_brought_back_and_taken_back(server: Server, host: Host) -> None:
    before = server.look("shop")
    id_ = host.run()
    verified = host.lifeboat(
        "verify", "shop", "--level", "content", "--identity", str(host.key), "--json"
    )
    assert verified.returncode == 0, verified.stderr
    server.sql("DELETE FROM many; DROP VIEW a_a", "shop")
    changed = server.look("shop")
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert server.look("shop") == before
    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr
    assert server.look("shop") == changed
    assert host.lifeboat("confirm", "shop").returncode == 0
    server.drop("shop")
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert server.look("shop") == before
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert server.leftovers() == []
    assert host.left_over() == []
    note = next(host.disk.glob("archives/*/*/*/RESTORE.md")).read_text()
    assert "mariadb --binary-mode" in note


def test_the_tables_that_are_there_now_are_shown_before_the_gate_asks(
    server: Server, host: Host
) -> None:
    host.run()
    server.drop("shop")
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.b (id int); CREATE TABLE shop.`a\x1b[2J` (id int)"
    )
    asked = ("restore", "shop", "--dry-run")
    shown = host.lifeboat(*asked)
    assert "    tables there now: a?[2J, b\n" in shown.stdout, shown.stdout + shown.stderr
    server.sql("; ".join(f"CREATE TABLE shop.c{number:02} (id int)" for number in range(45)))
    assert ", c37 and 7 more\n" in host.lifeboat(*asked).stdout
    (target,) = json.loads(host.lifeboat(*asked, "--json").stdout)["targets"]
    assert len(target["tables"]) == 47


def test_a_dump_that_met_an_altered_table_is_begun_anew_once(server: Server, host: Host) -> None:
    flag = str(host.base / "altered")
    done = host.lifeboat("run", "shop", before=ALTERED_ONCE.format(flag=flag))
    assert done.returncode == 0, done.stderr
    assert "begun anew, once" in done.stderr
    stored = host.stored()
    assert len([one for one in stored if "db.database.sql" in one]) == 1
    assert host.restore(done.stdout.strip(), "--into", "shop_again").returncode == 0
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert server.look("shop_again")[1:] == server.look("shop")[1:]
    server.drop("shop_again")


def test_a_restore_killed_in_its_swap_is_taken_back_by_recover(server: Server, host: Host) -> None:
    id_ = host.run()
    server.sql("DELETE FROM many", "shop")
    changed = server.look("shop")
    killed = host.restore(id_, before=KILLED)
    assert killed.returncode == -signal.SIGKILL
    assert server.leftovers() != []
    recovered = host.lifeboat("recover")
    assert recovered.returncode == 0, recovered.stderr
    assert server.look("shop") == changed
    assert server.leftovers() == []
