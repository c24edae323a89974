# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hostile reviewer tried: each once lost data, or counted what must not count."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from .host import PHRASE, Host

KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


def listed(host: Host) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    return found


def test_a_restore_never_writes_through_what_a_killed_run_left(host: Host) -> None:
    id_ = host.run()
    archive = host.archive()
    spool = host.root / "state/spool/shop"
    os.link(archive, spool / archive.name)  # as after a kill between two destinations
    before = archive.read_bytes()

    assert host.restore(id_).returncode == 0
    assert archive.read_bytes() == before


def _two_sources(host: Host) -> None:
    notes = host.data / "notes"
    notes.mkdir()
    (notes / "one").write_text("kept")
    host.job["sources"]["notes"] = {"type": "files", "paths": [str(notes)]}
    host.job["keep"] = {"last": 2}
    host.configure()


def test_runs_of_some_sources_never_push_out_a_whole_backup(host: Host) -> None:
    _two_sources(host)
    whole = host.run()
    for _run in range(4):
        host.run("--only", "db")

    host.lifeboat("prune", "shop", "--apply")

    assert whole in [one["id"] for one in listed(host)]
    assert len(listed(host)) == 3  # the whole one, and two of the others


def test_a_run_of_some_sources_is_no_freshness_of_the_others(host: Host) -> None:
    _two_sources(host)
    host.run("--only", "db")

    done = host.lifeboat("status")

    assert done.returncode == 2
    assert "no good backup" in done.stdout


@pytest.mark.parametrize("after", [0, 1])
def test_a_confirm_that_is_killed_is_completed_and_never_undone(host: Host, after: int) -> None:
    _two_sources(host)
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    before = f"""
import lifeboat.sources.sqlite.source as sqlite, lifeboat.sources.files as files
seen = []
for kind in (sqlite.SQLite, files.Files):
    def discard(self, swap, real=kind.discard):
        if len(seen) == {after}:
            {KILL}
        seen.append(swap)
        real(self, swap)
    kind.discard = discard
"""
    killed = host.lifeboat("confirm", "shop", before=before)
    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert killed.returncode == -signal.SIGKILL
    assert undone.returncode == 2
    assert host.rows() == 1000
    assert (host.data / "notes/one").read_text() == "kept"
    assert host.left_over() == [str(host.data / "notes/one")]


def test_a_manifest_that_is_stored_wrong_is_no_backup(host: Host) -> None:
    # A fake: a destination that cuts small objects.
    before = """
import lifeboat.destinations.local as local
real = local.Local.put
def put(self, key, content):
    real(self, key, content[: len(content) // 2] if key.endswith(".json") else content)
local.Local.put = put
"""
    done = host.lifeboat("run", "shop", before=before)

    assert done.returncode == 4
    assert [one["good"] for one in listed(host)] == [False]
    assert host.lifeboat("status").returncode == 2


def test_an_emptied_manifest_is_marked_and_holds_retention(host: Host) -> None:
    host.job["keep"] = {"last": 1}
    host.configure()
    sound, broken = host.run(), host.run()
    (host.disk / f"catalog/h1/shop/{broken}.json").write_text("")

    verified = host.lifeboat("verify", broken)
    host.lifeboat("prune", "shop", "--apply")

    assert verified.returncode == 1
    assert {one["id"]: one["good"] for one in listed(host)} == {sound: True, broken: False}
    assert host.restore(sound).returncode == 0


def test_a_backup_from_the_future_is_neither_latest_nor_fresh(host: Host) -> None:
    now = host.run()
    before = """
import datetime, lifeboat.cli.session as session
session.now = lambda: datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1500)
"""
    future = host.lifeboat("run", "shop", before=before).stdout.strip()

    planned = json.loads(host.lifeboat("restore", "shop", "--dry-run", "--json").stdout)
    told = host.lifeboat("status").stdout
    pinned = host.lifeboat("pin", future)

    assert future > now
    assert planned["id"] == now
    assert "-1500d" not in told
    assert "future" in told
    assert pinned.returncode == 0


