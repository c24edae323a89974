# SPDX-License-Identifier: GPL-3.0-or-later
"""What was refused, failed, was taken back or was recovered can be read afterwards, with the reason."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .host import PHRASE, Host
from .test_killed import at_method


def remembered(host: Host, *events: str) -> list[dict[str, Any]]:
    lines = (host.root / "state" / "log" / "history.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["event"] in events]


def spoken(host: Host) -> str:
    return (host.root / "state" / "log" / "lifeboat.log").read_text().splitlines()[-1]


def test_a_refusal_of_the_gate_is_remembered(host: Host) -> None:
    id_ = host.run()
    key = ("--identity", str(host.key))
    wrong = ("--confirm", "restore production", "--target-host", "h1")
    refused = host.lifeboat("restore", "shop", id_, *key, *wrong)
    assert refused.returncode == 6
    assert "what was changed there in these " in refused.stderr
    assert "type it in capitals, as it stands: RESTORE PRODUCTION" in refused.stderr
    (one,) = remembered(host, "restore")
    assert (one["id"], one["exit_code"], one["job"]) == (id_, 6, "shop")
    assert "production needs the phrase RESTORE PRODUCTION" in one["errors"][0]
    assert f"shop restore {id_} REFUSED" in spoken(host)


def test_a_key_that_does_not_open_the_backup_is_remembered(host: Host) -> None:
    id_ = host.run()
    other = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    stranger = host.base / "stranger.key"
    stranger.write_text(other)
    right = ("--confirm", PHRASE, "--target-host", "h1")
    words = ("restore", "shop", id_, "--identity", str(stranger), *right)
    assert host.lifeboat(*words).returncode == 2
    (one,) = remembered(host, "restore")
    assert (one["id"], one["exit_code"]) == (id_, 2)
    assert "does not open backup" in one["errors"][0]
    assert f"shop restore {id_} FAILED" in spoken(host)
    assert other.splitlines()[-1] not in (host.root / "state/log/history.jsonl").read_text()


def test_an_undo_that_is_refused_is_remembered(host: Host) -> None:
    id_ = host.run()
    assert host.restore(id_).returncode == 0
    assert host.lifeboat("undo", "shop").returncode == 6
    assert [one["exit_code"] for one in remembered(host, "undo")] == [6]
    assert remembered(host, "restore")[0].get("exit_code", 0) == 0


def test_a_restore_that_failed_says_what_state_is_left(host: Host) -> None:
    id_ = host.run()
    host.archive().write_bytes(b"not an archive")
    assert host.restore(id_).returncode == 1
    (one,) = remembered(host, "restore")
    assert (one["id"], one["exit_code"]) == (id_, 1)
    assert "db.database" in one["errors"][0]


def test_a_restore_that_was_taken_back_says_why(host: Host) -> None:
    host.fill(0)
    empty = host.run()
    host.fill(7)
    health = {"books": {"source": "db", "sql": "SELECT count(*) FROM book"}}
    host.job["restore"] = {"health": health, "health_timeout": "1s"}
    host.configure()
    assert host.restore(empty).returncode == 1
    (one,) = remembered(host, "restore")
    assert "health check books" in one["errors"][0]
    assert "is taken back; the old state is in place" in one["errors"][0]


def test_a_recovery_is_remembered(host: Host) -> None:
    id_ = host.run()
    host.restore(id_, before=at_method("swap", "before"))
    assert host.lifeboat("recover").returncode == 0
    (one,) = remembered(host, "recover")
    assert id_ in one["told"][0]
    assert "the old state is in place" in one["told"][0]
    assert "the old state is in place" in spoken(host)


def test_a_look_and_a_slip_of_the_pen_are_no_incidents(host: Host) -> None:
    id_ = host.run()
    assert host.lifeboat("restore", "shop", id_, "--dry-run").returncode == 0
    assert host.restore("20200101T000000Z-daily-0000").returncode == 2
    assert PHRASE not in str(remembered(host, "restore"))
    assert remembered(host, "restore") == []
