# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill host told is seen by the host that made the backup, and nobody else can say it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import DrillHost


class Pair:
    """h1 backs up, with an objective; cellar drills what it backed up."""

    def __init__(self, host: DrillHost, base: Path) -> None:
        self.host, self.base = host, base
        host.job["objectives"] = {"rto": "1h"}
        self.cellar = DrillHost(base, "cellar", disk=host.disk)
        self.cellar.job["drill"] = {"hosts": ["h1"]}
        self.configure()

    def configure(self) -> None:
        self.host.configure()
        self.cellar.configure()

    def key(self, name: str) -> str:
        """A new key to sign with, known to both as a credential; its public half."""
        path = self.base / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(words, check=True)
        for one in (self.host, self.cellar):
            store = one.root / "config/credentials"
            store.mkdir(mode=0o700, exist_ok=True)
            (store / name).write_text(json.dumps(path.read_text()))
            (store / name).chmod(0o600)
        return path.with_suffix(".pub").read_text().strip()

    def drill(self, expected: int = 0) -> dict[str, Any]:
        return self.cellar.told(expected=expected)

    def report(self) -> Path:
        (found,) = self.host.disk.glob("catalog/h1/shop/*.report-*")
        return found

    def told(self, source: str) -> tuple[str, str]:
        """(state, reason) of a line of the backing host's status."""
        lines = json.loads(self.host.lifeboat("status", "--json").stdout)
        return next(
            ((one["state"], one["reason"]) for one in lines if one["source"] == source), ("", "")
        )


@pytest.fixture
def pair(host: DrillHost, tmp_path: Path) -> Pair:
    return Pair(host, tmp_path)


def test_the_host_that_made_the_backup_shows_the_drill_of_its_drill_host(pair: Pair) -> None:
    host = pair.host
    page = host.root / "config/RUNBOOK.md"
    assert host.lifeboat("runbook", "--output", str(page)).returncode == 0
    assert "| never drilled |" in page.read_text()
    assert "never measured" in pair.told("db")[1]

    made = pair.drill()

    state, reason = pair.told("db")
    assert (state, "RTO 1h met" in reason) == ("good", True)
    state, reason = pair.told("drill")
    assert state == "good"
    assert reason.startswith(f"cellar, {made['id']} from disk: the last passed")
    assert host.lifeboat("freshness", "--unit", "all").returncode == 0
    metrics = host.lifeboat("metrics").stdout
    (line,) = [one for one in metrics.splitlines() if "measured_rto_seconds{" in one]
    assert float(line.split()[-1]) == made["sources"]["db"]["seconds"]
    assert "lifeboat_last_drill_success{" in metrics
    assert host.lifeboat("runbook", "--refresh").returncode == 0
    assert "never drilled" not in page.read_text()
    assert json.loads(pair.report().read_text())["by"] == "cellar"


def test_a_drill_that_failed_elsewhere_is_critical_here_and_tells_nothing_private(
    pair: Pair,
) -> None:
    pair.cellar.job["drill"]["check"] = ["/bin/sh", "-c", "echo customer 4711 >&2; exit 1"]
    pair.configure()

    pair.drill(expected=1)

    assert pair.told("drill")[0] == "critical"
    assert b"4711" not in pair.report().read_bytes()
    assert b"check" not in pair.report().read_bytes()


def test_a_mark_alone_is_no_drill_where_there_are_signers(pair: Pair) -> None:
    pair.host.configuration["drill_signers"] = [pair.key("cellar_key")]
    pair.configure()
    manifest = next(pair.host.disk.glob("catalog/h1/shop/*.json"))
    now = json.loads(manifest.read_text())["taken_at"].replace("-", "").replace(":", "")
    manifest.with_suffix(f".drilled-{now}").touch()

    state, reason = pair.told("db")

    assert (state, "none of drill_signers" in reason) == ("warning", True)


def _unsigned(pair: Pair) -> None:
    pair.report().write_bytes(pair.report().read_bytes().partition(b"\n")[0])


def _changed(pair: Pair) -> None:
    before = pair.report().read_bytes()
    after = before.replace(b'"by": "cellar"', b'"by": "closet"')
    assert before != after
    pair.report().write_bytes(after)


def _later(pair: Pair) -> None:
    """A true one under another instant's name."""
    name = pair.report().name
    pair.report().rename(pair.report().with_name(name[:-6] + "59595Z"[-6:]))


def _nonsense(pair: Pair) -> None:
    pair.report().write_bytes(b"[" * 100_000)


@pytest.mark.parametrize("forge", [_unsigned, _changed, _later, _nonsense])
def test_only_what_a_drill_host_signed_is_believed(
    pair: Pair, forge: Callable[[Pair], None]
) -> None:
    public = pair.key("cellar_key")
    pair.host.configuration["drill_signers"] = [public]
    pair.cellar.configuration["signing"] = {"key": {"credential": "cellar_key"}}
    pair.configure()
    pair.drill()
    assert "RTO 1h met" in pair.told("db")[1]

    forge(pair)

    assert pair.told("drill") == ("", "")
    assert pair.told("db")[0] == "warning"


def test_who_signs_drills_signs_no_backup(pair: Pair) -> None:
    own, theirs = pair.key("own_key"), pair.key("cellar_key")
    pair.host.configuration["signing"] = {"key": {"credential": "cellar_key"}}
    pair.configure()
    pair.host.run()  # as who took the drill host over could
    pair.host.configuration["signing"] = {"key": {"credential": "own_key"}}
    pair.host.configuration.update(signers=[own], drill_signers=[theirs])
    pair.configure()

    done = pair.host.lifeboat("verify", "shop")

    assert done.returncode != 0
    assert "not signed by any of the configured signers" in done.stdout + done.stderr
