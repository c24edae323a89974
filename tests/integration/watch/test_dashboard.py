# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard is one that Grafana's own schema knows, and asks only for metrics that are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from lifeboat.operations.watching.metrics import METRICS

from tests.unit.docs import markdown

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/backup_monitoring/files"
CONTENT = json.loads((FILES / "dashboard.json").read_text())


def lost(given: Any, kept: Any, where: str = "") -> list[str]:
    """The keys of `given` that the schema does not have, or has another value for."""
    if isinstance(given, dict):
        there = kept if isinstance(kept, dict) else {}
        return [one for key in given for one in lost(given[key], there.get(key), f"{where}.{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            one
            for place, pair in enumerate(zip(given, kept))
            for one in lost(*pair, f"{where}[{place}]")
        ]
    return [] if given in (kept, [], None) else [f"{where}: {given!r}"]


def test_grafanas_schema_takes_all_of_it() -> None:
    known = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(CONTENT)))
    assert lost(CONTENT, known) == []


def test_a_key_that_the_schema_does_not_have_would_be_seen() -> None:
    broken = {**CONTENT, "titel": "x"}
    known = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(broken)))
    assert lost(broken, known) == [".titel: 'x'"]


def test_panels_have_names_words_and_places_of_their_own() -> None:
    panels = CONTENT["panels"]
    assert len({one["title"] for one in panels}) == len(panels)
    assert all(one["description"] and one["targets"] for one in panels)
    squares = [
        (one["gridPos"]["x"] + x, one["gridPos"]["y"] + y)
        for one in panels
        for x in range(one["gridPos"]["w"])
        for y in range(one["gridPos"]["h"])
    ]
    assert len(set(squares)) == len(squares)
    assert max(x for x, _y in squares) < 24


def test_rules_and_panels_ask_for_metrics_that_are_written() -> None:
    for name in ("dashboard.json", "alerts.yml"):
        text = (FILES / name).read_text()
        asked = set(re.findall(r"\blifeboat_[a-z_]+", text))
        assert asked - set(METRICS) == set()


def test_the_page_lists_every_metric_and_every_alert() -> None:
    page = ROOT / "docs/monitoring.md"
    tables = markdown.tables(page)
    assert [[one.strip("`") for one in cells[:1]] + cells[1:] for cells in tables["Metrics"]] == [
        [name, told] for name, told in METRICS.items()
    ]
    alerts = re.findall(r"- alert: (\w+)", (FILES / "alerts.yml").read_text())
    assert [cells[0].strip("`") for cells in tables["Alerts"]] == alerts
