# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever follows a unit reads files that the unit's user wrote: none may hold or mislead the follower."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lifeboat.cli import unit, watch
from lifeboat.errors import LifeboatError, LockedError, MissingDependency, SpoolError
from lifeboat.paths import Paths, paths
from lifeboat.progress import Event, silent

EVENT = Event("dump", "db.database", 5, 10)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Paths whose units have ended the moment they are asked."""
    monkeypatch.setattr(unit, "_systemctl", lambda *_words, **_options: b"inactive\n")
    found = paths("user", str(tmp_path))
    for folder in (found.runtime, found.last_run("shop").parent):
        folder.mkdir(parents=True)
    return found


def _link(path: Path) -> None:
    target = path.parent / "elsewhere"
    target.write_text(json.dumps(EVENT.__dict__))
    path.symlink_to(target)


def _large(path: Path) -> None:
    path.write_text(json.dumps({**EVENT.__dict__, "what": "x" * (1 << 20)}))


def _deep(path: Path) -> None:
    path.write_text("[" * 500_000)


PLANTS = pytest.mark.parametrize("plant", [os.mkfifo, _link, _large, _deep])


def followed(places: Paths) -> list[Event]:
    events: list[Event] = []
    unit._follow(places, "lifeboat-run@shop:manual.service", "shop", events.append)
    return events


@PLANTS
def test_a_request_is_a_small_regular_file(places: Paths, plant: Callable[[Path], None]) -> None:
    assert unit.take_request(places, "shop") == {}
    plant(places.request("shop"))
    with pytest.raises(LifeboatError, match="request"):
        unit.take_request(places, "shop")


@PLANTS
def test_a_report_is_a_small_regular_file(
    places: Paths, plant: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "_follow", lambda *_all: plant(places.last_run("shop")))
    with pytest.raises(LifeboatError, match=r"shop\.json"):
        unit.run_through_unit(places, "shop", {}, silent)


@PLANTS
def test_progress_that_our_unit_did_not_write_is_not_shown(
    places: Paths, plant: Callable[[Path], None]
) -> None:
    plant(places.progress("shop"))
    assert followed(places) == []


def test_what_the_run_before_was_doing_is_not_shown_as_done_now(
    places: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = json.dumps({**EVENT.__dict__, "phase": "prune"})
    places.progress("shop").write_text(past)

    def systemctl(_paths: Paths, *words: str) -> bytes:
        if "start" in words:
            unit.leave_report(places, "shop", {"id": "x"})
        return b"inactive\n"

    monkeypatch.setattr(unit, "_systemctl", systemctl)
    told: list[Event] = []
    unit.run_through_unit(places, "shop", {}, told.append)
    assert told == []
    places.progress("shop").unlink()
    followed(places)  # no progress at all is no event either


@pytest.mark.parametrize("change", [{"done_bytes": "many"}, {"done_bytes": 1e999}, {"phase": None}])
def test_progress_with_odd_values_breaks_no_follower(places: Paths, change: object) -> None:
    wrong = {**EVENT.__dict__, **dict(change)}  # type: ignore[call-overload]
    places.progress("shop").write_text(json.dumps(wrong))
    for event in followed(places):
        assert watch.sentence(event)


def test_control_characters_reach_no_terminal(
    places: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**EVENT.__dict__, "what": "db\x1b]0;owned\x07\x9b\n", "problem": "\u202ex"}
    places.progress("shop").write_text(json.dumps(told))
    (event,) = followed(places)
    assert (event.what, event.problem) == ("db?]0;owned???", "?x")

    report = {"id": "a\x1b[2J", "sources": [{"detail": "one\ntwo\r", "rows": 3}]}
    monkeypatch.setattr(unit, "_follow", lambda *_all: unit.leave_report(places, "shop", report))
    assert unit.run_through_unit(places, "shop", {}, silent) == {
        "id": "a?[2J",
        "sources": [{"detail": "one\ntwo?", "rows": 3}],
    }


@pytest.mark.parametrize("kind", [SpoolError, LockedError, MissingDependency])
def test_why_a_unit_made_no_backup_is_said_where_it_was_asked_for(
    places: Paths, kind: type[LifeboatError], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = kind("the spool has no room", detail="0 bytes\x1b[2J free", hint="make room there")
    monkeypatch.setattr(unit, "_follow", lambda *_all: unit.leave_failure(places, "shop", failed))
    with pytest.raises(LifeboatError) as told:
        unit.run_through_unit(places, "shop", {}, silent)
    assert told.value.lines() == [
        "the spool has no room",
        "  | 0 bytes?[2J free",
        "  hint: make room there",
    ]
    assert told.value.exit_code == kind.exit_code


@pytest.mark.parametrize("odd", [{}, {"error": [1], "exit_code": "x"}, {"exit_code": 0}])
def test_a_failure_that_our_unit_did_not_write_is_a_failure(
    places: Paths, odd: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"failure": odd}
    monkeypatch.setattr(unit, "_follow", lambda *_all: unit.leave_report(places, "shop", left))
    with pytest.raises(LifeboatError) as told:
        unit.run_through_unit(places, "shop", {}, silent)
    assert told.value.exit_code == 1


def test_the_progress_file_is_not_for_everybody_and_says_no_problem(tmp_path: Path) -> None:
    passed: list[Event] = []
    event = replace(EVENT, problem="pg_dump: row of secret table")
    watch.ProgressFile(tmp_path / "progress", passed.append)(event)
    assert stat.S_IMODE((tmp_path / "progress").stat().st_mode) == 0o640
    assert "secret" not in (tmp_path / "progress").read_text()
    assert watch.event_of(json.loads((tmp_path / "progress").read_text())).problem
    assert passed == [event]
