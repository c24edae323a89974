# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are paused, begin in the middle or are lost by a stop; and volumes that are used anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import Container, podman
from .test_volume import undo

BEGINS_BEFORE_THE_EXCHANGE = """
import subprocess
from lifeboat.sources.volume import source as volume
whole = volume.tree_swap.swap
volume.tree_swap.swap = lambda tree: (subprocess.run(["podman", "start", %r]), whole(tree))
"""
BEGINS_WHILE_IT_IS_READ = """
import subprocess
from lifeboat.sources.trees import dump as tree_dump
whole = tree_dump.TreeDump.streams
def streams(self):
    yield from whole(self)
    subprocess.run(["podman", "start", %(name)r])
    if %(ends)r:
        subprocess.run(["podman", "stop", "-t", "2", %(name)r])
tree_dump.TreeDump.streams = streams
"""
KILLED_WHILE_PUT_BACK = """
import os, signal
from lifeboat.sources.volume import source as volume
volume.tree_swap.back = lambda tree: os.kill(os.getpid(), signal.SIGKILL)
"""
CANNOT_BE_PUT_BACK = """
from lifeboat.errors import SourceError
from lifeboat.sources.volume import source as volume
def back(tree):
    raise SourceError("something is mounted there")
volume.tree_swap.back = back
"""


def restored(host: Host) -> str:
    """A backup that was restored; its id."""
    id_ = host.run()
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    return id_


def test_a_container_that_a_stop_would_lose_is_refused_and_goes_on(
    host: Host, volume: str, make_container: Callable[..., Container], tmp_path: Path
) -> None:
    made = make_container("--rm", "-v", f"{volume}:/data")
    made.run("touch", "/data/a")
    (tmp_path / "more").mkdir()
    host.job["sources"]["files"]["optional"] = True  # it is there, and so not "absent"
    host.job["sources"]["more"] = {"type": "files", "paths": [str(tmp_path / "more")]}
    host.configure()
    done = host.lifeboat("run", "shop")
    assert (done.returncode, made.running) == (3, True), done.stderr
    assert "made with --rm, and is lost when it is stopped" in done.stderr


def test_a_paused_container_forbids_a_backup_and_a_restore(host: Host, user: Container) -> None:
    id_ = host.run()
    podman("pause", user.name)
    try:
        for done in (host.lifeboat("run", "shop"), host.restore(id_)):
            assert done.returncode != 0
            assert f"container {user.name} is paused" in done.stderr
    finally:
        podman("unpause", user.name)


def test_what_begins_before_the_exchange_runs_on_the_restored_tree(
    host: Host, user: Container
) -> None:
    id_ = host.run()
    user.run("sh", "-c", "echo newer >/data/one")
    done = host.restore(id_, before=BEGINS_BEFORE_THE_EXCHANGE % user.name)
    assert done.returncode == 0, done.stderr
    assert user.run("cat", "/data/one") == "one"


@pytest.mark.parametrize("killed", [False, True])
def test_an_undo_starts_those_that_it_stopped_and_no_other(
    host: Host,
    user: Container,
    volume: str,
    make_container: Callable[..., Container],
    killed: bool,
) -> None:
    later = make_container("-v", f"{volume}:/data")
    podman("stop", "-t", "2", later.name)
    id_ = restored(host)
    podman("start", later.name)
    podman("stop", "-t", "2", user.name)
    if killed:
        gate = ("--confirm", PHRASE, "--target-host", "h1")
        done = host.lifeboat("undo", "shop", id_, *gate, before=KILLED_WHILE_PUT_BACK)
        assert (done.returncode, later.running) == (-9, False)
        assert host.lifeboat("recover").returncode == 0
    else:
        undo(host, id_)
    assert (later.running, user.running) == (True, False)


def test_an_undo_that_fails_leaves_the_containers_running(host: Host, user: Container) -> None:
    id_ = restored(host)
    gate = ("--confirm", PHRASE, "--target-host", "h1")
    done = host.lifeboat("undo", "shop", id_, *gate, before=CANNOT_BE_PUT_BACK)
    assert done.returncode != 0
    assert user.running


@pytest.mark.parametrize("lost", ["kept", "volume"])
def test_an_undo_without_what_was_kept_is_refused_before_anything_stops(
    host: Host, user: Container, volume: str, lost: str
) -> None:
    id_ = restored(host)
    if lost == "kept":
        place = Path(podman("volume", "inspect", "-f", "{{.Mountpoint}}", volume))
        for one in place.parent.glob("*.old"):
            shutil.rmtree(one)
    else:
        podman("rm", "-f", "-t", "0", user.name)
        podman("volume", "rm", volume)
    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert done.returncode != 0
    assert "is not kept at" in done.stderr
    assert lost == "volume" or user.running


def test_a_volume_that_is_used_after_an_undo_is_nobodys_to_remove(
    host: Host, user: Container, volume: str, make_container: Callable[..., Container]
) -> None:
    id_ = host.run()
    podman("rm", "-f", "-t", "0", user.name)
    podman("volume", "rm", volume)
    assert host.restore(id_).returncode == 0
    undo(host, id_)
    new = make_container("-v", f"{volume}:/data")
    new.run("sh", "-c", "echo precious >/data/new")
    podman("rm", "-f", "-t", "0", new.name)
    done = host.lifeboat("confirm", "shop")
    assert done.returncode == 0, done.stderr
    place = Path(podman("volume", "inspect", "-f", "{{.Mountpoint}}", volume))
    assert [one.name for one in place.iterdir()] == ["new"]


@pytest.mark.parametrize(("how", "ends"), [("refuse", False), ("copy", False), ("copy", True)])
def test_what_begins_in_the_middle_is_not_called_at_rest(
    host: Host, user: Container, how: str, ends: bool
) -> None:
    podman("stop", "-t", "2", user.name)
    host.job["sources"]["files"]["running"] = how
    host.configure()
    begins = BEGINS_WHILE_IT_IS_READ % {"name": user.name, "ends": ends}
    done = host.lifeboat("run", "shop", before=begins)
    if how == "refuse":
        assert "was started while the volume was read" in done.stderr
        assert done.returncode == 1
        return
    assert done.returncode == 0, done.stderr
    manifest = json.loads(next(host.disk.glob("catalog/*/*/*.json")).read_text())
    assert manifest["sources"][0]["facts"]["volume"]["at_rest"] is False
