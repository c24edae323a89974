# SPDX-License-Identifier: GPL-3.0-or-later
"""schedule_install: every job on its calendar, nothing left of jobs that are gone, no more rights than needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lifeboat.backup.plugins.module_utils import scheduling, unit_texts
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.config import parse
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.errors import ConfigError
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.model import Needs, Secret
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.paths import paths
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.policy import Schedule

JOB = {
    "sources": {"db": {"type": "sqlite", "path": "/srv/app.db"}},
    "destinations": ["disk"],
    "schedule": "02:00",
}
MANUAL = "lifeboat-run@shop:manual.service.d/10-lifeboat.conf"


def mapping(**jobs: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "host": "db1",
        "encryption": {"none": True},
        "destinations": {
            "disk": {"type": "local", "path": "/var/backups/my disk"},
            "offsite": {"type": "s3", "bucket": "acme", "credential": "acme_s3"},
        },
        "jobs": jobs,
    }


def texts(encrypted: bool = True, **jobs: Any) -> unit_texts.Units:
    """The units of the system for these jobs, verified by systemd itself."""
    configuration = parse(mapping(**jobs), lambda name: Secret(lambda: name, name))
    made = unit_texts.units(configuration, paths("system"), lambda _name: encrypted)
    assert scheduling._verify(made, paths("system")) == (True, ())
    return made


@pytest.fixture
def install(door: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """install({jobs}) -> result of the module in a user scope of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    (tmp_path / "config").mkdir()

    def call(jobs: Any, **options: Any) -> Any:
        (tmp_path / "config" / "config.json").write_text(json.dumps(mapping(**jobs)))
        return door("schedule_install", scope="user", root=str(tmp_path), **options)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "xdg" / "systemd" / "user"


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_units_of_all_jobs_come_with_one_call(install: Any, folder: Path) -> None:
    result = install({"shop": JOB, "blog": JOB})
    assert result["changed"]
    assert result["verified"]
    assert [one["timer"] for one in result["timers"]] == [
        "lifeboat-run@blog:daily.timer",
        "lifeboat-run@shop:daily.timer",
    ]
    assert files(folder) == result["files"]


def test_the_second_time_nothing_changes(install: Any) -> None:
    install({"shop": JOB})
    assert not install({"shop": JOB})["changed"]


def test_check_mode_says_the_same_and_touches_nothing(install: Any, folder: Path) -> None:
    planned = install({"shop": JOB}, check=True)
    assert planned["changed"]
    assert not folder.exists()
    assert install({"shop": JOB})["diff"] == planned["diff"]


def test_check_mode_works_on_a_bare_host(door: Any, tmp_path: Path) -> None:
    result = door("schedule_install", scope="user", root=str(tmp_path / "none"), check=True)
    assert not result["failed"]
    assert result["changed"]


def test_a_host_without_a_configuration_is_told_so(door: Any, tmp_path: Path) -> None:
    result = door("schedule_install", scope="user", root=str(tmp_path / "none"))
    assert result["failed"]
    assert str(tmp_path / "none" / "config" / "config.json") in result["msg"]


def test_units_of_a_job_that_is_gone_are_removed(install: Any, folder: Path) -> None:
    install({"shop": JOB, "blog": JOB})
    (folder / "timers.target.wants").mkdir()
    (folder / "timers.target.wants" / "lifeboat-run@blog:daily.timer").symlink_to("../x")
    result = install({"shop": JOB})
    assert not result["failed"], result["msg"]
    assert result["removed"] == ["lifeboat-run@blog:daily.timer.d/10-lifeboat.conf"]
    assert not list(folder.rglob("*blog*"))


