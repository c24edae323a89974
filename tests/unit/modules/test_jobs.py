# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that work on jobs: what they do is what the command does, and check mode does nothing."""

from __future__ import annotations

import importlib
import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.lifeboat.backup.plugins.module_utils import restoring
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.files import lock
from lifeboat.cli.main import main as lifeboat

Host = Any


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The gate's pauses, noted instead of waited for."""
    pauses: list[float] = []
    monkeypatch.setattr(restoring, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def archive(host: Host) -> Path:
    """One archive at the destination."""
    return next(one for one in host.disk.rglob("db.database.*") if one.is_file())


# -- backup_run, backup_info


def test_a_backup_is_made_and_listed(host: Host) -> None:
    made = host.call("backup_run", job="shop", type="predeploy", tags=["v1.2.3"])
    assert made["changed"]
    assert made["complete"]
    listed = host.call("backup_info")
    assert not listed["changed"]
    assert listed["jobs"] == [
        {
            "job": "shop",
            "newest_good": made["id"],
            "newest_whole": made["id"],
            "lacking": [],
            "backups": 1,
        }
    ]
    assert listed["backups"][0]["tags"] == ["v1.2.3"]
    assert listed["backups"][0]["copies"] == {"disk": "intact"}


def test_a_destination_that_never_took_anything_is_lacking_also_while_it_is_silent(
    host: Host,
) -> None:
    path = host.root / "config" / "config.json"
    told = json.loads(path.read_text())
    told["destinations"]["away"] = {"type": "local", "path": str(host.root / "away")}
    told["jobs"]["shop"]["destinations"].append("away")
    path.write_text(json.dumps(told))
    failed = host.call("backup_run", job="shop")
    assert failed["failed"]
    assert f"{host.root}/away: it does not exist" in failed["msg"]
    assert "a new destination is made by site.yml" in failed["msg"]  # what to do about it
    lacking = host.call("backup_info")
    assert [one["destination"] for one in lacking["lost"]] == ["away"]
    assert lacking["jobs"][0]["lacking"] == ["away"]

    (host.root / "away").mkdir()
    assert not host.call("backup_run", job="shop")["failed"]
    (host.root / "away").rename(host.root / "gone")
    assert host.call("backup_info")["jobs"][0]["lacking"] == []  # it worked once: an outage


def test_what_a_host_is_rebuilt_from_holds_every_source(host: Host) -> None:
    part = host.call("backup_run", job="shop", only=["db"])["id"]
    standing = host.call("backup_info")["jobs"][0]
    assert (standing["newest_good"], standing["newest_whole"]) == (part, part)
    whole = host.call("backup_run", job="shop", type="a")["id"]
    later = host.call("backup_run", job="shop", type="hourly", only=["db"])["id"]
    standing = host.call("backup_info")["jobs"][0]
    assert (standing["newest_good"], standing["newest_whole"]) == (max(later, whole), whole)


def test_backups_are_listed_newest_first(host: Host) -> None:
    made = [host.call("backup_run", job="shop", type=type_)["id"] for type_ in ("one", "two")]
    listed = host.call("backup_info", job=["shop"])["backups"]
    assert [one["id"] for one in listed] == sorted(made, reverse=True)


def test_what_a_backup_needs_is_told_from_its_manifest_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"dpkg": "1", "lifeboat-no-such-package": "2", "evil=1": "3", "gone-": "4"}
    engine = "ansible_collections.lifeboat.backup.plugins.module_utils.engine"
    monkeypatch.setattr(f"{engine}.packages.owning", lambda _patterns: told)
    sqlite = f"{engine}.sources.sqlite.source.SQLite.belongings"
    monkeypatch.setattr(sqlite, lambda _self, _facts: ["/x"], raising=False)
    host.call("backup_run", job="shop")
    asked = host.call("backup_info", job=["shop"], packages_of="latest")
    assert (asked["packages"], asked["missing"]) == (
        {},
        [],
    )  # no package is known to bring a SQLite
    assert asked["refused"] == sorted(told)
    known = ("dpkg", "lifeboat-.*", "evil=1", "gone-")
    monkeypatch.setattr(f"{sqlite.rpartition('.')[0]}.packages", known, raising=False)
    asked = host.call("backup_info", job=["shop"], packages_of="latest")
    assert asked["packages"] == {"dpkg": "1", "lifeboat-no-such-package": "2"}
    assert asked["missing"] == ["lifeboat-no-such-package"]
    assert asked["refused"] == ["evil=1", "gone-"]
    refused = host.call("backup_info", packages_of="latest")
    assert refused["failed"]
    assert "packages_of needs exactly one job" in refused["msg"]


