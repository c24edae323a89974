# SPDX-License-Identifier: GPL-3.0-or-later
"""A report says what the evidence says, recommends by plain rules, and its page holds nothing foreign."""

from __future__ import annotations

import copy
import re
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

import pytest
from lifeboat.errors import MissingDependency, UsageError
from lifeboat.operations.reports import evidence
from lifeboat.operations.reports.evidence import period
from lifeboat.operations.reports.html import page
from lifeboat.operations.reports.recommend import recommendations
from lifeboat.operations.reports.report import full_in, growth, of_job

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
HOSTILE = '"><script>alert(1)</script><img src="https://evil.example/x">&\x1b]0;\x00\udcff'
GIB = 1 << 30


def run(days_ago: float, good: bool = True, stored: int = GIB, **more: Any) -> dict[str, Any]:
    at = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"at": at, "id": "x", "exit_code": 0 if good else 1, "good": good, "seconds": 60.0}
    sizes = {"plain_bytes": 0, "stored_bytes": stored if good else 0}
    errors = [] if good else ["no room"]
    return {**told, **sizes, "outcomes": {}, "errors": errors, "odd": [], **more}


def well() -> dict[str, Any]:
    """A host of which there is nothing to say."""
    copy_ = {
        "destination": "disk",
        "state": "restorable",
        "signed": False,
        "locked_until": None,
        "proved": {"intact": "2026-11-21T02:00:00Z"},
        "marks": [],
    }
    taken = "2026-11-21T02:00:00Z"
    backup = {"id": "b1", "type": "daily", "taken_at": taken, "good": True, "copies": [copy_]}
    drill = {
        "at": "2026-11-20T02:00:00Z",
        "id": "b1",
        "passed": True,
        "restorable": True,
        "seconds": 30.0,
        "phases": {"fetch": 10.0},
    }
    destination = {
        "name": "disk",
        "answered": True,
        "error": "",
        "copies": 10,
        "deletable": False,
        "directory": "/backup",
    }
    source = {
        "name": "db",
        "kind": "sqlite",
        "rpo_s": 86400.0,
        "rpo_limit_s": 90000.0,
        "rto_s": 3600.0,
        "point_at": taken,
        "rto_measured_s": 30.0,
    }
    job = {
        "job": "shop",
        "environment": "production",
        "schedules": [{"type": "daily", "at": "02:00"}],
        "encryption": [],
        "sources": [source],
        "destinations": [destination],
        "standings": [],
        "findings": [],
        "backups": [backup],
        "tools": {},
        "runs": [run(days) for days in range(10, 0, -1)],
        "before": [],
        "drills": [drill],
        "last_drill": drill,
        "ever_restored": True,
    }
    log = {"lines": 3, "head": "ab", "first_at": "", "last_at": "", "problems": [], "whole": True}
    return {
        "version": 1,
        "host": "h1",
        "month": "2026-11",
        "begins": "2026-11-01T00:00:00Z",
        "ends": "2026-11-21T12:00:01Z",
        "made_at": "2026-11-21T12:00:00Z",
        "tools": {"lifeboat": "0"},
        "configuration": {"path": "/c", "sha256": "cd"},
        "audit": {**log, "path": "/log"},
        "jobs": [job],
        "events": [],
        "coverage": [{"kind": "tree", "name": "/srv/a", "jobs": ["shop"], "why": ""}],
        "disks": [{"places": ["/backup"], "free_bytes": 70 * GIB, "size_bytes": 100 * GIB}],
        "recommendations": [],
    }


def changed(**parts: Any) -> dict[str, Any]:
    told = well()
    told["jobs"][0].update(parts)
    return told


def source(**parts: Any) -> dict[str, Any]:
    return changed(sources=[{**well()["jobs"][0]["sources"][0], **parts}])


def whole(**parts: Any) -> dict[str, Any]:
    return {**well(), **parts}


def state(word: str) -> dict[str, Any]:
    told = well()
    told["jobs"][0]["backups"][0]["copies"][0]["state"] = word
    return told


def test_where_all_is_well_nothing_is_recommended() -> None:
    assert recommendations(well(), NOW) == []


STANDING = {"place": "disk", "state": "critical", "reason": "it is gone", "next": "lifeboat x"}
DRILL = {"at": "2026-11-20T02:00:00Z", "passed": False, "error": "rows differ"}
OLD = {"at": "2026-08-20T02:00:00Z", "passed": True}


