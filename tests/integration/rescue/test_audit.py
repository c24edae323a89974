# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done on a host can be read afterwards, and that nobody changed it can be proved."""

from __future__ import annotations

import json

from .host import PHRASE, Host


def test_every_operation_leaves_an_entry(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_, "--reason", "ticket 42")
    host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    host.lifeboat("confirm", "shop")
    host.lifeboat("pin", id_)
    host.lifeboat("verify", id_, "--level", "content", "--identity", str(host.key))

    told = json.loads(host.lifeboat("history", "--json").stdout)

    events = [one["event"] for one in told]
    assert events == ["backup", "restore", "undo", "confirm", "pin", "verify"]
    restored = next(one for one in told if one["event"] == "restore")
    assert restored["facts"]["id"] == id_
    assert restored["facts"]["reason"] == "ticket 42"
    assert restored["facts"]["gate"] == "phrase"
    assert [one["event"] for one in told if one["facts"].get("key") == "used"] == [
        "restore",
        "verify",
    ]
    assert "ticket 42" in host.lifeboat("history", "shop", "--event", "restore").stdout
    whole = host.lifeboat("audit")
    assert whole.returncode == 0
    assert "6 entries" in whole.stdout or "entries from" in whole.stdout


def test_a_forged_entry_is_found(host: Host) -> None:
    host.run()
    host.run()
    log = next(host.root.rglob("audit.jsonl"))
    log.write_text(log.read_text().replace('"exit_code": 0', '"exit_code": 1', 1))

    done = host.lifeboat("audit")

    assert done.returncode == 1
    assert "was changed, or is missing" in done.stderr


def test_a_log_that_cannot_be_written_fails_no_backup(host: Host) -> None:
    host.run()
    log = next(host.root.rglob("audit.jsonl"))
    log.unlink()
    log.mkdir()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 0, done.stderr
    assert "the history could not be written" in done.stderr


def test_no_private_key_is_in_it(host: Host) -> None:
    host.restore(host.run())
    key = host.key.read_text().splitlines()[-1]
    assert key not in next(host.root.rglob("audit.jsonl")).read_text()