@pytest.mark.parametrize("now", ["another kind", "no such source", "failed in the backup"])
def test_what_the_job_does_not_have_here_names_no_package(
    host: Host, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    engine = "ansible_collections.lifeboat.backup.plugins.module_utils.engine"
    monkeypatch.setattr(f"{engine}.packages.owning", lambda _patterns: {"dpkg": "1"})
    for kind in ("sqlite.source.SQLite", "files.Files"):
        named = f"{engine}.sources.{kind}"
        monkeypatch.setattr(f"{named}.belongings", lambda _self, _facts: ["/x"], raising=False)
        monkeypatch.setattr(f"{named}.packages", ("dpkg",), raising=False)
    host.call("backup_run", job="shop")
    ours = dict(host.sources)
    ours.pop("uploads")
    if now == "another kind":
        ours["db"] = {"type": "files", "paths": ["/nothing"]}
    elif now == "no such source":
        ours["other"] = ours.pop("db")
    else:
        ours = host.sources
        needed = importlib.import_module(f"{engine.rpartition('.')[0]}.needed")
        read = needed.read_manifest

        def failed(*given: Any) -> Any:
            told = read(*given)
            sources = tuple(replace(one, status="failed") for one in told.sources)
            return replace(told, sources=sources)

        monkeypatch.setattr(needed, "read_manifest", failed)
    host.configure(sources=ours)
    asked = host.call("backup_info", job=["shop"], packages_of="latest")
    assert (asked["packages"], asked["missing"], asked["refused"]) == ({}, [], ["dpkg"])


def test_check_mode_of_a_run_looks_at_the_sources_and_saves_nothing(host: Host) -> None:
    result = host.call("backup_run", job="shop", check=True)
    assert result["changed"], result["msg"]
    assert sorted(result["facts"]) == ["db", "uploads"]
    assert host.files() == {}
    assert sorted(one.name for one in host.root.iterdir()) == ["config", "data", "disk"]


def test_check_mode_of_a_run_fails_where_the_run_would(host: Host) -> None:
    (host.root / "data" / "app.db").unlink()
    assert host.call("backup_run", job="shop", check=True)["failed"]


def test_a_lost_source_fails_unless_a_part_is_enough(host: Host) -> None:
    (host.root / "data" / "app.db").unlink()
    failed = host.call("backup_run", job="shop")
    assert failed["failed"]
    assert failed["exit_code"] == 3
    assert failed["changed"]  # the rest is saved
    assert "source db" in failed["msg"]
    assert not host.call("backup_run", job="shop", allow_partial=True)["failed"]


def test_an_unknown_job_is_told_with_those_there_are(host: Host) -> None:
    result = host.call("backup_run", job="shpo")
    assert result["failed"]
    assert result["exit_code"] == 2
    assert "shop" in result["hint"]


def test_a_held_job_fails_at_once_unless_it_is_waited_for(host: Host) -> None:
    host.call("backup_run", job="shop")
    with ExitStack() as holding:
        holding.enter_context(lock(host.root / "state" / "locks" / "shop.lock", "prune"))
        held = host.call("backup_run", job="shop")
        assert (held["failed"], held["exit_code"]) == (True, 5)
        threading.Timer(1.0, holding.close).start()
        begun = time.monotonic()
        assert host.call("backup_run", job="shop", wait=True)["complete"]
        assert time.monotonic() - begun >= 1.0


# -- verify_archive


def test_a_good_copy_is_valid(host: Host) -> None:
    made = host.call("backup_run", job="shop")
    result = host.call("verify_archive", job="shop")
    assert not result["changed"]
    assert [(one["id"], one["state"]) for one in result["findings"]] == [(made["id"], "intact")]


def test_with_the_key_the_content_is_read(host: Host) -> None:
    host.call("backup_run", job="shop")
    result = host.call("verify_archive", job="shop", level="content", identity=host.identity)
    assert [one["state"] for one in result["findings"]] == ["readable"]
    assert host.identity.split("\n")[2] not in json.dumps(result)


def test_a_corrupt_copy_fails_with_all_findings(host: Host) -> None:
    host.call("backup_run", job="shop")
    damaged = archive(host)
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    result = host.call("verify_archive", job="shop")
    assert result["failed"]
    assert result["exit_code"] == 1
    assert [one["state"] for one in result["findings"]] == ["corrupt"]


def test_verifying_in_check_mode_finds_the_same_and_marks_nothing(host: Host) -> None:
    host.call("backup_run", job="shop")
    damaged = archive(host)
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    before = host.files()
    result = host.call("verify_archive", job="shop", check=True)
    assert [one["state"] for one in result["findings"]] == ["corrupt"]
    assert host.files() == before


# -- db_restore


def test_a_restore_brings_back_what_was_backed_up(host: Host, no_pause: list[float]) -> None:
    host.call("backup_run", job="shop")
    host.destroy()
    result = host.call("db_restore", job="shop", identity=host.identity)
    assert result["changed"], result["msg"]
    assert result["restore"]["step"] == "swapped"
    assert host.rows() == [1, 2]
    assert (host.root / "data" / "uploads" / "one").read_text() == "precious"
    assert no_pause == [5]


def test_check_mode_of_a_restore_is_the_plan_and_touches_nothing(host: Host) -> None:
    host.call("backup_run", job="shop")
    host.destroy()
    planned = host.call("db_restore", job="shop", check=True)
    assert planned["gate"] == ""
    assert planned["plan"]["targets"][0]["now"]["rows"] == 0
    assert planned["plan"]["targets"][0]["backup"]["rows"] == 2
    assert host.rows() == []
    done = host.call("db_restore", job="shop", identity=host.identity)
    assert done["diff"] == planned["diff"]
    assert done["plan"] == planned["plan"]


def test_a_restore_is_taken_back_once(host: Host) -> None:
    host.call("backup_run", job="shop")
    host.destroy()
    host.call("db_restore", job="shop", identity=host.identity)
    assert host.call("db_restore", job="shop", state="undone", check=True)["changed"]
    assert host.rows() == [1, 2]
    assert host.call("db_restore", job="shop", state="undone")["changed"]
    assert host.rows() == []
    assert not host.call("db_restore", job="shop", state="undone")["changed"]


def test_a_confirmed_restore_leaves_nothing_beside(host: Host) -> None:
    host.call("backup_run", job="shop")
    before = sorted(one.name for one in (host.root / "data").iterdir())
    host.call("db_restore", job="shop", identity=host.identity)
    assert len(host.call("db_restore", job="shop", state="confirmed", check=True)["confirmed"]) == 1
    assert host.call("db_restore", job="shop", state="confirmed")["changed"]
    assert sorted(one.name for one in (host.root / "data").iterdir()) == before
    assert not host.call("db_restore", job="shop", state="confirmed")["changed"]


def test_undo_without_a_restore_is_refused(host: Host) -> None:
    assert host.call("db_restore", job="shop", state="undone")["exit_code"] == 2


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({}, "RESTORE PRODUCTION"),
        ({"confirm": "RESTORE PRODUCTION"}, "explicit backup id"),
        ({"confirm": "RESTORE PRODUCTION", "target_host": "db1"}, "explicit backup id"),
        ({"confirm": "RESTORE PRODUCTION", "backup": "ID"}, "target host"),
        ({"confirm": "yes", "backup": "ID", "target_host": "db1"}, "RESTORE PRODUCTION"),
        ({"confirm": "RESTORE PRODUCTION", "backup": "ID", "target_host": "db2"}, "db2"),
    ],
)
def test_production_is_not_restored_without_all_three(
    host: Host, options: dict[str, str], lacking: str
) -> None:
    host.environment = "production"
    host.configure()
    made = host.call("backup_run", job="shop")
    given = {key: made["id"] if value == "ID" else value for key, value in options.items()}
    host.destroy()
    planned = host.call("db_restore", job="shop", check=True, **given)
    refused = host.call("db_restore", job="shop", identity=host.identity, **given)
    assert refused["failed"]
    assert refused["exit_code"] == 6
    assert lacking in refused["msg"]
    assert planned["gate"] in refused["msg"]
    assert host.rows() == []


