# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at any moment: nothing half done counts, and recovery gives the old or the new state."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .host import PHRASE, Host

_KILL = "__import__('os').kill(__import__('os').getpid(), 9)"
_AT_STEP = """
import lifeboat.operations.restore.journal as journal, lifeboat.operations.restore.restore as restore
real = journal.save
def save(directory, one):
    global seen
    {before}
    real(directory, one)
    {after}
journal.save = save
"""
_AT_SWAP = """
import lifeboat.sources.sqlite.source as sqlite
real = sqlite.SQLite.{method}
def method(self, *words):
    {before}
    result = real(self, *words)
    {after}
    return result
sqlite.SQLite.{method} = method
"""


def at_step(step: str, when: str) -> str:
    kill = f"if one.step == {step!r}: {_KILL}"
    return _AT_STEP.format(
        before=kill if when == "before" else "pass", after=kill if when == "after" else "pass"
    )


def at_method(method: str, when: str) -> str:
    return _AT_SWAP.format(
        method=method,
        before=_KILL if when == "before" else "pass",
        after=_KILL if when == "after" else "pass",
    )


MOMENTS = {
    f"{when} the step {step}": (at_step(step, when), step == "swapped" and when == "after")
    for step in ("staging", "swapping", "swapped")
    for when in ("before", "after")
} | {
    f"{when} {method}": (at_method(method, when), None)
    for method in ("stage", "count", "swap")
    for when in ("before", "after")
}


@pytest.mark.parametrize("moment", sorted(MOMENTS))
def test_a_killed_restore_leaves_the_old_or_the_new_state(host: Host, moment: str) -> None:
    before, _new = MOMENTS[moment]
    id_ = host.run()
    host.fill(7)

    killed = host.restore(id_, before=before)
    recovered = host.lifeboat("recover")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert recovered.returncode == 0, recovered.stderr
    assert host.rows() in (7, 1000)
    if host.rows() == 1000:
        assert (
            "new state is in place" in recovered.stdout or "nothing to recover" in recovered.stdout
        )
    else:
        assert "new state" not in recovered.stdout
    assert host.restore(id_).returncode == 0
    assert host.rows() == 1000


def test_only_a_swapped_restore_is_the_new_state(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_, before=at_method("swap", "after"))

    recovered = host.lifeboat("recover")

    assert host.rows() == 1000
    assert "the new state is in place" in recovered.stdout
    # a boot may have done it: whoever comes later is told here
    assert "the new state is in place" in host.lifeboat("history", "shop").stdout


# Wherever a killed restore is ended; the file that it notes that in cannot be written.
FULL = """
import errno
import lifeboat.cli.session as session
def full(*words, **more):
    raise OSError(errno.ENOSPC, "No space left on device")
session.lock = full
"""


def test_a_disk_that_is_full_is_told_with_what_to_do(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_, before=at_method("stage", "after"))

    recovered = host.lifeboat("recover", before=FULL)
    undone = host.lifeboat("undo", "shop", before=FULL)

    for done in (recovered, undone):
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "make room" in done.stderr
        assert "Errno" not in done.stderr
    assert recovered.stdout.strip() == "nothing was recovered"
    assert "is taken back" in host.lifeboat("recover").stdout
    assert host.rows() == 7


def test_half_a_journal_is_removed(host: Host) -> None:
    """Killed between its two names: it lies beside the journal that it was to replace."""
    id_ = host.run()
    host.fill(7)
    before = """
import os
real, seen = os.replace, []
def replace(old, new):
    seen.append(str(new))
    if len([one for one in seen if "/restores/" in one]) == %d:
        os.kill(os.getpid(), 9)
    real(old, new)
os.replace = replace
"""
    folder = host.root / "state" / "restores"
    for number in (1, 2):  # the first of this restore, and one that replaces another
        killed = host.restore(id_, before=before % number)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert len([path for path in folder.glob(".shop.*") if path.is_file()]) == 1
        recovered = host.lifeboat("recover")
        assert recovered.returncode == 0, recovered.stderr
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        assert host.rows() == 7


