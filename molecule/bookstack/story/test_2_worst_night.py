"""The wiki is lost: it comes back by the name of a backup, goes again, and moves to another host."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.lab import users
from tests.lab.guide import Guide
from tests.lab.hosts import PHRASE

State = dict[str, list[str]]
Look = Callable[[str], State]

SAMPLE = "20261121T030000Z-daily-7f3a"  # stands in the guide for the name of a backup
LOSSES = """
podman exec bookstack sh -c 'rm -rf /uploads/images; echo new >/uploads/new'
rm ~/bookstack/secrets/app.key
"""


@pytest.fixture(scope="module")
def whole(state: Look) -> State:
    """The wiki as it is before anything is lost."""
    found = state("wiki1")
    assert all(len(lines) > (1 if part == "key" else 40) for part, lines in found.items())
    return found


@pytest.fixture(scope="module")
def backup(whole: State) -> str:
    """The name of the newest backup."""
    listed = users.told("wiki1", "wiki", "lifeboat list wiki --json")
    return str(listed[0]["id"])


@pytest.fixture(scope="module")
def answers(key: str) -> dict[str, str]:
    """What a person types when asked."""
    return {"paste the private key": key, "type RESTORE PRODUCTION": PHRASE}


def test_a_drill_brings_all_of_it_back_elsewhere(guide: Guide, answers: dict[str, str]) -> None:
    shown = guide.on_host("wiki1", "Prove it", answers=answers, user="wiki")
    assert ": passed" in shown
    assert len(re.findall(r"(db|key|uploads): restored in", shown)) == 3


def test_what_was_lost_comes_back_by_its_name_and_goes_again(
    guide: Guide,
    backup: str,
    answers: dict[str, str],
    state: Look,
    whole: State,
    sql: Callable[[str], str],
) -> None:
    sql("USE bookstack; DROP TABLE pages; DELETE FROM users; CREATE TABLE intruder (id int)")
    assert users.on("wiki1", "wiki", LOSSES).returncode == 0
    lost = state("wiki1")
    assert all(lost[part] != whole[part] for part in whole)

    def typed(number: int) -> str:
        named = {SAMPLE: backup} if number < 2 else {}
        return guide.on_host(
            "wiki1", "The worst night", number, answers, instead=named, user="wiki"
        )

    assert "tables there now: intruder, settings, users" in typed(0)
    shown = typed(1)
    assert shown.index("tables there now") < shown.index("type RESTORE PRODUCTION")
    assert answers["paste the private key"] not in shown
    assert state("wiki1") == whole
    typed(2)
    assert state("wiki1") == lost
    typed(1)
    typed(3)
    assert state("wiki1") == whole


def test_the_container_that_was_stopped_for_it_runs_again() -> None:
    running = users.on("wiki1", "wiki", "podman ps --format '{{.Names}}'").stdout.split()
    assert sorted(running) == ["bookstack", "bookstack-db"]


def test_it_moves_to_a_host_with_other_credentials(
    guide: Guide, backup: str, state: Look, whole: State
) -> None:
    before = state("wiki2")
    assert all(before[part] != whole[part] for part in whole)
    guide.at_controller("Move it", instead={SAMPLE: backup})
    assert state("wiki2") == whole
    reads = (
        "MYSQL_PWD=$DB_PASSWORD mariadb --no-defaults -h $DB_HOST -u $DB_USERNAME -N $DB_DATABASE"
    )
    asked = f"podman exec bookstack sh -c '{reads} -e \"SELECT count(*) FROM pages\"'"
    assert users.on("wiki2", "wiki", asked).stdout.strip() == "40"
    assert users.on("wiki2", "wiki", "lifeboat confirm wiki").returncode == 0
