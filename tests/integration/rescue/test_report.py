# SPDX-License-Identifier: GPL-3.0-or-later
"""The monthly report of a real host: its numbers are those of the history, and every gap has a page too."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from .host import Host


def reported(host: Host, *words: str) -> dict[str, Any]:
    done = host.lifeboat("report", "shop", "--json", *words)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def text_of(path: Path) -> str:
    return " ".join(" ".join(ElementTree.parse(path).getroot().itertext()).split())


def history(host: Host) -> list[dict[str, Any]]:
    log = host.root / "state" / "log" / "history.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_numbers_of_the_page_are_those_of_the_history(host: Host, tmp_path: Path) -> None:
    host.job["objectives"] = {"rpo": "24h", "rto": "1h"}
    host.configure()
    first, second = host.run(), host.run()
    host.restore(first, "--reason", "ticket 42")
    host.lifeboat("confirm", "shop")
    assert host.lifeboat("drill", "shop", "--identity", str(host.key)).returncode == 0
    host.database.rename(host.data / "away")
    assert host.lifeboat("run", "shop").returncode != 0

    page = tmp_path / "report.html"
    told = reported(host, "--html", str(page))

    (job,) = told["jobs"]
    runs = [one for one in history(host) if one["event"] == "backup"]
    kept = ("at", "id", "exit_code", "seconds")
    assert [[one[name] for name in kept] for one in job["runs"]] == [
        [one[name] for name in kept] for one in runs
    ]
    assert [one["stored_bytes"] for one in job["runs"]] == [
        sum((one.get("stored") or {}).values()) for one in runs
    ]
    assert [one["id"] for one in job["backups"]] == [second, first]
    (copy,) = job["backups"][0]["copies"]
    assert copy["state"] == "restorable"
    assert list(copy["proved"]) == ["intact", "readable", "restorable"]
    drilled = next(one for one in history(host) if one["event"] == "drill")
    assert job["drills"][0]["phases"] == drilled["phases"]
    assert job["sources"][0]["rto_measured_s"] == drilled["sources"]["db"]["seconds"]
    restored = next(one for one in told["events"] if one["event"] == "restore")
    assert (restored["facts"]["id"], restored["facts"]["reason"]) == (first, "ticket 42")
    log = json.loads(host.lifeboat("audit", "--json").stdout)
    assert (told["audit"]["head"], told["audit"]["whole"]) == (log["head"], True)
    config = (host.root / "config" / "config.json").read_bytes()
    assert told["configuration"]["sha256"] == hashlib.sha256(config).hexdigest()
    assert job["tools"]["lifeboat"].startswith("lifeboat ")
    assert list(job["tools"]["sources"]["db"]) == ["sqlite"]

    shown = text_of(page)
    assert "66.7 % went well: 2 good, 1 failed." in shown
    assert "ticket 42" in shown
    assert told["audit"]["head"] in shown
    what = [one["what"] for one in told["recommendations"]]
    assert any(one.startswith("1 of 3 runs failed") for one in what)
    assert any("open with one age key alone" in one for one in what)
    assert all(one in shown for one in what)


def test_a_host_that_never_ran_has_a_page(host: Host, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    told = reported(host, "--html", str(page))
    assert "did not run in this month" in told["recommendations"][0]["what"]
    assert "no run is remembered" in text_of(page)


def test_what_to_type_is_in_the_page_when_the_host_is_gone(host: Host, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert host.lifeboat("report", "--html", str(page)).returncode == 0
    assert "lifeboat restore shop --identity -" in text_of(page)


def test_half_written_lines_and_lost_places_are_no_obstacle(host: Host, tmp_path: Path) -> None:
    host.run()
    log = host.root / "state" / "log"
    with (log / "history.jsonl").open("a") as lines:
        lines.write('{"event": "backup", "job": "shop", "at": 5, "stored": 3, "errors": 7}\n')
        lines.write('{"event": "backup", "job": "shop", "sec')
    with (log / "audit.jsonl").open("a") as lines:
        lines.write('{"seq": 99, "prev"')
    shutil.rmtree(host.disk)
    host.disk.write_text("no directory any more")

    page = tmp_path / "report.html"
    told = reported(host, "--html", str(page))

    assert len(told["jobs"][0]["runs"]) == 1
    assert not told["audit"]["whole"]
    assert not told["jobs"][0]["destinations"][0]["answered"]
    assert "NOT WHOLE" in text_of(page)


def test_another_month_holds_only_what_happened_in_it(host: Host) -> None:
    host.run()
    old = reported(host, "--month", "2024-02")
    assert (old["begins"], old["ends"]) == ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z")
    assert (old["jobs"][0]["runs"], old["events"]) == ([], [])
    done = host.lifeboat("report", "shop", "--month", "2024-2")
    assert done.returncode == 2
    assert "write it like 2026-11" in done.stderr


def test_a_page_that_cannot_be_written_is_one_clear_error(host: Host, tmp_path: Path) -> None:
    done = host.lifeboat("report", "shop", "--html", str(tmp_path / "none" / "x.html"))
    assert done.returncode == 1
    assert "the report" in done.stderr
    assert "cannot be written" in done.stderr


def test_without_a_program_a_pdf_is_refused_before_anything_is_looked_at(
    host: Host, tmp_path: Path
) -> None:
    done = host.lifeboat(
        "report", "shop", "--pdf", str(tmp_path / "x.pdf"), env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 2
    assert "install one of chromium, weasyprint or wkhtmltopdf" in done.stderr
    assert not (tmp_path / "x.pdf").exists()


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on this machine")
def test_a_pdf_is_made_where_there_is_a_browser(host: Host, tmp_path: Path) -> None:
    made = tmp_path / "x.pdf"
    done = host.lifeboat("report", "shop", "--pdf", str(made))
    assert done.returncode == 0, done.stderr
    assert made.read_bytes().startswith(b"%PDF-")
