# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires by its real cause, in a real Prometheus; every panel of the dashboard shows series.

One host, a job for each cause. The rules are the shipped ones without their waiting times.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import Host

from . import prometheus
from .prometheus import Prometheus, wait_for

FILES = Path(__file__).resolve().parents[3] / "roles/backup_monitoring/files"
RULES, DASHBOARD = FILES / "alerts.yml", FILES / "dashboard.json"
AGO = """
import datetime as _d
import lifeboat.cli.session as _s
class _Then(_d.datetime):
    @classmethod
    def now(cls, tz=None):
        return _d.datetime.now(tz) - _d.timedelta(hours={hours})
_s.datetime = _Then
"""
DENIED = Path(__file__).resolve().parents[2] / "unit/operations/denied.log"  # a real kernel's
AUDITD = """
import pathlib as _p
import lifeboat.operations.standing.denied as _k
_k.LOG = _p.Path({log!r})
"""
CAUSES = [
    ("LifeboatBackupFailed", "failed"),
    ("LifeboatBackupMissing", "failed"),
    ("LifeboatBackupAging", "stale"),
    ("LifeboatBackupStale", "stale"),
    ("LifeboatRpoMissed", "stale"),
    ("LifeboatDrillMissed", "stale"),
    ("LifeboatNotChecked", "unchecked"),
    ("LifeboatDestinationDown", "down"),
    ("LifeboatCopyCorrupt", "corrupt"),
    ("LifeboatDrillFailed", "corrupt"),
    ("LifeboatNeverDrilled", "corrupt"),
    ("LifeboatRtoMissed", "well"),
    ("LifeboatSizeJump", "grown"),
    ("LifeboatPruneOverdue", "well"),
    ("LifeboatRestoreOpen", "restored"),
    ("LifeboatEncryptionError", "sealed"),
    ("LifeboatKeyExpiring", "gpg"),
    ("LifeboatUnauthorisedAccess", "well"),
    ("LifeboatAccessDenied", "restored"),  # by the gate
    ("LifeboatAccessDenied", ""),  # by the system
    ("LifeboatAuditChanged", ""),
    ("LifeboatTimerOff", "well"),
    ("LifeboatNotificationsFail", ""),
]