def test_an_operators_own_drop_in_stays(install: Any, folder: Path) -> None:
    install({"shop": JOB})
    own = folder / "lifeboat-run@shop:daily.timer.d" / "override.conf"
    own.write_text("[Timer]\nAccuracySec=1min\n")
    install({})
    assert files(folder) == [
        "lifeboat-recover.service",
        "lifeboat-run@.service",
        "lifeboat-run@.timer",
        "lifeboat-run@shop:daily.timer.d/override.conf",
        "lifeboat-watch.timer",
        "lifeboat-watch@.service",
    ]


def test_without_a_systemd_it_says_why_nothing_is_enabled(install: Any) -> None:
    result = install({"shop": JOB})
    assert not result["enabled"]
    assert result["reason"]


def test_a_bad_calendar_is_refused_by_name_and_nothing_is_written(
    install: Any, folder: Path
) -> None:
    bad = dict(JOB, schedules={"daily": {"at": "02:00"}, "weekly": {"at": "Sunnday 25:00"}})
    del bad["schedule"]
    result = install({"shop": bad})
    assert result["failed"]
    assert result["msg"].startswith("jobs.shop.schedules.weekly.at: 'Sunnday 25:00'")
    assert not folder.exists()


@pytest.mark.parametrize("at", ["02:00\nUnit=evil.service", "02:00%h", 'a"b'])
def test_a_calendar_cannot_smuggle_in_a_line(install: Any, folder: Path, at: str) -> None:
    assert install({"shop": dict(JOB, schedule=at)})["failed"]
    assert not folder.exists()


def test_a_calendar_stays_one_line_also_where_nobody_checks_it() -> None:
    made = unit_texts._timer_drop_in(Schedule("daily", "02:00\nUnit=evil.service"))
    assert "Unit=evil.service UTC" not in made.splitlines()


def test_systemd_is_asked_before_units_are_written() -> None:
    made = unit_texts.units(
        parse(mapping(shop=JOB), lambda name: Secret(lambda: name, name)), paths("system"), bool
    )
    made.files["lifeboat-run@.service"] += "UMask=nonsense\n"
    with pytest.raises(ConfigError, match="Failed to parse mode"):
        scheduling._verify(made, paths("system"))


@pytest.mark.parametrize(
    ("at", "calendar"),
    [
        ("02:00", "02:00 UTC"),
        ("Sun 03:00", "Sun 03:00 UTC"),
        ("*-*-01 04:00", "*-*-01 04:00 UTC"),
        ("daily", "daily UTC"),
        ("Mon..Fri 10:00", "Mon..Fri 10:00 UTC"),
        ("02:00 UTC", "02:00 UTC"),
        ("02:00 Europe/Paris", "02:00 Europe/Paris"),
        ("02:00 America/Argentina/Buenos_Aires", "02:00 America/Argentina/Buenos_Aires"),
    ],
)
def test_a_calendar_without_a_zone_is_in_utc(at: str, calendar: str) -> None:
    assert unit_texts.calendar(at) == calendar


def test_a_spread_is_the_same_each_day() -> None:
    made = texts(shop=dict(JOB, spread="30m"))
    timer = made.files["lifeboat-run@shop:daily.timer.d/10-lifeboat.conf"]
    assert "RandomizedDelaySec=1800\nFixedRandomDelay=true" in timer


@pytest.mark.parametrize(
    ("encrypted", "line"),
    [
        (True, "LoadCredentialEncrypted=acme_s3:/etc/lifeboat/credentials/acme_s3.cred"),
        (False, "LoadCredential=acme_s3:/etc/lifeboat/credentials/acme_s3"),
    ],
)
def test_a_job_gets_the_credentials_that_it_uses(encrypted: bool, line: str) -> None:
    made = texts(encrypted, shop=dict(JOB, destinations=["disk", "offsite"]), blog=JOB)
    assert line in made.files[MANUAL].splitlines()
    blog = made.files.get("lifeboat-run@blog:manual.service.d/10-lifeboat.conf", "")
    assert "acme_s3" not in blog


