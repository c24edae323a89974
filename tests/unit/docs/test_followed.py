"""How scenarios follow a guide: at several hosts at once, and telling what failed where it can be seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.guide import Guide

SCENARIO = Path(__file__).resolve().parents[3] / "molecule" / "bookstack"


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    monkeypatch.setenv("MOLECULE_EPHEMERAL_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("MOLECULE_SCENARIO_DIRECTORY", str(SCENARIO))
    made = Guide("bookstack")
    made.text = "\n## One\n\n```sh\ntrue\necho E: no such package >&2; false\ntrue\n```\n"
    return made


def test_what_is_typed_at_many_hosts_at_once_is_all_remembered(guide: Guide) -> None:
    with ThreadPoolExecutor(8) as hosts:
        typed = list(hosts.map(lambda _host: guide._block("One", 0, {}), range(200)))
    assert len(guide._done()) == len(typed) == 200
    assert guide.left() == []


def test_the_first_line_of_a_failure_says_what_failed_and_how(guide: Guide) -> None:
    with pytest.raises(AssertionError) as told:
        guide.at_controller("One")
    first = str(told.value).splitlines()[0]
    assert "it ended with 1" in first
    assert "E: no such package" in first
    assert "ended with 1: false" in first
