# SPDX-License-Identifier: GPL-3.0-or-later
"""Files put back one by one, or some paths alone, by the command; and what an undo needs."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from .host import PHRASE, Host

KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


@pytest.fixture
def uploads(host: Host) -> Path:
    top = host.data / "uploads"
    (top / "2026" / "june").mkdir(parents=True)
    (top / "2026" / "june" / "one").write_text("one")
    (top / "2026" / "two").write_text("two")
    os.link(top / "2026" / "two", top / "2026" / "june" / "also two")
    (top / "three").write_text("three")
    host.job["sources"]["uploads"] = {"type": "files", "paths": [str(top)]}
    host.configure()
    return top


def undo(host: Host, id_: str) -> None:
    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert done.returncode == 0, done.stderr


def content(top: Path) -> dict[str, str]:
    return {
        str(path.relative_to(top)): path.read_text()
        for path in sorted(top.rglob("*"))
        if path.is_file() and ".lifeboat-" not in str(path)
    }


def test_one_directory_is_merged_and_taken_back(host: Host, uploads: Path) -> None:
    id_ = host.run()
    (uploads / "2026/june/one").write_text("changed")
    (uploads / "2026/june/since").write_text("since")
    (uploads / "2026/june/also two").unlink()
    (uploads / "three").write_text("changed too")
    changed = content(uploads)

    done = host.restore(id_, "--only", "uploads", "--path", "2026/june", "--merge")

    assert done.returncode == 0, done.stderr
    assert "2026/june merged into" in done.stderr
    assert content(uploads) == {
        **changed,
        "2026/june/one": "one",
        "2026/june/also two": "two",
    }
    undo(host, id_)
    assert content(uploads) == changed
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert not [path for path in uploads.rglob("*") if "lifeboat" in path.name]


def test_one_path_is_exchanged_as_a_whole_without_merge(host: Host, uploads: Path) -> None:
    id_ = host.run()
    (uploads / "2026/june/since").write_text("since")
    (uploads / "three").write_text("changed")

    done = host.restore(id_, "--only", "uploads", "--path", str(uploads / "2026"))

    assert done.returncode == 0, done.stderr
    assert "2026/june/since" not in content(uploads)
    assert content(uploads)["three"] == "changed"


@pytest.mark.parametrize("moment", range(4))
def test_a_merge_that_is_killed_is_taken_back(host: Host, uploads: Path, moment: int) -> None:
    id_ = host.run()
    (uploads / "2026/june/one").write_text("changed")
    shutil.rmtree(uploads / "2026/june")
    (uploads / "three").write_text("changed too")
    changed = content(uploads)
    before = f"""
import lifeboat.sources.trees.beneath as beneath
real, seen = beneath.Beneath.move, []
def move(self, *words, **named):
    if len(seen) == {moment}:
        {KILL}
    seen.append(words)
    real(self, *words, **named)
beneath.Beneath.move = move
"""
    killed = host.restore(id_, "--only", "uploads", "--merge", before=before)

    assert killed.returncode in (-signal.SIGKILL, 0)
    told = host.lifeboat("recover")
    assert told.returncode == 0, told.stderr
    if killed.returncode:
        assert content(uploads) == changed
        assert not [path for path in uploads.rglob("*") if "lifeboat" in path.name]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--merge",), "source db: --merge is for files"),
        (("--path", "x"), "--path needs exactly one source"),
        (("--only", "db", "--path", "x"), "bring them beside with --into NAME"),
        (("--only", "uploads", "--path", "/etc"), "does not hold /etc"),
        (("--only", "uploads", "--path", "nowhere"), "holds no "),
        (("--only", "uploads", "--path", "2026/tow", "--merge"), "--path DIRECTORY --into PLACE"),
    ],
)
def test_what_cannot_be_restored_in_part_is_told(
    host: Host, uploads: Path, words: tuple[str, ...], reason: str
) -> None:
    id_ = host.run()
    before = content(uploads)

    done = host.restore(id_, *words)

    assert done.returncode != 0
    assert reason in done.stderr
    assert content(uploads) == before


def test_what_is_restored_as_a_whole_only_is_told(host: Host) -> None:
    host.job["sources"] = {
        "app": {"type": "command", "dump": ["echo", "all of it"], "restore": ["cat"]}
    }
    host.configure()
    done = host.restore(host.run(), "--path", "x")
    assert done.returncode == 2
    assert "source app (command) is restored as a whole only" in done.stderr


def test_the_plan_says_what_would_be_merged(host: Host, uploads: Path) -> None:
    host.run()
    done = host.lifeboat(
        "restore", "shop", "--only", "uploads", "--path", "three", "--merge", "--dry-run", "--json"
    )
    target = json.loads(done.stdout)["targets"][0]
    assert target["target"] == f"{uploads}/three merged into {uploads}"


def test_a_source_that_is_of_another_kind_by_now_is_not_undone(host: Host, uploads: Path) -> None:
    id_ = host.run()
    (uploads / "three").write_text("changed")
    assert host.restore(id_, "--only", "uploads").returncode == 0
    host.job["sources"]["uploads"] = {"type": "sqlite", "path": str(host.database)}
    host.configure()

    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    confirmed = host.lifeboat("confirm", "shop")

    for done in (undone, confirmed):
        assert done.returncode == 2
        assert "is a sqlite now, and was a files when" in done.stderr
    host.job["sources"]["uploads"] = {"type": "files", "paths": [str(uploads)]}
    host.configure()
    undo(host, id_)
    assert (uploads / "three").read_text() == "changed"


@pytest.mark.parametrize("words", [(), ("--merge",)])
def test_without_what_was_kept_nothing_is_undone(
    host: Host, uploads: Path, words: tuple[str, ...]
) -> None:
    id_ = host.run()
    (uploads / "three").write_text("changed")
    assert host.restore(id_, "--only", "uploads", *words).returncode == 0
    place = uploads if words else uploads.parent
    (kept,) = (
        path for path in place.iterdir() if ".lifeboat-" in path.name and path.suffix == ".old"
    )
    kept.rename(host.data / "away")

    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert done.returncode == 1
    assert "is not kept at" in done.stderr
    assert "nothing was undone" in done.stderr
    assert "undone: the state" not in done.stdout
    assert (uploads / "three").read_text() == "three"
    (host.data / "away").rename(kept)
    undo(host, id_)
    assert (uploads / "three").read_text() == "changed"


def test_a_run_never_makes_a_destination_that_has_vanished(host: Host) -> None:
    host.run()
    shutil.rmtree(host.disk)

    done = host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "is its disk mounted" in done.stderr
    assert not host.disk.exists()