def test_a_failure_after_the_last_swap_takes_all_back_and_says_so(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    before = """
import lifeboat.sources.sqlite.source as sqlite
from lifeboat.errors import SourceError
real = sqlite.SQLite.swap
def swap(self, one):
    real(self, one)
    raise SourceError("the connection was lost")
sqlite.SQLite.swap = swap
"""
    done = host.restore(id_, before=before)

    assert done.returncode == 1
    assert host.rows() == 7
    assert "the old state is in place" in done.stderr
    assert "the new state" not in done.stderr


def test_recovery_goes_on_past_a_job_that_is_gone(host: Host) -> None:
    id_ = host.run()
    host.configuration["jobs"]["aaa"] = dict(host.job)
    host.configure()
    first = host.lifeboat("run", "aaa").stdout.strip()
    gate = ("--identity", str(host.key), "--confirm", PHRASE, "--target-host", "h1")
    host.lifeboat("restore", "aaa", first, *gate)
    before = f"""
import lifeboat.sources.sqlite.source as sqlite
sqlite.SQLite.swap = lambda self, one: {KILL}
"""
    host.restore(id_, before=before)
    del host.configuration["jobs"]["aaa"]
    host.configure()

    done = host.lifeboat("recover")

    assert done.returncode != 0
    assert "aaa" in done.stderr
    assert "job shop" in done.stdout


def test_a_destination_inside_its_own_source_is_refused(host: Host) -> None:
    host.job["sources"]["all"] = {"type": "files", "paths": [str(host.base)]}
    host.configure()

    done = host.lifeboat("config", "check")

    assert done.returncode == 2
    assert f"{host.base} holds the destination disk" in done.stderr


def test_private_facts_are_in_no_manifest_and_reach_the_restore(host: Host) -> None:
    before = """
import lifeboat.sources.sqlite.source as sqlite
real = sqlite.SQLiteDump.__init__
def init(self, *words, **named):
    real(self, *words, **named)
    self.private = {"secret": "s3cr3t-of-the-source"}
sqlite.SQLiteDump.__init__ = init
stage = sqlite.SQLite.stage
def staged(self, swap, record, plains, work):
    open(%r, "w").write(record.facts.get("secret", ""))
    stage(self, swap, record, plains, work)
sqlite.SQLite.stage = staged
""" % str(host.base / "told")
    id_ = host.lifeboat("run", "shop", before=before).stdout.strip()

    done = host.restore(id_, before=before)

    assert done.returncode == 0, done.stderr
    assert Path(host.base / "told").read_text() == "s3cr3t-of-the-source"
    stored = [path for path in host.disk.rglob("*") if path.is_file()]
    assert not [path for path in stored if b"s3cr3t-of-the-source" in path.read_bytes()]


def test_a_confirm_removes_no_directory_that_was_put_where_an_undone_tree_was(host: Host) -> None:
    """The folder is another user's, who may give our name to what root has there."""
    uploads, roots = host.data / "uploads", host.data / "roots"
    for one in (uploads, roots):
        one.mkdir()
        (one / "paper").write_text(f"in {one.name}")
    host.job["sources"] = {"uploads": {"type": "files", "paths": [str(uploads)]}}
    host.configure()
    id_ = host.run()
    gate = ("--confirm", PHRASE, "--target-host", host.name)
    assert host.restore(id_).returncode == 0
    assert host.lifeboat("undo", "shop", id_, *gate).returncode == 0
    (side,) = host.data.glob(".uploads.lifeboat-*.new")
    assert host.restore(id_).returncode == 0
    side.rename(host.base / "away")
    roots.rename(side)

    confirmed = host.lifeboat("confirm", "shop")

    assert confirmed.returncode != 0
    assert f"something else lies at {side}" in confirmed.stderr
    assert (side / "paper").read_text() == "in roots"
    side.rename(roots)
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert sorted(path.name for path in host.data.iterdir()) == ["app.db", "roots", "uploads"]
    assert [path.name for path in (host.root / "state/restores").iterdir()] == []


@pytest.mark.parametrize("job", ["blog", "shop"])
def test_what_the_user_of_a_job_leaves_keeps_no_restore_from_being_settled(
    host: Host, job: str
) -> None:
    """The spool is that user's; what lies there is read by root, at boot too."""
    host.configuration["jobs"]["blog"] = host.job
    host.configure()
    id_ = host.run()
    host.fill(7)
    killed = host.restore(
        id_,
        before="from lifeboat.sources.sqlite.source import SQLite\n"
        f"SQLite.swap = lambda self, swap: {KILL}",
    )
    assert killed.returncode == -signal.SIGKILL
    spool = host.root / "state/spool" / job
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "stopped-x.json").write_text("[" * 200_000)

    done = host.lifeboat("recover")

    assert "stopped-x.json cannot be read" in done.stdout, done.stderr
    assert "is taken back" in done.stdout
    assert not list((host.root / "state/restores").glob("*.json"))
    assert host.rows() == 7


