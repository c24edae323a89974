"""Every store is lost at once; each comes back as it was, goes again, and comes back again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts, stored
from tests.lab.hosts import PHRASE, on, watched

FILES = Path(__file__).resolve().parent.parent / "files"
VALKEY = os.environ["LIFEBOAT_SUITE"] != "bookworm"  # which has none
KEEPERS = ("cache", "visits") if VALKEY else ("cache",)
UNITS = ("mariadb", "redis-server", "postgresql") + (
    *(["ferretdb"] if hosts.MONGODB else []),
    *(["valkey-server"] if VALKEY else []),
)
CONFIRMED = ("--confirm", PHRASE, "--target-host", "db")
LOSSES = (
    "mariadb -e 'DROP DATABASE wiki; DROP USER wiki_app@localhost'",
    "runuser -u postgres -- psql -XqAtc 'DROP DATABASE shop WITH (FORCE)'",
    "env REDISCLI_AUTH=cache-secret-of-the-lab redis-cli FLUSHALL",
    *(["env REDISCLI_AUTH=visits-secret-of-the-lab valkey-cli -p 6380 FLUSHALL"] if VALKEY else []),
    "find /srv/notes/kept -type f -delete",
    "rm -rf /srv/shop/uploads /srv/shop/settings.db /srv/extra",
    *([hosts.LOSE_MONGODB] if hosts.MONGODB else []),
)

SECRETS = [
    "cache-secret-of-the-lab",
    "visits-secret-of-the-lab",
    "dumps-secret-of-the-lab",
    "wiki-secret-of-the-lab",
    "root-secret-of-the-lab",
    "db-secret-of-the-lab",
    "AGE-SECRET-KEY-1",
]

State = dict[str, list[str]]


def state() -> State:
    script = (FILES / "resp.py").read_text() + (FILES / "state.py").read_text()
    ran = hosts.on("db", "python3", "-", stdin=script)
    assert ran.returncode == 0, ran.stderr
    found: State = json.loads(ran.stdout)
    found["documents"] = stored.sums("documents")
    return found


def differences(found: State, whole: State) -> dict[str, list[str]]:
    return {
        store: sorted(set(found[store]) ^ set(whole[store]))[:20]
        for store in whole
        if found[store] != whole[store]
    }


@pytest.fixture(scope="module")
def whole() -> State:
    found = state()
    assert {store for store, lines in found.items() if len(lines) >= 20} == set(found)
    assert ("visits" in found) is VALKEY
    return found


@pytest.fixture(scope="module")
def backup(whole: State) -> str:
    """The id of a backup of just that state, whole at both destinations."""
    ran, programs = watched("db", "run", "stores", "--json", secrets=SECRETS)
    assert ran.returncode == 0, ran.stderr
    dumping = {"mariadb-dump", "pg_dump", "redis-cli", "mongodump", "zstd", "age"}
    assert dumping & programs  # it looked while they ran
    report = json.loads(ran.stdout)
    assert {one["name"]: one["state"] for one in report["destinations"]} == {
        "disk": "intact",
        "offsite": "intact",
    }
    assert report["complete"]
    return str(report["id"])


@pytest.fixture(scope="module")
def lost(db: Host, backup: str) -> State:
    """What is left after the disaster."""
    for loss in LOSSES:
        db.check_output(loss)
    assert stored.remove("documents") == 30
    assert hosts.wait_for(lambda: not any(state().values()), timeout_s=20)
    return state()


def test_every_archive_decrypts_and_holds_what_it_says(backup: str, keys: Path) -> None:
    key = (keys / "escrow.key").read_text()
    words = ("verify", backup, "--level", "content", "--identity", "-", "--json")
    found = json.loads(typed(*words, stdin=key).stdout)
    assert {one["state"] for one in found} <= {"readable", "intact"}


def test_all_of_it_comes_back(backup: str, whole: State, lost: State, keys: Path) -> None:
    restored = rescue(backup, keys)
    assert restored.returncode == 0, restored.stderr
    assert differences(state(), whole) == {}


def test_undo_puts_back_what_was_there_before(backup: str, lost: State) -> None:
    typed("undo", "stores", backup, *CONFIRMED)
    assert differences(state(), lost) == {}


def test_one_store_comes_back_alone(backup: str, whole: State, keys: Path) -> None:
    typed("confirm", "stores")
    for number, store in enumerate(KEEPERS, 1):
        restored = rescue(backup, keys, "--only", store)
        assert restored.returncode == 0, restored.stderr
        found = state()
        assert {store for store, lines in found.items() if lines} == set(KEEPERS[:number])
        assert found[store] == whole[store]


def test_a_changed_host_goes_back_to_what_it_was(backup: str, whole: State, keys: Path) -> None:
    again = rescue(backup, keys)
    assert again.returncode == 0, again.stderr
    on("db", "mariadb", "wiki", "-e", "DELETE FROM word WHERE id > 10; CREATE TABLE fresh (id int)")
    changed = state()
    assert rescue(backup, keys).returncode == 0
    assert differences(state(), whole) == {}
    typed("undo", "stores", backup, *CONFIRMED)
    assert differences(state(), changed) == {}
    assert rescue(backup, keys).returncode == 0
    typed("confirm", "stores")
    assert differences(state(), whole) == {}


def test_the_servers_come_up_again_with_what_was_restored(db: Host, whole: State) -> None:
    for unit in UNITS:
        db.check_output("systemctl restart %s", unit)
    assert hosts.wait_for(lambda: not differences(state(), whole), timeout_s=20)


def typed(*words: str, stdin: str = "") -> hosts.Ran:
    """The command, which has to do well, while everybody looks at what everybody may see."""
    ran, _programs = watched("db", *words, secrets=SECRETS, stdin=stdin)
    assert ran.returncode == 0, ran.stderr
    return ran


def rescue(backup: str, keys: Path, *more: str) -> hosts.Ran:
    words = ("restore", "stores", backup, "--identity", "-", *CONFIRMED, *more)
    key = (keys / "operator.key").read_text()
    ran, _programs = watched("db", *words, secrets=SECRETS, stdin=key)
    return ran
