"""What the chapters share: the shop before the disaster, and the backup that was made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import hosts

STATE = Path(__file__).resolve().parent.parent / "files" / "state.py"

State = dict[str, list[str]]


@pytest.fixture(scope="session")
def state() -> Callable[[str], State]:
    """Everything that a restore has to bring back on a host, line by line; see files/state.py."""

    def look(host: str) -> State:
        ran = hosts.on(host, "python3", "-", stdin=STATE.read_text())
        assert ran.returncode == 0, ran.stderr
        found: State = json.loads(ran.stdout)
        return found

    return look


@pytest.fixture(scope="session")
def whole(state: Callable[[str], State]) -> State:
    """The shop before the disaster."""
    found = state("db")
    assert len(found["database"]) > 10_000
    assert len(found["files"]) > 300
    assert len(found["settings"]) > 5_000
    return found


@pytest.fixture(scope="session")
def lacking(
    state: Callable[[str], State], whole: State
) -> Callable[[str], dict[str, tuple[list[str], list[str]]]]:
    """How a host differs from the shop before the disaster: {} or, for each part, (missing, added)."""

    def compare(host: str) -> dict[str, tuple[list[str], list[str]]]:
        found = state(host)
        return {
            part: (
                only(whole[part], found[part]),
                only(found[part], whole[part]),
            )
            for part in whole
            if found[part] != whole[part]
        }

    return compare


@pytest.fixture(scope="session")
def backup(whole: State) -> str:
    """The id of a backup of just that state, intact at both destinations."""
    report = hosts.told("db", "run", "shop", "--type", "predeploy", "--tag", "v1.2.3")
    proved = {one["name"]: one["state"] for one in report["destinations"]}
    assert proved == {"disk": "intact", "offsite": "intact"}
    assert report["complete"]
    return str(report["id"])


def only(lines: list[str], others: list[str]) -> list[str]:
    """The beginnings of the first lines that the others do not have."""
    known = set(others)
    return [line[:300] for line in lines if line not in known][:20]
