# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires on what it is for, and not a step before: Prometheus' own rule tester says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).resolve().parents[3] / "roles/backup_monitoring/files/alerts.yml"
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
JOB = 'instance="h1",job="node",job_name="shop"'
AT = f'{JOB},destination="disk"'
SOURCE = f'{JOB},source="db"'
DAY, HOUR = 86400, 3600
INFO = {f"lifeboat_job_info{{{JOB}}}": 1}
BUILD = 'lifeboat_build_info{instance="h1",job="node"}'
UP = {f"lifeboat_destination_up{{{AT}}}": 1}
LIMITS = {
    f"lifeboat_freshness_warning_seconds{{{JOB}}}": 25 * HOUR,
    f"lifeboat_freshness_critical_seconds{{{JOB}}}": 48 * HOUR,
}
RPO = {
    f"lifeboat_objective_rpo_seconds{{{SOURCE}}}": DAY,
    f"lifeboat_objective_rpo_limit_seconds{{{SOURCE}}}": DAY + HOUR,
}
POINT = f"lifeboat_recovery_point_timestamp_seconds{{{SOURCE}}}"
GOOD_AT = f"lifeboat_last_good_timestamp_seconds{{{AT}}}"
PROVED = f'lifeboat_last_proved_timestamp_seconds{{{AT},claim="restorable"}}'
DISK = f'{JOB},place="spool"'
STORED = {f"lifeboat_last_run_stored_bytes{{{JOB}}}": 10}