def test_production_is_restored_with_phrase_id_and_host(host: Host, no_pause: list[float]) -> None:
    host.environment = "production"
    host.configure()
    made = host.call("backup_run", job="shop")
    host.destroy()
    result = host.call(
        "db_restore",
        job="shop",
        backup=made["id"],
        confirm="RESTORE PRODUCTION",
        target_host="db1",
        identity=host.identity,
    )
    assert not result["failed"]
    assert host.rows() == [1, 2]


# -- retention_prune


@pytest.fixture
def aged(host: Host) -> Host:
    """A host with three good backups, and a rule that keeps one."""
    host.configure(keep={"last": 1})
    for type_ in ("one", "two", "three"):
        host.call("backup_run", job="shop", type=type_)
    return host


def test_check_mode_of_pruning_is_the_plan_that_pruning_carries_out(aged: Host) -> None:
    before = aged.files()
    planned = aged.call("retention_prune", job="shop", check=True)
    assert planned["changed"]
    assert aged.files() == before
    done = aged.call("retention_prune", job="shop")
    assert done["plan"] == planned["plan"]
    assert done["diff"] == planned["diff"]
    gone = sorted(one["id"] for one in planned["plan"][0]["expired"])
    assert len(gone) == 2
    assert sorted(done["pruned"][0]["pruned"]) == gone
    left = aged.call("backup_info")["backups"]
    assert not {one["id"] for one in left} & set(gone)


