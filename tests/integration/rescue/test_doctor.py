# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor sees what would go wrong at night, says what to do, and touches nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .host import Host


def examined(host: Host, *words: str, env: dict[str, str] | None = None) -> tuple[int, Any]:
    done = host.lifeboat("doctor", "--json", *words, env=env)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def states(found: Any, area: str) -> list[str]:
    return [one["state"] for one in found if one["area"] == area]


def one(found: Any, area: str, what: str) -> Any:
    return next(each for each in found if each["area"] == area and each["what"] == what)


def test_every_part_is_looked_at_and_nothing_is_changed(host: Host) -> None:
    host.run()
    before = host.stored()

    _code, found = examined(host)

    areas = {each["area"] for each in found}
    assert areas >= {
        *("configuration", "programs", "keys", "source", "destination", "protection"),
        *("3-2-1", "status", "rights", "space", "timers", "clock"),
    }
    assert states(found, "source") == ["good"]
    assert states(found, "destination") == ["good"]
    assert states(found, "rights") == ["good"]
    assert host.stored() == before
    assert host.left_over() == []


def test_a_lost_database_is_critical_and_says_why(host: Host) -> None:
    host.run()
    host.database.unlink()

    code, found = examined(host)

    assert code == 2
    assert one(found, "source", "shop db")["state"] == "critical"
    assert str(host.database) in one(found, "source", "shop db")["told"]


def test_drills_by_timer_of_what_nobody_signed_are_a_warning(host: Host) -> None:
    host.job["drill"] = {"identity": {"credential": "drill_key"}}
    host.job["drills"] = {"weekly": {"at": "Sun 04:00"}}
    host.configure()
    store = host.root / "config/credentials"
    store.mkdir(mode=0o700)
    (store / "drill_key").write_text(json.dumps(host.key.read_text()))
    (store / "drill_key").chmod(0o600)
    _code, found = examined(host)
    assert one(found, "drills", "shop")["state"] == "warning"
    assert "signers" in one(found, "drills", "shop")["hint"]

    del host.job["drills"]
    host.configure()
    assert states(examined(host)[1], "drills") == []


def test_an_optional_source_that_is_absent_is_a_warning(host: Host) -> None:
    host.job["sources"]["cache"] = {
        "type": "files",
        "paths": [str(host.data / "none")],
        "optional": True,
    }
    host.configure()

    _code, found = examined(host)

    assert one(found, "source", "shop cache")["state"] == "warning"


def test_a_destination_that_vanished_is_critical(host: Host) -> None:
    host.run()
    shutil.rmtree(host.disk)

    code, found = examined(host)

    assert code == 2
    assert one(found, "destination", "shop disk")["state"] == "critical"


def test_one_key_alone_is_a_warning_with_what_to_do(host: Host) -> None:
    host.run()

    done = host.lifeboat("doctor")

    assert "keys shop: add a second recipient" in done.stderr
    assert "backups open with one age key alone" in done.stdout


def test_a_copy_that_this_host_can_delete_is_told(host: Host) -> None:
    host.run()
    _code, found = examined(host)
    assert one(found, "protection", "disk")["state"] == "warning"


def test_a_secret_that_others_read_is_critical(host: Host) -> None:
    folder = host.root / "config" / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "shop_db").write_text("secret words")
    (folder / "shop_db").chmod(0o644)

    code, found = examined(host)

    assert code == 2
    assert states(found, "rights") == ["critical"]
    assert "shop_db" in json.dumps(found)
    assert "secret words" not in json.dumps(found)


def test_a_program_that_is_missing_is_critical(host: Host, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("age", "python3"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)

    code, told = examined(host, env={"PATH": str(programs)})

    assert code == 2
    assert "zstd" in one(told, "programs", "shop")["told"]


def test_copies_that_one_fire_takes_are_a_warning(host: Host) -> None:
    _code, found = examined(host)
    told = [one["told"] for one in found if one["area"] == "3-2-1"]
    assert any("off-site" in one for one in told)
    assert set(states(found, "3-2-1")) == {"warning"}


def test_a_job_that_never_ran_is_not_good(host: Host) -> None:
    code, found = examined(host)
    assert code == 2
    assert states(found, "status") == ["critical"]


def test_a_job_without_a_schedule_or_systemd_is_told(host: Host) -> None:
    del host.job["schedule"]
    host.configure()
    _code, found = examined(host)
    assert "warning" in states(found, "timers") or "critical" in states(found, "timers")


def test_a_systemd_that_is_offline_is_told_as_none(host: Host, tmp_path: Path) -> None:
    program = tmp_path / "offline" / "systemctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho offline\nexit 1\n")
    program.chmod(0o755)
    host.configure()
    path = f"{program.parent}:{os.environ['PATH']}"
    _code, found = examined(host, env={"PATH": path})
    (told,) = (row for row in found if row["area"] == "timers")
    assert told["told"] == "no systemd answers, so nothing runs by itself: it is offline"
    assert "loginctl enable-linger" in told["hint"]


def test_a_disk_without_room_for_the_next_backup_is_critical(host: Host) -> None:
    host.run()
    huge = "import lifeboat.cli.machine as machine\nmachine.free_bytes = lambda place: 1000"

    done = host.lifeboat("doctor", "--json", before=huge)

    assert done.returncode == 2
    assert "critical" in states(json.loads(done.stdout), "space")


@pytest.mark.parametrize("job", ["nothing"])
def test_an_unknown_job_is_a_usage_error(host: Host, job: str) -> None:
    assert host.lifeboat("doctor", job).returncode == 2


def test_what_to_do_comes_last_and_once_and_the_worst_of_it_first(host: Host) -> None:
    host.run()
    shutil.rmtree(host.disk)

    done = host.lifeboat("doctor")

    told = [line for line in done.stderr.splitlines() if line.startswith(("critical", "warning"))]
    assert "mount its disk" in told[0]
    assert [line.partition(":")[0] for line in told] == sorted(
        line.partition(":")[0] for line in told
    )
    hints = [line.rpartition(": ")[2] for line in told]
    assert len(set(hints)) == len(hints) > 2


def test_backups_of_a_job_that_was_renamed_are_told_and_can_be_had_again(host: Host) -> None:
    id_ = host.run()
    jobs = host.configuration["jobs"]
    jobs["store"] = jobs.pop("shop")
    host.configure()
    _code, found = examined(host)
    told = one(found, "forgotten", "disk")
    assert (told["state"], told["told"].split(",")[0]) == ("warning", "1 backups of job shop")
    refused = host.lifeboat("list", "shop")
    assert (refused.returncode, "lifeboat doctor" in refused.stderr) == (2, True)
    jobs["shop"] = {name: value for name, value in jobs["store"].items() if name != "schedule"}
    host.configure()
    assert id_ in host.lifeboat("list", "shop").stdout
    assert not states(examined(host)[1], "forgotten")
