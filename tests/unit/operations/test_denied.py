# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever was refused is counted: by the gate of the history, by the kernel of its audit log."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from lifeboat.operations.standing import denied

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=timezone.utc)
RECORDED = Path(__file__).parent / "denied.log"  # by a kernel and an auditd, with the role's rules


def test_the_gate_is_asked_for_the_last_day() -> None:
    entries = [
        {"exit_code": code, "at": (NOW - timedelta(hours=hours)).isoformat()}
        for code, hours in ((6, 1), (6, 23), (6, 25), (0, 1), (1, 1))
    ]
    assert denied.by_gate(entries, NOW) == 2


def test_what_the_kernel_denied_is_found_whoever_was_kept_out_of_the_directory() -> None:
    folders = ["/etc/lifeboat", "/var/log/lifeboat"]
    found = denied.denied(RECORDED.read_text().splitlines(), folders, 0)
    assert [(one.uid, one.program, one.path) for one in found] == [
        ("65534", "/bin/cat", "/etc/lifeboat/config.json"),
        ("65534", "/bin/ls", "/etc/lifeboat"),
        ("65534", "/bin/cat", "/var/log/lifeboat/audit.jsonl"),
        ("65534", "/bin/busybox", "/var/log/lifeboat/audit.jsonl"),
        ("65534", "/bin/rm", "/var/log/lifeboat/audit.jsonl"),
        ("65534", "/bin/cat", "/etc/lifeboat/with blank"),
        ("65534", "/bin/cat", "/etc/lifeboat/credentials/a"),
        ("65534", "/bin/cat", "/etc/lifeboat/config.json"),
    ]


def test_what_is_of_another_day_or_place_is_not_counted() -> None:
    lines = RECORDED.read_text().splitlines()
    assert denied.denied(lines, ["/etc/lifeboat", "/var/log/lifeboat"], 1795293937.9) != []
    assert len(denied.denied(lines, ["/etc/lifeboat", "/var/log/lifeboat"], 1795293938)) == 3
    assert denied.denied(lines, ["/etc/life", "/var/lib/lifeboat"], 0) == []


def test_a_log_that_was_just_rotated_is_read_on(tmp_path: Path) -> None:
    older = RECORDED.read_text().splitlines()
    (tmp_path / "audit.log").write_text("\n".join(older[-9:]))
    (tmp_path / "audit.log.1").write_text("\n".join(older[:-9]))
    at = datetime.fromtimestamp(1795293940, timezone.utc)
    found = denied.by_system(["/etc/lifeboat"], at, tmp_path / "audit.log")
    assert found is not None
    assert len(found) == 5
    assert denied.by_system(["/etc/lifeboat"], at + timedelta(days=2), tmp_path / "audit.log") == []


def test_without_an_audit_daemon_nobody_can_say(tmp_path: Path) -> None:
    assert denied.by_system(["/etc/lifeboat"], NOW, tmp_path / "audit.log") is None