def test_pruning_twice_changes_once(aged: Host) -> None:
    assert aged.call("retention_prune", job="shop")["changed"]
    assert not aged.call("retention_prune", job="shop")["changed"]


def test_more_than_half_goes_only_when_that_is_said(
    aged: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    for type_ in ("four", "five"):
        aged.call("backup_run", job="shop", type=type_)
    before = aged.files()
    for check in (True, False):
        refused = aged.call("retention_prune", job="shop", check=check)
        assert refused["failed"]
        assert refused["exit_code"] == 6
        assert "4 of the 5 backups here would go at once" in refused["msg"]
        assert aged.files() == before
    words = ["prune", "shop", "--apply"]
    assert lifeboat(words, scope="user", root=str(aged.root)) == 6
    assert "lifeboat prune shop --apply --no-limit" in capsys.readouterr().err
    assert aged.files() == before
    assert lifeboat(["prune"], scope="user", root=str(aged.root)) == 0  # the plan can be seen
    shown = capsys.readouterr().out
    assert "  policy  last 1, minimum 1" in shown
    assert "  nothing is deleted: 4 of the 5" in shown
    assert lifeboat([*words, "--no-limit"], scope="user", root=str(aged.root)) == 0
    assert len(aged.call("backup_info")["backups"]) == 1


def test_no_more_goes_than_an_earlier_plan_says(aged: Host) -> None:
    planned = aged.call("retention_prune", job="shop", check=True)["plan"]
    first = planned[0]["expired"].pop()
    done = aged.call("retention_prune", job="shop", plan=planned)
    assert done["pruned"][0]["pruned"] == [one["id"] for one in planned[0]["expired"]]
    assert first["id"] in [one["id"] for one in aged.call("backup_info")["backups"]]
    wrong = aged.call("retention_prune", job="shop", plan=[{"what": 1}])
    assert "not what retention_prune returned" in wrong["msg"]


def test_another_hosts_backups_are_pruned_only_by_its_pruner(aged: Host) -> None:
    refused = aged.call("retention_prune", job="shop", from_host="db9")
    assert "does not prune for 'db9'" in refused["msg"]


def test_a_described_destination_is_pruned_without_an_installed_job(aged: Host) -> None:
    (aged.root / "config" / "config.json").unlink()
    destination = {"type": "local", "path": str(aged.disk)}
    given = {"job": "shop", "from_host": "db1", "destination": destination}
    assert aged.call("retention_prune", **given)["failed"]  # without a rule
    planned = aged.call("retention_prune", check=True, keep={"last": 2}, **given)
    assert len(planned["plan"][0]["expired"]) == 1
    assert aged.call("retention_prune", keep={"last": 2}, **given)["changed"]


# -- db_dump


def test_a_dump_needs_no_configuration_and_is_a_backup_like_any_other(host: Host) -> None:
    (host.root / "config" / "config.json").unlink()
    made = host.door(
        "db_dump",
        job="shop",
        host="db1",
        sources=host.sources,
        path=str(host.disk),
        encryption={"age_recipients": [host.recipient]},
        type="predeploy",
    )
    assert made["changed"]
    verified = host.door(
        "verify_archive",
        job="shop",
        from_host="db1",
        destination={"type": "local", "path": str(host.disk)},
        sources=host.sources,
        level="content",
        identity=host.identity,
    )
    assert [one["id"] for one in verified["findings"]] == [made["id"]]
    assert [one["state"] for one in verified["findings"]] == ["readable"]


def test_check_mode_of_a_dump_writes_nothing(host: Host) -> None:
    result = host.door(
        "db_dump",
        job="shop",
        sources=host.sources,
        path=str(host.disk),
        encryption={"none": True},
        check=True,
    )
    assert result["changed"], result["msg"]
    assert host.files() == {}


def test_a_dump_says_how_it_is_encrypted(host: Host) -> None:
    given = {"job": "shop", "sources": host.sources, "path": str(host.disk)}
    result = host.door("db_dump", encryption={}, **given)
    assert result["failed"]
    assert "age_recipients" in result["msg"]


def test_a_secret_is_never_written_in_sources(host: Host) -> None:
    source = {"type": "postgresql", "database": "shop", "password": "hunter2"}
    given = {"job": "shop", "path": str(host.disk), "encryption": {"none": True}}
    result = host.door("db_dump", sources={"db": source}, **given)
    assert result["failed"]
    assert "hunter2" not in result["msg"]
    assert "credential" in result["hint"]


def test_a_secret_that_is_not_defined_is_told_by_name(host: Host) -> None:
    source = {"type": "postgresql", "database": "shop", "password": {"credential": "shop_db"}}
    given = {"job": "shop", "path": str(host.disk), "encryption": {"none": True}}
    result = host.door("db_dump", sources={"db": source}, **given)
    assert result["failed"]
    assert "shop_db" in result["msg"]


# -- on a host that is not provisioned yet


@pytest.mark.parametrize(
    ("name", "options", "changed"),
    [
        ("backup_info", {}, False),
        ("backup_run", {"job": "shop"}, True),
        ("db_restore", {"job": "shop"}, True),
        ("retention_prune", {"job": "shop"}, False),
        ("source_prepare", {}, True),
        ("verify_archive", {"job": "shop"}, False),
    ],
)
def test_check_mode_works_on_a_bare_host_and_leaves_it_bare(
    door: Any, tmp_path: Path, name: str, options: dict[str, Any], changed: bool
) -> None:
    result = door(name, scope="user", root=str(tmp_path / "bare"), check=True, **options)
    assert not result["failed"]
    assert result["changed"] == changed
    assert not (tmp_path / "bare").exists()