# alert -> [(hours, series, whether it fires then)]; a number stays, a text is as promtool has it.
# Time begins at 0, so an instant of 0 is as old as the hours say.
CASES: dict[str, list[tuple[float, dict[str, Any], bool]]] = {
    "LifeboatBackupFailed": [
        (1, {f"lifeboat_last_run_exit_code{{{JOB}}}": 3}, True),
        (1, {f"lifeboat_last_run_exit_code{{{JOB}}}": 0}, False),
    ],
    "LifeboatBackupAging": [
        (26, {GOOD_AT: 0, **LIMITS}, True),
        (24, {GOOD_AT: 0, **LIMITS}, False),
    ],
    "LifeboatBackupStale": [
        (49, {GOOD_AT: 0, **LIMITS}, True),
        (47, {GOOD_AT: 0, **LIMITS}, False),
    ],
    "LifeboatBackupMissing": [(2, UP, True), (2, {**UP, GOOD_AT: 0}, False), (0.5, UP, False)],
    "LifeboatAbsent": [(25, {BUILD: "1x60 _x2000"}, True), (25, {BUILD: 1}, False)],
    "LifeboatNotChecked": [
        (14, {f"lifeboat_check_timestamp_seconds{{{JOB}}}": 0}, True),
        (1, INFO, True),
        (12, {f"lifeboat_check_timestamp_seconds{{{JOB}}}": 0, **INFO}, False),
    ],
    "LifeboatDestinationDown": [(1, {f"lifeboat_destination_up{{{AT}}}": 0}, True), (1, UP, False)],
    "LifeboatCopyCorrupt": [
        (1, {f'lifeboat_copies{{{AT},state="corrupt"}}': 1}, True),
        (1, {f'lifeboat_copies{{{AT},state="intact"}}': 1}, False),
    ],
    "LifeboatDrillMissed": [(36 * 24, {PROVED: 0}, True), (34 * 24, {PROVED: 0}, False)],
    "LifeboatNeverDrilled": [
        (36 * 24, INFO, True),
        (34 * 24, INFO, False),
        (36 * 24, {**INFO, PROVED: 0}, False),
    ],
    "LifeboatDrillFailed": [
        (1, {f"lifeboat_last_drill_success{{{JOB}}}": 0}, True),
        (1, {f"lifeboat_last_drill_success{{{JOB}}}": 1}, False),
    ],
    "LifeboatRpoMissed": [
        (25.5, {POINT: 0, **RPO}, True),
        (24.5, {POINT: 0, **RPO}, False),
        (1, RPO, True),
    ],
    "LifeboatRtoMissed": [
        (
            1,
            {
                f"lifeboat_measured_rto_seconds{{{SOURCE}}}": took,
                f"lifeboat_objective_rto_seconds{{{SOURCE}}}": 1800,
            },
            took > 1800,
        )
        for took in (1801, 1799)
    ],
    "LifeboatSizeJump": [
        (1, {f"lifeboat_newest_suspect{{{AT}}}": value}, bool(value)) for value in (1, 0)
    ],
    "LifeboatDiskLow": [
        (
            1,
            {
                f"lifeboat_disk_free_bytes{{{DISK}}}": free,
                f"lifeboat_disk_size_bytes{{{DISK}}}": size,
                **STORED,
            },
            low,
        )
        for free, size, low in ((49, 1000, True), (51, 1000, False), (19, 100, True))
    ],
    "LifeboatKeyExpiring": [
        (1, {f"lifeboat_key_expiry_timestamp_seconds{{{JOB}}}": days * DAY}, days < 30)
        for days in (29, 31)
    ],
    "LifeboatEncryptionError": [
        (1, {f"lifeboat_encryption_ok{{{JOB}}}": value}, not value) for value in (0, 1)
    ],
    "LifeboatAccessDenied": [
        (1, {f'lifeboat_denied_accesses{{{JOB},by="gate"}}': 1}, True),
        (1, {'lifeboat_denied_accesses{instance="h1",job="node",by="system"}': 3}, True),
        (1, {f'lifeboat_denied_accesses{{{JOB},by="gate"}}': 0}, False),
    ],
    "LifeboatAuditChanged": [
        (1, {'lifeboat_audit_problems{instance="h1",job="node"}': value}, bool(value))
        for value in (1, 0)
    ],
    "LifeboatUnauthorisedAccess": [
        (1, {f"lifeboat_exposed_paths{{{JOB}}}": value}, bool(value)) for value in (2, 0)
    ]
    + [(1, {f"lifeboat_unsigned_copies{{{AT}}}": value}, bool(value)) for value in (1, 0)],
    "LifeboatPruneOverdue": [
        (hours, {f"lifeboat_prunable_copies{{{AT}}}": 3}, hours > 48) for hours in (50, 47)
    ],
    "LifeboatRestoreOpen": [
        (hours, {f"lifeboat_restores_open{{{JOB}}}": 1}, hours > 24) for hours in (25, 23)
    ],
    "LifeboatTimerOff": [
        (2, {f'lifeboat_timer_enabled{{{JOB},type="daily"}}': value}, not value) for value in (0, 1)
    ],
    "LifeboatNotificationsFail": [
        (2, {'lifeboat_notifications_waiting{instance="h1",job="node"}': value}, bool(value))
        for value in (1, 0)
    ],
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool here: scripts/system-packages brings it")
    return found


def test_every_alert_has_its_cases() -> None:
    assert set(CASES) == set(ALERTS)
    assert all({fires for _h, _s, fires in cases} == {True, False} for cases in CASES.values())


def test_every_alert_says_what_is_wrong_and_how_bad() -> None:
    for rule in ALERTS.values():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


@pytest.mark.parametrize("step_h", [0.25, 6], ids=["hours", "days"])
def test_alerts_fire_on_what_they_are_for(promtool: str, tmp_path: Path, step_h: float) -> None:
    step = f"{int(step_h * 60)}m"
    tests = [
        {
            "name": f"{alert} {place}",
            "interval": step,
            "input_series": [
                {
                    "series": name,
                    "values": value
                    if isinstance(value, str)
                    else f"{value}x{int(hours / step_h) + 2}",
                }
                for name, value in series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": f"{int(hours * 60)}m",
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
            ],
        }
        for alert, cases in CASES.items()
        for place, (hours, series, fires) in enumerate(cases)
        if (hours > 100) == (step_h > 1)
    ]
    path = tmp_path / "tests.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": step, "tests": tests})
    )
    ran = subprocess.run(
        [promtool, "test", "rules", str(path)], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
