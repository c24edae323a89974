# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume comes back, and the containers that use it run again, whatever ends a backup or a restore."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import Container, podman

KILLED_WHILE_READING = """
import os, signal
from lifeboat.sources.volume import dump as volume
volume.VolumeDump.streams = lambda self: os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_AFTER_THE_SWAP = """
import os, signal
from lifeboat.sources.volume import source as volume
whole = volume.tree_swap.swap
volume.tree_swap.swap = lambda tree: (whole(tree), os.kill(os.getpid(), signal.SIGKILL))
"""
FAILS_WHILE_READING = """
from lifeboat.errors import SourceError
from lifeboat.sources.volume import dump as volume
def streams(self):
    raise SourceError("the disk is gone")
volume.VolumeDump.streams = streams
"""


def listed(user: Container) -> str:
    return user.run(
        "sh", "-c", "cd /data; find . -printf '%p %U:%G %m %l\\n' | sort; cat one below/two"
    )


def undo(host: Host, id_: str) -> None:
    done = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert done.returncode == 0, done.stderr


def started_at(user: Container) -> str:
    return podman("container", "inspect", "-f", "{{.State.StartedAt}}", user.name)


def test_the_round_trip_and_its_undo(host: Host, user: Container) -> None:
    before, began = listed(user), started_at(user)
    id_ = host.run()
    assert user.running
    assert started_at(user) != began  # it was at rest meanwhile

    user.run("sh", "-c", "rm -r /data/below; echo changed >/data/one")
    restored = host.restore(id_)
    assert restored.returncode == 0, restored.stderr
    assert user.running
    assert listed(user) == before
    undo(host, id_)
    assert user.run("cat", "/data/one") == "changed"
    assert host.lifeboat("confirm", "shop").returncode == 0
    name = host.job["sources"]["files"]["podman"]
    place = podman("volume", "inspect", "-f", "{{.Mountpoint}}", name)
    assert [one.name for one in Path(place).parent.iterdir()] == ["_data"]


def test_the_manifest_says_what_used_it_and_no_value_of_a_variable(
    host: Host, volume: str, make_container: Callable[..., Container]
) -> None:
    make_container("-v", f"{volume}:/data", "-e", "TOKEN=s3cr3t").run("touch", "/data/a")
    host.run()
    manifest = next(host.disk.glob("catalog/*/*/*.json")).read_text()
    facts = json.loads(manifest)["sources"][0]["facts"]
    assert facts["volume"] == {
        "engine": "podman", "name": volume, "labels": {"project": "wiki"}, "at_rest": True,
    }  # fmt: skip
    assert facts["containers"][0]["image_digest"].startswith("sha256:")
    assert "s3cr3t" not in manifest
    told = opened(host, "files.facts")
    assert b"TOKEN" in told
    assert b"s3cr3t" not in told


def opened(host: Host, archive: str) -> bytes:
    argv = ["age", "-d", "-i", str(host.key), str(host.archive(archive))]
    packed = subprocess.run(argv, check=True, capture_output=True).stdout
    return subprocess.run(["zstd", "-dc"], input=packed, check=True, capture_output=True).stdout


def test_what_did_not_run_is_not_started(host: Host, user: Container) -> None:
    podman("stop", "-t", "0", user.name)
    host.run()
    assert not user.running


def test_after_a_failure_it_runs_again(host: Host, user: Container) -> None:
    failed = host.lifeboat("run", "shop", before=FAILS_WHILE_READING)
    assert (failed.returncode, user.running) == (1, True), failed.stderr
    assert host.left_over() == []


@pytest.mark.parametrize("then", [("recover",), ("run", "shop")])
def test_after_a_kill_recover_and_the_next_run_start_it(
    host: Host, user: Container, then: tuple[str, ...]
) -> None:
    killed = host.lifeboat("run", "shop", before=KILLED_WHILE_READING)
    assert (killed.returncode, user.running) == (-9, False)
    done = host.lifeboat(*then)
    assert (done.returncode, user.running) == (0, True), done.stderr
    assert host.left_over() == []


def test_a_restore_that_is_killed_is_taken_back_and_it_runs_again(
    host: Host, user: Container
) -> None:
    id_ = host.run()
    user.run("sh", "-c", "echo changed >/data/one")
    killed = host.restore(id_, before=KILLED_AFTER_THE_SWAP)
    assert (killed.returncode, user.running) == (-9, False)
    done = host.lifeboat("recover")
    assert (done.returncode, user.running) == (0, True), done.stderr
    assert user.run("cat", "/data/one") == "changed"


def test_a_volume_that_is_gone_is_made_anew(
    host: Host, user: Container, volume: str, make_container: Callable[..., Container]
) -> None:
    before = listed(user)
    id_ = host.run()
    podman("rm", "-f", "-t", "0", user.name)
    podman("volume", "rm", volume)
    absent = host.lifeboat("run", "shop")
    assert f"source files: there is no volume {volume}" in absent.stderr

    assert host.restore(id_).returncode == 0
    assert podman("volume", "inspect", "-f", "{{.Labels.project}}", volume) == "wiki"
    assert listed(make_container("-v", f"{volume}:/data")) == before


def test_into_another_volume(host: Host, user: Container, volume: str) -> None:
    id_ = host.run()
    other = volume + "-copy"
    restored = host.restore(id_, "--into", other)
    assert restored.returncode == 0, restored.stderr
    undo(host, id_)
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert volume in podman("volume", "ls", "-q")
    place = podman("volume", "inspect", "-f", "{{.Mountpoint}}", other)
    assert list(Path(place).parent.rglob("*")) == [Path(place)]  # as empty as it was made
    podman("volume", "rm", other)


def test_in_use_may_be_refused_or_ignored(host: Host, user: Container) -> None:
    host.job["sources"]["files"]["running"] = "refuse"
    host.configure()
    refused = host.lifeboat("run", "shop")
    assert f"is in use by {user.name}" in refused.stderr

    host.job["sources"]["files"]["running"] = "copy"
    host.configure()
    began = started_at(user)
    host.run()
    assert started_at(user) == began
    user.run("touch", "/data/PG_VERSION")
    torn = host.lifeboat("run", "shop")
    assert "holds a database's files (PG_VERSION)" in torn.stderr


def test_restore_md_brings_it_back_without_lifeboat(
    host: Host, user: Container, volume: str
) -> None:
    before = listed(user)
    host.run()
    podman("stop", user.name)
    told = next(host.disk.glob("archives/*/*/*/RESTORE.md")).read_text()
    command = next(line for line in told.splitlines() if "tar --extract" in line)
    assert f"podman volume inspect --format '{{{{.Mountpoint}}}}' {volume}" in command
    place = Path(podman("volume", "inspect", "-f", "{{.Mountpoint}}", volume))
    subprocess.run(["find", str(place), "-mindepth", "1", "-delete"], check=True)
    folder = host.archive("files.tree").parent
    command = command.replace("identity.txt", str(host.key))
    subprocess.run(["sh", "-ec", command.strip()], cwd=folder, check=True)
    podman("start", user.name)
    assert listed(user) == before


def test_a_drill_restores_it_into_a_directory_and_asks_no_engine(
    host: Host, user: Container
) -> None:
    host.run()
    host.job["sources"]["files"]["podman"] = "gone"
    host.job["drill"] = {"check": ["sh", "-c", 'test -d "$LIFEBOAT_DRILL_FILES_PATH/below"']}
    host.configure()

    done = host.lifeboat("drill", "shop", "--json", "--identity", str(host.key))

    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    assert told["sources"]["files"]["how"] == "restored"
    assert told["restorable"]
