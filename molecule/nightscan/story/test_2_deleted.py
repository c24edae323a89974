"""Something was deleted: the database alone comes back, then the data alone, as the guide is typed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import PHRASE, lifeboat

TITLE = "Something was deleted"

State = Callable[[str], list[str]]
Answer = Callable[[str], dict[str, int]]


@pytest.fixture(scope="module")
def whole(state: State) -> list[str]:
    found = state("night1")
    assert len(found) > 20_400
    return found


@pytest.fixture
def answers(key: str) -> dict[str, str]:
    return {"paste the private key": key, f"type {PHRASE}": PHRASE}


def test_looking_touches_nothing(guide: Guide, state: State, whole: list[str]) -> None:
    shown = guide.on_host("night1", TITLE)
    assert "intact" in shown
    assert state("night1") == whole


def test_the_database_alone_comes_back(
    guide: Guide,
    night1: Host,
    state: State,
    whole: list[str],
    answer: Answer,
    answers: dict[str, str],
) -> None:
    assert answer("night1")["scans"] == 20_000
    night1.check_output(
        "runuser -u postgres -- psql -XqAtd nightscan -c 'DELETE FROM scan WHERE id > 9'"
    )
    night1.check_output("redis-cli SET since 1")
    guide.on_host("night1", TITLE, 2, answers)
    lost = set(whole) ^ set(state("night1"))
    assert {one.split(":")[0] for one in lost} == {"redis"}  # what came since is there
    assert answer("night1")["scans"] == 20_000
    guide.on_host("night1", TITLE, 3)
    night1.check_output("redis-cli DEL since")
    assert state("night1") == whole


def test_the_user_data_alone_comes_back_from_a_weekly_backup(
    guide: Guide,
    night1: Host,
    state: State,
    whole: list[str],
    answer: Answer,
    answers: dict[str, str],
) -> None:
    night1.check_output("rm -r /srv/nightscan/data/reports/3")
    shown = guide.on_host("night1", TITLE, 4, answers)
    assert "-weekly-" in shown
    assert state("night1") == whole


def test_redis_alone_comes_back(night1: Host, state: State, whole: list[str], key: str) -> None:
    newest = json.loads(
        lifeboat("night1", "list", "nightscan", "--query", "[?good] | [0].id").stdout
    )
    night1.check_output("redis-cli FLUSHALL")
    words = ("--only", "redis", "--identity", "-", "--confirm", PHRASE, "--target-host", "night1")
    ran = lifeboat("night1", "restore", "nightscan", newest, *words, stdin=key)
    assert ran.returncode == 0, ran.stderr
    assert state("night1") == whole
    assert lifeboat("night1", "confirm", "nightscan").returncode == 0
