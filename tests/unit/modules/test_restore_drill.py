# SPDX-License-Identifier: GPL-3.0-or-later
"""restore_drill: a real restore that touches nothing live, told whether it passed or not."""

from __future__ import annotations

import json
from typing import Any


def test_a_drill_tells_its_times_and_touches_nothing(host: Any) -> None:
    made = host.call("backup_run", job="shop")
    host.destroy()

    result = host.call("restore_drill", job="shop", identity=host.identity, metadata=True)

    assert not result["failed"], result.get("msg")
    assert not result["changed"]
    (told,) = result["drills"]
    assert (told["id"], told["mark"]) == (made["id"], "drilled")
    assert {one["how"] for one in told["sources"].values()} == {"restored"}
    assert result["summary"][0].endswith("from disk: passed")
    assert host.rows() == []
    assert host.identity.split("\n")[2] not in json.dumps(result)


def test_check_mode_says_what_would_be_drilled(host: Any) -> None:
    made = host.call("backup_run", job="shop")
    before = host.files()

    result = host.call("restore_drill", job="shop", check=True)

    assert result["summary"] == [f"would drill {made['id']} of db1 from disk"]
    assert host.files() == before


def test_a_drill_that_fails_fails_the_task_with_what_it_found(host: Any) -> None:
    host.configure(drill={"check": ["false"]})
    host.call("backup_run", job="shop")

    result = host.call("restore_drill", job="shop", identity=host.identity)

    assert result["failed"]
    assert "the job's own check of what was restored failed" in result["msg"]
    assert result["drills"][0]["passed"] is False


def test_this_host_s_own_key_is_used_where_none_is_given(host: Any) -> None:
    host.configure(drill={"identity": {"credential": "drill_key"}})
    host.call("backup_run", job="shop")
    store = host.root / "config" / "credentials"
    store.mkdir(mode=0o700)
    (store / "drill_key").write_text(json.dumps(host.identity))
    (store / "drill_key").chmod(0o600)

    result = host.call("restore_drill", job="shop")

    assert result["drills"][0]["restorable"], result.get("msg")