class Causes:
    """A host on which everything that is alerted on has happened."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(folder)
        self.textfiles = folder / "textfile"
        self.textfiles.mkdir()
        self.env = {"XDG_CONFIG_HOME": str(folder / "xdg")}
        units = folder / "xdg/systemd/user"
        units.mkdir(parents=True)
        (units / "lifeboat-run@.timer").write_text("[Timer]\n")  # installed, and never enabled
        (self.host.root / "config").mkdir(exist_ok=True)
        self.host.configuration["textfile_path"] = str(self.textfiles)
        self.host.configuration["jobs"] = {}
        disk = self.host.configuration["destinations"]["disk"]
        self.host.configuration["destinations"]["away"] = dict(disk, path=str(folder / "file/away"))
        (folder / "file").write_text("no directory")

    def job(self, name: str, **more: Any) -> Path:
        path = self.host.data / f"{name}.db"
        with sqlite3.connect(path) as connection:
            connection.execute("create table book (title)")
            connection.execute("insert into book values ('one')")
        connection.close()
        self.host.configuration["jobs"][name] = {
            "sources": {"db": {"type": "sqlite", "path": str(path)}},
            "destinations": ["disk"],
            "schedule": "02:00",
            **more,
        }
        self.host.configure()
        return path

    def lifeboat(self, *words: str, ago_h: float = 0, fails: bool = False, before: str = "") -> str:
        before += AGO.format(hours=ago_h) if ago_h else ""
        done = self.host.lifeboat(*words, before=before, env=self.env)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout.strip()

    def catalog(self, job: str) -> Path:
        return self.host.disk / "catalog/h1" / job

    def happen(self) -> None:
        self.job("failed").unlink()
        self.lifeboat("run", "failed", fails=True)
        self.job("stale", objectives={"rpo": "24h"})
        id_ = self.lifeboat("run", "stale", ago_h=40 * 24)
        when = id_.split("-")[0]
        (self.catalog("stale") / f"{id_}.drilled-{when}").touch()
        self.job("down", destinations=["disk", "away"])
        self.corrupt()
        self.grown()
        self.job("restored")
        id_ = self.lifeboat("run", "restored")
        asked = ("restore", "restored", id_, "--identity", str(self.host.key))
        asked += ("--target-host", "h1")
        self.lifeboat(*asked, "--confirm", "RESTORE", fails=True)
        self.lifeboat(*asked, "--confirm", "RESTORE PRODUCTION")
        self.job("sealed", encryption={"age_recipients": ["age1thisisnokeyofanybody"]})
        self.gpg()
        self.well()
        # nobody is told, for nobody listens there
        store = self.host.root / "config/credentials"
        store.mkdir(mode=0o700)
        (store / "hook").write_text('"json://127.0.0.1:9/x"')
        (store / "hook").chmod(0o600)
        self.host.configuration["notify"] = {"urls": {"hook": {"credential": "hook"}}}
        self.job("unchecked")
        (self.host.root / "config/config.json").chmod(0o644)
        self.lifeboat("freshness", fails=True, before=self.intrude())
        self.lifeboat("freshness", "unchecked", ago_h=14)

    def intrude(self) -> str:
        """Somebody tries the configuration, and changes the audit log; code that says where auditd wrote it."""
        log = self.host.base / "audit.log"
        told = DENIED.read_text().replace("/etc/lifeboat", str(self.host.root / "config"))
        log.write_text(re.sub(r"audit\(\d+", f"audit({int(time.time())}", told))
        audit = self.host.root / "state/log/audit.jsonl"
        audit.write_text(audit.read_text().replace('"exit_code": 1', '"exit_code": 0', 1))
        return AUDITD.format(log=str(log))

    def corrupt(self) -> None:
        self.job("corrupt")
        id_ = self.lifeboat("run", "corrupt")
        (archive,) = (self.host.disk / "archives/h1/corrupt" / id_).glob("db.database*")
        content = bytearray(archive.read_bytes())
        content[-1] ^= 1
        archive.chmod(0o600)
        archive.write_bytes(content)
        self.lifeboat("drill", "corrupt", "--identity", str(self.host.key), fails=True)
        self.lifeboat("verify", "corrupt", fails=True)

    def grown(self) -> None:
        path = self.job("grown", keep={"last": 1, "minimum": 1})
        for _run in range(3):
            self.lifeboat("run", "grown")
        with sqlite3.connect(path) as connection:
            connection.execute("create table more as select randomblob(3000000) as noise")
        connection.close()
        self.lifeboat("run", "grown")

    def gpg(self) -> None:
        home = self.host.base / "gnupg"
        home.mkdir(mode=0o700)
        gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "")
        made = ("--quick-gen-key", "ops@lab.example", "default", "default", "10d")
        subprocess.run([*gpg, *made], check=True, capture_output=True)
        listed = subprocess.run(
            [*gpg, "--with-colons", "--fingerprint"], check=True, capture_output=True, text=True
        )
        found = re.search(r"^fpr:+([0-9A-F]+):", listed.stdout, re.MULTILINE)
        assert found
        key = subprocess.run(
            [*gpg, "--armor", "--export"], check=True, capture_output=True, text=True
        ).stdout
        encryption = {"gpg_recipients": [found[1]], "gpg_keys": [key]}
        self.job("gpg", encryption=encryption)
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)

    def well(self) -> None:
        """Nothing happened to it but that nobody pruned, and that a restore takes longer than a second."""
        self.job("well", objectives={"rto": "1s", "rpo": "24h"}, keep={"last": 1})
        self.lifeboat("run", "well")
        self.lifeboat("run", "well")
        drill = ("drill", "well", "--identity", str(self.host.key))
        done = self.host.lifeboat(*drill, env=self.env)
        assert done.returncode == 0, done.stdout + done.stderr
        history = self.host.root / "state/log/history.jsonl"
        lines = history.read_text().splitlines()
        last = json.loads(lines[-1])
        assert last["event"] == "drill"
        last["sources"]["db"]["seconds"] = 1.5  # as on a slow machine
        history.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")


@pytest.fixture(scope="module")
def causes(tmp_path_factory: pytest.TempPathFactory) -> Causes:
    if prometheus.missing():
        pytest.skip("no Prometheus here: scripts/system-packages brings it")
    made = Causes(tmp_path_factory.mktemp("causes"))
    made.happen()
    return made


@pytest.fixture(scope="module")
def server(causes: Causes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus.prometheus(folder, causes.textfiles, RULES) as made:
        wait_for(lambda: made.query("lifeboat_build_info"))
        yield made


def test_each_alert_fires_by_its_real_cause(server: Prometheus) -> None:
    until = time.monotonic() + 30
    while not set(CAUSES) <= server.firing() and time.monotonic() < until:
        time.sleep(0.5)
    assert sorted(set(CAUSES) - server.firing()) == []


def test_a_job_that_is_well_alerts_on_nothing_of_its_own(server: Prometheus) -> None:
    expected = {name for name, job in CAUSES if job == "well"}
    assert {name for name, job in server.firing() if job == "well"} <= expected


def test_prometheus_finds_nothing_to_mend_in_names_units_and_help(causes: Causes) -> None:
    (written,) = causes.textfiles.iterdir()
    promtool = shutil.which("promtool") or "promtool"
    with written.open() as content:
        checked = subprocess.run([promtool, "check", "metrics"], stdin=content, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_panel_shows_series(server: Prometheus) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = {
        (panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())
    }
    assert len(queries) >= 12
    empty = []
    for title, expr in sorted(queries):
        asked = expr.replace("$instance", ".*").replace("$job_name", ".*")
        if not server.query(asked):
            empty.append((title, expr))
    assert empty == []


def test_a_host_that_falls_silent_is_missed(causes: Causes, server: Prometheus) -> None:
    """Last: after it there are no metrics."""
    time.sleep(16)  # until they were there 15 s ago
    for path in causes.textfiles.iterdir():
        path.unlink()
    wait_for(lambda: ("LifeboatAbsent", "") in server.firing(), 30)


def test_low_disk_is_alerted_on(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0 or prometheus.missing():
        pytest.skip("only root may mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        (tmp_path / "host").mkdir()
        host = Host(tmp_path / "host", disk=small)
        host.fill(10)
        host.configuration["textfile_path"] = str(tmp_path)
        host.configure()
        host.run()
        (small / "filler").write_bytes(b"x" * (int(shutil.disk_usage(small).free) - 100_000))
        host.lifeboat("freshness")
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus.prometheus(folder, tmp_path, RULES) as server:
            wait_for(lambda: ("LifeboatDiskLow", "shop") in server.firing(), 30)
    finally:
        subprocess.run(["umount", str(small)], check=True)