def test_a_job_that_cannot_be_recovered_keeps_no_other_waiting(host: Host) -> None:
    host.configuration["jobs"]["blog"] = host.job
    host.configure()
    id_ = host.run()
    host.restore(
        id_,
        before="from lifeboat.sources.sqlite.source import SQLite\n"
        f"SQLite.swap = lambda self, swap: {KILL}",
    )
    spool = host.root / "state/spool/blog"
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "stopped-x.json").write_text("{}")
    (spool / "fetched").write_text("half")

    done = host.lifeboat(
        "recover",
        before="from lifeboat.operations.backup import backup\n"
        "def empty(spool, real=backup.empty):\n"
        "    if spool.name == 'blog':\n"
        "        raise OSError(16, 'busy')\n"
        "    real(spool)\n"
        "backup.empty = empty",
    )

    assert done.returncode == 1
    assert "blog could not be recovered: busy" in done.stderr
    assert "is taken back" in done.stdout


def test_no_name_at_a_destination_keeps_anybody_from_pinning_or_accepting(host: Host) -> None:
    id_ = host.run()
    manifest = next(host.disk.glob(f"catalog/*/*/{id_}.json"))
    manifest.with_name(f"{id_}.suspect-99991231T235959Z").touch()
    for word in ("pin", "accept"):
        done = host.lifeboat(word, id_)
        assert done.returncode == 0, done.stderr
    assert json.loads(host.lifeboat("list", "shop", "--json").stdout)[0]["good"]


def test_what_is_written_into_the_history_stops_nobody(host: Host) -> None:
    """The user of a job may write both files, and root reads them."""
    id_ = host.run()
    log = host.root / "state/log"
    with (log / "audit.jsonl").open("a") as audit:
        audit.write('{"seq": %s, "prev": "x", "at": "y"}\n' % ("9" * 4300))
    odd = [
        {"event": "backup", "exit_code": "x", "outcomes": 3, "odd": 7, "stored": [1]},
        {"event": "backup", "exit_code": 0, "sizes": {"db": "q"}, "id": id_},
        {"event": "accept", "id": [1]},
        {"event": "drill", "at": 5, "phases": 1},
        {"event": "prune", "at": {}, "pruned": 1},
    ]
    with (log / "history.jsonl").open("a") as history:
        history.writelines(json.dumps({**one, "job": "shop"}) + "\n" for one in odd)
    assert host.restore(id_).returncode == 0
    words = [
        ("confirm", "shop"),
        ("run", "shop"),
        ("push",),
        ("report",),
        ("runbook",),
        ("doctor",),
    ]
    for one in words:
        done = host.lifeboat(*one)
        assert "Traceback" not in done.stderr, (one, done.stderr)
        assert done.returncode == 0 or one[0] == "doctor", (one, done.stderr)
    assert host.lifeboat("audit").returncode == 1
