"""All five stores are lost; they come back within five minutes, go again, and a kill leaves the old or the new."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts, stored
from tests.lab.guide import Guide
from tests.lab.hosts import PHRASE, lifeboat, on, told

FILES = Path(__file__).resolve().parent.parent / "files"
REASON = "the visits of May are gone"
CONFIRMED = ("--confirm", PHRASE, "--target-host", "med-prod")
LOSSES = (
    "runuser -u postgres -- psql -XqAtc 'DROP DATABASE medisecure WITH (FORCE)'",
    "mariadb -e 'DROP DATABASE billing; DROP USER billing_app@localhost'",
    "env REDISCLI_AUTH=sessions-secret-of-the-lab redis-cli FLUSHALL",
    *([hosts.LOSE_MONGODB] if hosts.MONGODB else []),
)

State = dict[str, list[str]]
Look = Callable[[str], State]
Key = Callable[[str], str]


def differences(found: State, whole: State) -> dict[str, list[str]]:
    return {
        store: sorted(set(found[store]) ^ set(whole[store]))[:20]
        for store in whole
        if found[store] != whole[store]
    }


def invocation(prod: Host) -> str:
    """Another one whenever systemd has stopped and started the application."""
    return hosts.property_of(prod, "medisecure.service", "InvocationID")


@pytest.fixture(scope="module")
def whole(state: Look) -> State:
    found = state("med-prod")
    assert {store for store, lines in found.items() if len(lines) >= 40} == set(found)
    return found


@pytest.fixture(scope="module")
def backup(whole: State) -> str:
    report = told("med-prod", "run", "medisecure")
    assert {one["name"]: one["state"] for one in report["destinations"]} == {
        "disk": "intact",
        "offsite": "intact",
    }
    return str(report["id"])


@pytest.fixture(scope="module")
def lost(prod: Host, backup: str, state: Look) -> State:
    for loss in LOSSES:
        prod.check_output(loss)
    assert stored.remove("documents-production") == 40
    assert hosts.wait_for(lambda: not any(state("med-prod").values()), timeout_s=20)
    return state("med-prod")


@pytest.fixture(scope="module")
def answers(key: Key) -> dict[str, str]:
    """What the operator types at the terminal of the host."""
    return {"paste the private key": key("operator"), f"type {PHRASE}": PHRASE}


def test_production_is_refused_without_the_phrase_and_that_is_remembered(
    backup: str, lost: State, state: Look, key: Key
) -> None:
    words = ("--identity", "-", "--confirm", "restore production", "--target-host", "med-prod")
    ran = lifeboat("med-prod", "restore", "medisecure", backup, *words, stdin=key("operator"))
    assert ran.returncode == 6
    assert state("med-prod") == lost


def test_all_five_are_back_within_five_minutes_and_the_application_works(
    prod: Host,
    guide: Guide,
    backup: str,
    whole: State,
    lost: State,
    state: Look,
    answers: dict[str, str],
) -> None:
    before, begun = invocation(prod), time.monotonic()
    shown = guide.on_host("med-prod", "Restore", 0, answers)
    assert time.monotonic() - begun < 300
    assert f"restored {backup}" in shown
    assert differences(state("med-prod"), whole) == {}
    assert invocation(prod) != before
    assert prod.check_output("medisecure-health") == "5000"


@pytest.fixture(scope="module")
def old(prod: Host, guide: Guide, state: Look) -> State:
    """Another day: something is lost in three stores, and the application still works."""
    guide.on_host("med-prod", "Restore", 2)
    prod.check_output("runuser -u postgres -- psql -XqAtd medisecure -c 'TRUNCATE visit'")
    prod.check_output("mariadb billing -e 'DELETE FROM invoice WHERE id > 10'")
    prod.check_output("env REDISCLI_AUTH=sessions-secret-of-the-lab redis-cli DEL session:7")
    return state("med-prod")


def test_the_playbook_brings_back_the_backup_that_is_named(
    guide: Guide, backup: str, whole: State, old: State, state: Look
) -> None:
    shown = guide.at_controller("Restore", 3, instead={"20261121T020000Z-daily-7f3a": backup})
    assert "failed=0" in shown
    assert "AGE-SECRET-KEY-1" not in shown
    assert differences(state("med-prod"), whole) == {}


def test_undo_puts_back_what_was_there_before(
    guide: Guide, old: State, state: Look, answers: dict[str, str]
) -> None:
    guide.on_host("med-prod", "Restore", 1, answers)
    assert differences(state("med-prod"), old) == {}


def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new(
    prod: Host, guide: Guide, backup: str, whole: State, old: State, state: Look, key: Key
) -> None:
    script = (FILES / "kill_restore.py").read_text()
    words = ("medisecure", backup, "--identity", "-", *CONFIRMED)
    ran = on("med-prod", "python3", "-c", script, *words, stdin=key("operator"))
    assert ran.returncode == 0, ran.stderr
    assert lifeboat("med-prod", "status", "medisecure").returncode == 2

    shown = guide.on_host("med-prod", "Restore", 4)

    assert "state is in place" in shown
    expected = whole if "the new state is in place" in shown else old
    assert differences(state("med-prod"), expected) == {}
    assert told("med-prod", "recover") == []
    assert prod.service("medisecure").is_running


def test_who_did_what_is_told_and_proved(guide: Guide, backup: str) -> None:
    shown = guide.on_host("med-prod", "Who did what", 0)
    assert REASON in shown
    assert "entries" in shown
    events = told("med-prod", "history", "medisecure", "--last", "100")
    assert {"backup", "restore", "undo", "confirm", "recover"} <= {one["event"] for one in events}
    assert all(one["at"].endswith("Z") and one["who"] for one in events)
    shown = guide.on_host("med-prod", "Who did what", 1)
    assert f"restore {backup} REFUSED" in shown


def test_what_was_undone_is_let_go_of_and_all_is_well() -> None:
    assert lifeboat("med-prod", "confirm", "medisecure").returncode == 0
    assert {one["state"] for one in told("med-prod", "status", exit_code=0)} == {"good"}