@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        (changed(runs=[]), "critical", "did not run in this month"),
        (changed(runs=[run(3), run(2, good=False)]), "critical", "1 of 2 runs failed"),
        (changed(runs=[run(3), run(2, good=False), run(1)]), "warning", "most often: no room"),
        (changed(standings=[STANDING]), "critical", "disk: it is gone"),
        (source(point_at="2026-11-10T00:00:00Z"), "critical", "RPO of db missed"),
        (source(point_at=None), "critical", "RPO of db missed: there is none"),
        (source(rto_measured_s=3601.0), "critical", "RTO of db missed: the last drill took 1h"),
        (source(rto_measured_s=None), "warning", "the RTO of db was never measured"),
        (source(rto_s=None, rpo_s=None), "advice", "nothing is promised"),
        (changed(ever_restored=False, last_drill=None), "warning", "never drilled"),
        (changed(last_drill=DRILL), "critical", "the last drill failed: rows differ"),
        (changed(last_drill=OLD), "warning", "the last drill was 93d"),
        (state("suspect"), "warning", "b1 is suspect, and does not count"),
        (state("corrupt"), "critical", "b1 is corrupt"),
        (
            changed(findings=[{"state": "warning", "told": "one key alone", "hint": "add one"}]),
            "warning",
            "one key alone",
        ),
        (
            whole(coverage=[{"kind": "database", "name": "crm", "jobs": [], "why": ""}]),
            "warning",
            "no job protects: database crm",
        ),
        (
            whole(audit={**well()["audit"], "problems": ["line 3"], "whole": False}),
            "critical",
            "the audit log is not as it was written: line 3",
        ),
        (
            whole(disks=[{"places": ["/b"], "free_bytes": GIB, "size_bytes": 100 * GIB}]),
            "critical",
            "less than 5 % is free on the disk of /b",
        ),
    ],
)
def test_each_rule_finds_what_it_is_for_and_nothing_else(
    told: dict[str, Any], level: str, words: str
) -> None:
    found = recommendations(told, NOW)
    assert [one.level for one in found] == [level]
    assert words in found[0].what
    assert found[0].do


def test_a_host_that_may_delete_every_copy_is_told() -> None:
    told = well()
    told["jobs"][0]["destinations"][0]["deletable"] = True
    assert "may delete every copy" in recommendations(told, NOW)[0].what


def test_growth_says_when_the_disk_is_full() -> None:
    """1 GiB a day each, ten are kept, 70 GiB are free: a week."""
    told = changed(runs=[run(days, stored=(30 - days) * GIB) for days in range(20, 0, -1)])
    assert growth(of_job("h1", told["jobs"][0]).sizes) == pytest.approx(GIB)
    left = full_in(told["disks"][0], told["jobs"])
    assert left is not None
    assert left.days in (6, 7)
    (only,) = recommendations(told, NOW)
    assert only.level == "critical"
    assert "growth fills the disk of /backup" in only.what


@pytest.mark.parametrize("sizes", [[], [5], [5, 6, 7]])
def test_too_few_runs_have_no_trend(sizes: list[int]) -> None:
    job = changed(runs=[run(20 - 5 * n, stored=size) for n, size in enumerate(sizes)])["jobs"][0]
    assert of_job("h1", job).growth_per_day is None


def test_what_shrinks_fills_no_disk() -> None:
    told = changed(runs=[run(days, stored=days * GIB) for days in range(20, 0, -1)])
    assert full_in(told["disks"][0], told["jobs"]) is None


@pytest.mark.parametrize("text", ["2026-13", "11-2026", "2026-1", "now", "2026-12", "0000-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        period(text, NOW)


def test_a_month_ends_when_it_ends() -> None:
    october = period("2026-10", NOW)
    assert october.holds("2026-10-31T23:59:59Z")
    assert not october.holds("2026-11-01T00:00:00Z")
    assert not october.holds("yesterday")
    assert period("", NOW).name == "2026-11"
    assert period("", NOW).holds("2026-11-21T12:00:00Z")


def test_an_entry_of_the_history_that_makes_no_sense_is_no_good_run() -> None:
    told = evidence._run({"at": 7, "exit_code": "0", "stored": [1], "errors": "x", "seconds": "1"})
    assert (told["good"], told["stored_bytes"], told["seconds"], told["errors"]) == (
        False,
        0,
        0,
        [],
    )


def tree(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def hostile(value: Any) -> Any:
    """The same evidence; every text that is no instant, level or state of ours is hostile."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return value if not isinstance(value, str) or value[:2] == "20" else value + HOSTILE


def test_no_name_breaks_out_of_the_page() -> None:
    told = hostile(changed(runs=[run(3), run(2, good=False)], last_drill=DRILL))
    told["recommendations"] = [{"level": HOSTILE, "job": HOSTILE, "what": HOSTILE, "do": HOSTILE}]
    made = page([told, hostile(copy.deepcopy(well()))], {HOSTILE: HOSTILE})
    made.encode("utf-8")
    root = tree(made)
    tags = {one.tag.split("}")[-1] for one in root.iter()}
    assert not tags & {"script", "img", "iframe", "link", "object", "a", "image", "use"}
    assert "\x1b" not in made
    assert "\x00" not in made


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    made = page([well()])
    for one in tree(made).iter():
        for name in one.attrib:
            assert not re.match(r"(.*\})?(src|href|on\w+|data|action)$", name), (one.tag, name)
    without = made.replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xhtml", ""
    )
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", without)
    assert "@import" not in made
    assert re.findall(r"url\(([^)]*)\)", made) == ["#hatch"]
    assert "default-src 'none'" in made


def test_a_fleet_has_one_page_that_also_names_who_told_nothing() -> None:
    second = well()
    second["host"] = "a2"
    made = page([well(), second], {"h9": "unreachable"})
    text = " ".join(tree(made).itertext())
    assert made.count("<h1>") == 1
    assert text.index("Host a2") < text.index("Host h1")
    assert re.search(r"h9\s*unreachable", text)


@pytest.mark.parametrize("told", [[], [whole(jobs=[])], [changed(runs=[], drills=[], backups=[])]])
def test_where_nothing_was_measured_there_is_a_page_all_the_same(told: list[Any]) -> None:
    assert tree(page(told)).tag.endswith("html")


def test_without_a_program_for_it_there_is_no_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    from lifeboat.cli import pdf

    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependency, match="no program here makes a PDF"):
        pdf.renderer()