def test_a_run_may_read_foreign_files_only_when_a_source_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unit_texts, "_needs", lambda _one: Needs())
    plain = texts(shop=JOB)
    assert "CapabilityBoundingSet=\n" in plain.files["lifeboat-run@.service"]
    assert "AmbientCapabilities" not in plain.files.get(MANUAL, "")
    monkeypatch.setattr(unit_texts, "_needs", lambda _one: Needs(reads_everything=True))
    assert "AmbientCapabilities=CAP_DAC_READ_SEARCH\n" in texts(shop=JOB).files[MANUAL]


def test_a_run_may_write_where_its_job_needs_it_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        unit_texts, "_needs", lambda _one: Needs(writes=("/srv/my disk", "/srv/100%"))
    )
    made = texts(shop=JOB)
    assert 'ReadWritePaths=-/srv/100%% "-/srv/my disk"\n' in made.files[MANUAL]
    assert "/srv" not in made.files["lifeboat-run@.service"]
    assert "PrivateTmp=no" not in made.files[MANUAL]


@pytest.mark.parametrize("needs", [Needs(reads=("/tmp/s",)), Needs(writes=("/var/tmp/x",))])
def test_a_job_in_the_shared_directory_sees_it(
    monkeypatch: pytest.MonkeyPatch, needs: Needs
) -> None:
    monkeypatch.setattr(unit_texts, "_needs", lambda _one: needs)
    assert "PrivateTmp=no\n" in texts(shop=JOB).files[MANUAL]


def test_a_job_runs_as_its_user() -> None:
    made = texts(shop=dict(JOB, user="shop"), blog=JOB)
    assert "User=shop\n" in made.files[MANUAL]
    assert "SupplementaryGroups=lifeboat\n" in made.files[MANUAL]
    assert "User=lifeboat\n" in made.files["lifeboat-run@.service"]


def test_fifty_jobs_cost_hardly_more_than_one(install: Any) -> None:
    """Few processes, whatever the number of jobs; the bound is loose, a process a job takes longer."""
    jobs = {f"job{number}": JOB for number in range(50)}
    install(jobs)
    begun = time.monotonic()
    assert not install(jobs)["changed"]
    assert time.monotonic() - begun < 2


def of_volume(engine: str, **job: Any) -> str:
    source = {"type": "volume", engine: "data"}
    return texts(shop={**JOB, "sources": {"files": source}, **job}).files[MANUAL]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_a_killed_run_has_stopped_is_started_by_its_unit(engine: str) -> None:
    assert "\nExecStopPost=/usr/local/bin/lifeboat recover shop --quiet\n" in of_volume(engine)
    recover = texts(shop=JOB).files["lifeboat-recover.service"]
    assert "ConditionPathExistsGlob=|/var/lib/lifeboat/spool/*/stopped-*.json\n" in recover


def test_in_user_scope_it_is_settled_when_the_users_systemd_begins(tmp_path: Path) -> None:
    configuration = parse(mapping(shop=JOB), lambda name: Secret(lambda: name, name))
    own = paths("user", str(tmp_path))
    made = unit_texts.units(configuration, own, bool)
    recover = made.files["lifeboat-recover.service"]
    assert f"\nConditionDirectoryNotEmpty=|{tmp_path}/state/restores\n" in recover
    assert recover.endswith("\n[Install]\nWantedBy=default.target\n")
    assert made.boot == ["lifeboat-recover.service"]
    for of_the_system in (".target network", "postgresql.service", "multi-user"):
        assert of_the_system not in recover
    assert scheduling._verify(made, own) == (True, ())


def test_a_unit_that_starts_podman_s_containers_does_not_end_them_with_itself() -> None:
    assert "\nKillMode=process\n" in of_volume("podman")
    assert "KillMode" not in of_volume("docker")
    assert "\nKillMode=process\n" in texts(shop=JOB).files["lifeboat-recover.service"]