def test_the_next_run_recovers_by_itself(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    host.restore(id_, before=at_method("swap", "before"))

    done = host.lifeboat("run", "shop")

    assert done.returncode == 0, done.stderr
    assert "the old state is in place" in done.stderr
    assert host.rows() == 7
    assert host.left_over() == []


@pytest.mark.parametrize(
    "place",
    [
        "lifeboat.spool.Spool.commit",
        "lifeboat.destinations.local.Local.store",
        "lifeboat.operations.backup.lanes.Lane._read_back",
        "lifeboat.operations.backup.lanes.sha256sums",
        "lifeboat.operations.standing.history.remember_backup",
    ],
)
def test_a_killed_run_leaves_nothing_that_counts(host: Host, place: str) -> None:
    module, _dot, name = place.rpartition(".")
    before = f"""
import importlib, os
owner = {module!r}
try:
    target = importlib.import_module(owner)
except ModuleNotFoundError:
    target = getattr(importlib.import_module(owner.rpartition(".")[0]), owner.rpartition(".")[2])
setattr(target, {name!r}, lambda *words, **named: os.kill(os.getpid(), 9))
"""
    killed = host.lifeboat("run", "shop", before=before)

    verified = host.lifeboat("verify", "shop")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if verified.returncode != 0:  # else it was killed after the commit, and the copy is whole
        assert host.lifeboat("status").returncode == 2
    host.run()
    assert host.left_over() == []
    assert host.lifeboat("verify", "shop").returncode == 0


def test_a_terminated_run_cleans_up_itself(host: Host) -> None:
    before = """
import lifeboat.spool as spool, os
real = spool.Spool.commit
def commit(self):
    os.kill(os.getpid(), 15)
    __import__("time").sleep(5)
spool.Spool.commit = commit
"""
    done = host.lifeboat("run", "shop", before=before)

    assert done.returncode == 130
    assert host.stored() == []
    assert host.left_over() == []


def _several(host: Host) -> list[Path]:
    """A files source of three trees, each with one file that says "old" after the backup said "new"."""
    trees = [host.data / name for name in ("one", "two", "three")]
    for tree in trees:
        tree.mkdir()
        (tree / "said").write_text("new")
    host.job["sources"] = {"trees": {"type": "files", "paths": [str(tree) for tree in trees]}}
    host.configure()
    return trees


def _said(trees: list[Path]) -> set[str]:
    return {(tree / "said").read_text() for tree in trees}


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "raise SourceError('staged')"])
def test_several_trees_are_all_old_or_all_new(host: Host, place: int, how: str) -> None:
    trees = _several(host)
    id_ = host.run()
    for tree in trees:
        (tree / "said").write_text("old")
    before = f"""
import os
import lifeboat.sources.trees.swap as tree_swap
from lifeboat.errors import SourceError
real, seen = tree_swap.swap, []
def swap(tree):
    seen.append(tree)
    if len(seen) == {place}:
        {how}
    real(tree)
tree_swap.swap = swap
"""
    failed = host.restore(id_, before=before)
    host.lifeboat("recover")

    assert failed.returncode in (1, -signal.SIGKILL)
    assert _said(trees) == {"old"}
    assert host.restore(id_).returncode == 0
    assert _said(trees) == {"new"}


@pytest.mark.parametrize("place", [1, 2, 3])
def test_an_undo_of_several_trees_that_is_killed_is_completed(host: Host, place: int) -> None:
    trees = _several(host)
    id_ = host.run()
    for tree in trees:
        (tree / "said").write_text("old")
    assert host.restore(id_).returncode == 0
    before = f"""
import os
import lifeboat.sources.trees.swap as tree_swap
real, seen = tree_swap.back, []
def back(tree):
    seen.append(tree)
    if len(seen) == {place}:
        os.kill(os.getpid(), 9)
    real(tree)
tree_swap.back = back
"""
    words = ("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    killed = host.lifeboat(*words, before=before)
    recovered = host.lifeboat("recover")

    assert killed.returncode == -signal.SIGKILL
    assert recovered.returncode == 0, recovered.stderr
    assert _said(trees) == {"old"}


def test_what_was_left_within_the_second_of_the_next_run_goes_too(host: Host) -> None:
    """By a run that was killed while it named an archive or an entry, and while it wrote how far it was."""
    host.run()
    folder = next(host.disk.glob("archives/*/*/*"))
    part = folder / ".part-0123456789abcdef"
    entry = next(host.disk.glob("catalog/*/*")) / ".part-0123456789abcdef"
    told = host.root / "state/run/.shop.progress.abcdefgh"
    # as the clock of a file, and no later than this second's end: what `begun` says is its beginning
    left = [
        f"open({str(path)!r}, 'w').close(); os.utime({str(path)!r}, ns=(at, at))"
        for path in (part, entry, told)
    ]
    before = "import os, time; at = time.time_ns(); time.sleep(0.002)\n" + "\n".join(left)
    host.lifeboat("run", "shop", before=before)

    assert not part.exists()
    assert not entry.exists()
    assert not told.exists()


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (
            ("run", "shop"),
            "import lifeboat.operations.backup.archiving as one; one.Writer._archive = kill",
        ),
        (
            ("verify", "shop", "--level", "content", "--identity", "KEY"),
            "import lifeboat.operations.upkeep.verify as one; one.plains = kill",
        ),
    ],
)
def test_recovery_removes_the_directories_that_a_killed_operation_worked_in(
    host: Host, words: tuple[str, ...], before: str
) -> None:
    host.run()
    words = tuple(str(host.key) if word == "KEY" else word for word in words)
    before = f"import os; kill = lambda *words: os.kill(os.getpid(), 9)\n{before}"
    killed = host.lifeboat(*words, before=before)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    worked = [host.root / "state/run", host.root / "state/spool/shop"]
    assert all(any(one.is_dir() for one in place.iterdir()) for place in worked)

    assert host.lifeboat("recover").returncode == 0

    left = [one for place in worked for one in place.iterdir() if one.suffix != ".progress"]
    assert left == []
