# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, at the command line: back up, lose the data, bring it back, take it back."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from .host import PHRASE, Host


def test_what_was_destroyed_comes_back(host: Host) -> None:
    id_ = host.run()
    host.database.unlink()

    done = host.restore(id_)

    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    host.lifeboat("confirm", "shop")
    assert host.left_over() == []


def test_undo_puts_back_what_the_restore_replaced(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    assert host.rows() == 1000

    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert done.returncode == 0, done.stderr
    assert host.rows() == 7


def test_a_restore_after_an_undo_works(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert host.restore(id_).returncode == 0
    assert host.rows() == 1000


def test_a_restore_of_a_tree_after_an_undo_can_be_let_go_of(host: Host) -> None:
    """What the first one restored lies beside still; what it replaced has moved on with the second."""
    uploads = host.data / "uploads"
    uploads.mkdir()
    (uploads / "invoice").write_text("paid")
    host.job["sources"]["uploads"] = {"type": "files", "paths": [str(uploads)]}
    host.configure()
    saved = host.run()
    (uploads / "invoice").write_text("open")
    assert host.restore(saved, "--only", "uploads").returncode == 0
    undone = host.lifeboat("undo", "shop", saved, "--confirm", PHRASE, "--target-host", host.name)
    assert undone.returncode == 0, undone.stderr
    assert host.restore(saved, "--only", "uploads").returncode == 0

    confirmed = host.lifeboat("confirm", "shop")

    assert confirmed.returncode == 0, confirmed.stderr
    assert (uploads / "invoice").read_text() == "paid"
    assert [path.name for path in host.data.iterdir() if "lifeboat" in path.name] == []


def test_confirm_lets_go_of_what_was_kept(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)
    assert host.left_over() != []

    done = host.lifeboat("confirm", "shop")

    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    assert host.left_over() == []


@pytest.mark.parametrize(("days", "kept"), [(6, 2), (8, 1)])
def test_what_was_kept_is_let_go_of_by_the_next_restore_after_a_week(
    host: Host, days: int, kept: int
) -> None:
    id_ = host.run()
    host.restore(id_)
    assert len(host.left_over()) == 1
    (note,) = (host.root / "state" / "restores").glob("shop.*.json")
    begun = datetime.now(timezone.utc) - timedelta(days=days)
    aged = {**json.loads(note.read_text()), "begun_at": f"{begun:%Y-%m-%dT%H:%M:%SZ}"}
    note.write_text(json.dumps(aged))

    assert host.restore(id_).returncode == 0

    assert len(host.left_over()) == kept
    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr


def test_what_came_since_is_told_before_the_gate_asks(host: Host) -> None:
    papers = host.data / "papers"
    papers.mkdir()
    (papers / "old.txt").write_text("old")
    host.job["sources"]["papers"] = {"type": "files", "paths": [str(papers)]}
    host.configure()
    id_ = host.run()
    host.fill(1003)
    (papers / "old.txt").write_text("changed since")

    done = host.lifeboat("restore", "shop", id_, "--dry-run", "--json")

    lost = {one["source"]: one["lost"] for one in json.loads(done.stdout)["targets"]}
    assert lost == {
        "db": ["3 rows more than in the backup"],
        "papers": ["1 file written since"],
    }
    assert "would be lost: 3 rows more than in the backup" in host.restore(id_).stderr


def test_undo_passes_the_gate_too(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_)

    done = host.lifeboat("undo", "shop", id_)

    assert done.returncode == 6
    assert host.rows() == 1000


def test_run_prints_the_id_alone(host: Host) -> None:
    done = host.lifeboat("run", "shop")

    assert done.stdout.count("\n") == 1
    assert done.stdout.strip().split("-")[1] == "manual"


def test_list_shows_tags_pins_and_states_as_json(host: Host) -> None:
    id_ = host.run("--tag", "v1.2.3 / “beta”", "--pin", "--type", "predeploy")

    listed = json.loads(host.lifeboat("list", "shop", "--json").stdout)

    assert listed[0]["id"] == id_
    assert listed[0]["type"] == "predeploy"
    assert listed[0]["tags"] == ["v1.2.3 / “beta”"]
    assert listed[0]["copies"] == {"disk": "intact"}


def test_query_picks_from_the_result(host: Host) -> None:
    id_ = host.run()

    done = host.lifeboat("list", "shop", "--query", "[0].id")

    assert json.loads(done.stdout) == id_


def test_content_is_proved_with_the_key(host: Host) -> None:
    id_ = host.run()

    done = host.lifeboat("verify", id_, "--level", "content", "--identity", str(host.key))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "readable" in done.stdout


def test_the_key_can_come_on_standard_input(host: Host) -> None:
    host.run()

    done = host.lifeboat(
        "verify", "shop", "--level", "content", "--identity", "-", stdin=host.key.read_bytes()
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_archive_opens_with_standard_programs_alone(host: Host) -> None:
    host.run()
    archive = host.archive()

    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=archive.parent, check=False)
    age = subprocess.run(
        ["age", "-d", "-i", str(host.key), str(archive)], capture_output=True, check=True
    )
    plain = subprocess.run(["zstd", "-d", "-c"], input=age.stdout, capture_output=True, check=True)

    assert sums.returncode == 0
    assert plain.stdout.startswith(b"SQLite format 3\0")


def test_another_host_restores_when_it_names_where_from(host: Host) -> None:
    id_ = host.run()
    other = Host(host.base, "h2", host.disk)

    refused = other.restore(id_)
    done = other.restore(id_, "--from-host", "h1")

    assert refused.returncode == 2  # h2 has no such backup
    assert done.returncode == 0, done.stderr
    assert other.rows() == 1000


def test_latest_is_the_latest_good_one_and_says_so(host: Host) -> None:
    good = host.run()
    host.fill(2000)
    host.lifeboat("run", "shop")
    newest = sorted(host.disk.glob("archives/h1/shop/*"))[-1]
    archive = next(newest.glob("db.database*"))
    archive.write_bytes(archive.read_bytes()[:-1])
    host.lifeboat("verify", newest.name)  # marks it bad

    done = host.lifeboat("restore", "shop", "--dry-run", "--json")

    assert json.loads(done.stdout)["id"] == good
    assert newest.name in json.loads(done.stdout)["remark"]


def test_into_leaves_the_live_database_alone(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    aside = host.data / "aside.db"

    done = host.restore(id_, "--into", str(aside))

    assert done.returncode == 0, done.stderr
    assert host.rows() == 7
    assert aside.exists()


def test_a_destination_that_was_lost_gets_its_copy_later(host: Host) -> None:
    away, blocker = host.base / "away", host.base / "away-is-a-file"
    blocker.write_text("not a directory")
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(blocker)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    assert host.lifeboat("run", "shop").returncode == 3
    host.configuration["destinations"]["second"]["path"] = str(away)
    away.mkdir()
    host.configure()

    done = host.lifeboat("push", "shop", "--missing", "--json")
    again = host.lifeboat("push", "shop", "--missing")
    host.database.unlink()
    id_ = json.loads(done.stdout)[0]["id"]

    assert done.returncode == 0, done.stderr
    assert again.stdout.strip() == "nothing is missing"
    assert host.restore(id_, "--at", "second").returncode == 0
    assert host.rows() == 1000
    assert host.lifeboat("verify", id_).returncode == 0


def test_a_suspect_backup_counts_once_it_is_accepted(host: Host) -> None:
    for _run in range(3):
        host.run()
    host.fill(400_000)  # far off the trend of three runs
    odd = host.lifeboat("run", "shop")
    id_ = odd.stdout.strip()
    before = json.loads(host.lifeboat("list", "shop", "--json").stdout)[0]

    done = host.lifeboat("accept", id_)
    after = json.loads(host.lifeboat("list", "shop", "--json").stdout)[0]

    assert "suspect" in odd.stderr
    assert (before["id"], before["good"]) == (id_, False)
    assert done.returncode == 0, done.stderr
    assert (after["id"], after["good"]) == (id_, True)


def test_a_push_carries_what_was_accepted_on_this_host(host: Host) -> None:
    for _run in range(3):
        host.run()
    host.fill(400_000)
    id_ = host.lifeboat("run", "shop").stdout.strip()
    host.lifeboat("accept", id_)
    second = host.base / "second"
    second.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(second)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()

    pushed = host.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stderr
    told = json.loads(host.lifeboat("list", "shop", "--json").stdout)[0]
    assert (told["id"], told["copies"]["second"]) == (id_, "intact")


def test_an_accepted_size_is_the_new_trend(host: Host) -> None:
    for _run in range(3):
        host.run()
    host.fill(400_000)
    host.lifeboat("accept", host.lifeboat("run", "shop").stdout.strip())

    again = host.lifeboat("run", "shop")

    assert "suspect" not in again.stderr


def test_an_optional_source_that_vanishes_is_suspect_until_accepted(host: Host) -> None:
    _two_sources(host)
    host.job["sources"]["notes"]["optional"] = True
    host.configure()
    host.run()
    (host.data / "notes").rename(host.data / "moved")

    gone = host.lifeboat("run", "shop")
    host.lifeboat("accept", gone.stdout.strip())
    again = host.lifeboat("run", "shop")

    assert "suspect: notes is not there, and was in earlier backups" in gone.stderr
    assert "suspect" not in again.stderr
    assert again.returncode == 0


def test_pins_and_tags_can_be_given_later(host: Host) -> None:
    id_ = host.run()

    host.lifeboat("pin", id_)
    host.lifeboat("tag", id_, "before the move")
    listed = host.lifeboat("list", "shop").stdout
    host.lifeboat("unpin", id_)

    assert "pinned" in listed
    assert "tag=before the move" in listed
    assert "pinned" not in host.lifeboat("list", "shop").stdout


def _two_sources(host: Host) -> None:
    notes = host.data / "notes"
    notes.mkdir()
    (notes / "one").write_text("kept")
    host.job["sources"]["notes"] = {"type": "files", "paths": [str(notes)]}
    host.configure()


def test_a_run_of_some_sources_never_hides_the_others(host: Host) -> None:
    _two_sources(host)
    whole = host.run()
    host.run("--only", "db")

    planned = json.loads(host.lifeboat("restore", "shop", "--dry-run", "--json").stdout)
    newest = json.loads(
        host.lifeboat("restore", "shop", "--dry-run", "--json", "--only", "db").stdout
    )

    assert planned["id"] == whole
    assert planned["absent"] == []
    assert newest["id"] != whole


def test_what_a_named_backup_does_not_hold_is_told(host: Host) -> None:
    _two_sources(host)
    part = host.run("--only", "db")

    done = host.lifeboat("restore", "shop", part, "--dry-run")

    assert "notes: NOT in this backup" in done.stdout


def test_a_corrupt_copy_is_marked_and_the_next_one_used(host: Host) -> None:
    second = host.base / "second"
    second.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(second)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    id_ = host.run()
    archive = host.archive()
    archive.write_bytes(archive.read_bytes()[:-1])
    host.database.unlink()

    done = host.restore(id_)
    listed = json.loads(host.lifeboat("list", "shop", "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert "corrupt" in done.stderr
    assert host.rows() == 1000
    assert listed[0]["copies"] == {"disk": "corrupt", "second": "intact"}


def test_one_bad_archive_does_not_block_the_sound_ones(host: Host) -> None:
    _two_sources(host)
    id_ = host.run()
    archive = host.archive("notes.tree")
    archive.write_bytes(archive.read_bytes()[:-1])
    host.lifeboat("verify", id_)
    host.database.unlink()

    done = host.restore(id_, "--only", "db")

    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000


def test_an_undo_looks_at_all_before_it_touches_one(host: Host) -> None:
    _two_sources(host)
    id_ = host.run()
    host.fill(7)
    (host.data / "notes/one").write_text("changed")
    host.restore(id_)
    # A fake: one source's server is gone.
    before = """
import lifeboat.sources.sqlite.source as sqlite
from lifeboat.errors import SourceError
def gone(self, swap):
    raise SourceError("the server is gone")
sqlite.SQLite.swapped = gone
"""
    words = ("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    failed = host.lifeboat(*words, before=before)

    assert failed.returncode == 1
    assert (host.data / "notes/one").read_text() == "kept"
    assert host.rows() == 1000
    assert host.lifeboat(*words).returncode == 0
    assert (host.data / "notes/one").read_text() == "changed"


def test_the_note_beside_a_backup_restores_it_word_for_word(host: Host) -> None:
    _two_sources(host)
    host.run()
    folder = host.base / "by-hand"
    shutil.copytree(host.archive().parent, folder)
    shutil.copy(host.key, folder / "identity.txt")
    note = (folder / "RESTORE.md").read_text()
    blocks = re.findall(r"```(?:ba)?sh\n(.*?)```", note, re.DOTALL)

    for block in blocks:
        subprocess.run(["bash", "-e", "-c", block], cwd=folder, check=True, capture_output=True)

    assert len(blocks) == 4
    connection = sqlite3.connect(folder / "db.database.sqlite")
    assert connection.execute("select count(*) from book").fetchone() == (1000,)
    connection.close()
    restored = folder / "NEW_DIRECTORY" / str(host.data / "notes/one").lstrip("/")
    assert restored.read_text() == "kept"