def test_only_podman_which_has_no_daemon_is_without_the_sandbox() -> None:
    assert "\nRestrictNamespaces=no\n" in of_volume("podman", user="wiki")
    assert "RestrictNamespaces" not in of_volume("docker")
    source = {"type": "postgresql", "database": "shop", "placement": {"podman": "db"}}
    assert (
        "\nRestrictNamespaces=no\n" in texts(shop={**JOB, "sources": {"db": source}}).files[MANUAL]
    )


def test_what_a_users_own_job_starts_again_in_podman_may_do_what_it_could_before(
    tmp_path: Path,
) -> None:
    jobs = {"shop": {**JOB, "sources": {"files": {"type": "volume", "podman": "data"}}}}
    configuration = parse(mapping(**jobs), lambda name: Secret(lambda: name, name))
    made = unit_texts.units(configuration, paths("user", str(tmp_path)), bool)
    template, own = made.files["lifeboat-run@.service"], made.files[MANUAL]
    limits = ("NoNewPrivileges", "RestrictRealtime", "LockPersonality")
    assert [one for one in limits if f"\n{one}=yes\n" not in template] == []
    assert [one for one in limits if f"\n{one}=no\n" not in own] == []


def test_a_job_of_root_leaves_the_directory_of_all_jobs_as_it_is() -> None:
    assert "\nRuntimeDirectory=\n" in of_volume("docker", user="root")


DRILLED = dict(
    JOB,
    drill={"identity": {"credential": "drill_key"}},
    drills={"weekly": {"at": "Sun 05:00"}, "daily": {"at": "05:00", "what": "random"}},
)


def test_drills_have_timers_and_a_unit_of_their_own() -> None:
    made = texts(shop=DRILLED)

    assert made.calendars["lifeboat-drill@shop:weekly.timer"] == "Sun 05:00 UTC"
    assert made.written["jobs.shop.drills.daily.at"] == "05:00"
    assert "drill --unit %i" in made.files["lifeboat-drill@.service"]
    assert "lifeboat runbook --refresh" in made.files["lifeboat-drill@.service"]
    marks = made.files["lifeboat-drill@shop:weekly.service.d/10-lifeboat.conf"]
    assert 'ReadWritePaths="-/var/backups/my disk"' in marks


def test_a_drill_may_write_in_the_places_that_the_user_names_for_it_and_a_run_may_not() -> None:
    app = {"type": "command", "dump": ["./dump"], "cwd": "/srv/app"}
    sources = {**JOB["sources"], "app": app}
    places = {"app": {"cwd": "/var/lib/drill"}}
    drill = {**DRILLED["drill"], "sources": places}
    made = texts(shop=dict(DRILLED, sources=sources, drill=drill))

    assert "-/var/lib/drill" in made.files["lifeboat-drill@shop:weekly.service.d/10-lifeboat.conf"]
    assert "-/var/lib/drill" not in made.files[MANUAL]


def test_a_run_never_gets_the_private_key_of_drills() -> None:
    made = texts(shop=DRILLED)

    assert "drill_key" not in "".join(made.files.values())


def test_a_job_without_drills_has_no_unit_for_them() -> None:
    assert [name for name in texts(shop=JOB).files if "drill" in name] == []


def test_timers_of_drills_that_are_gone_are_removed(install: Any, folder: Path) -> None:
    install({"shop": DRILLED})
    (folder / "timers.target.wants").mkdir()
    link = folder / "timers.target.wants" / "lifeboat-drill@shop:weekly.timer"
    link.symlink_to("../x")

    install({"shop": JOB})

    assert [name for name in files(folder) if "drill" in name] == []
    assert not link.is_symlink()


def test_a_drill_host_does_not_back_up_what_it_drills() -> None:
    drill = {"hosts": ["db7"], "identity": {"credential": "drill_key"}}
    made = texts(shop=dict(DRILLED, drill=drill))

    assert list(made.calendars) == [
        "lifeboat-drill@shop:weekly.timer",
        "lifeboat-drill@shop:daily.timer",
    ]
    assert MANUAL not in made.files
