# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that proves bad at one destination is made whole from another: `push`, wherever it lies."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lifeboat.operations.upkeep.seal import seal

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket, make_bucket
from tests.integration.sftp.places import behind, options
from tests.integration.storage.test_three_copies import give, key_of
from tests.lab import s3 as s3_lab
from tests.lab import sftp as sftp_lab

Place = tuple[dict[str, Any], dict[str, Any], Callable[[str, bytes], None]]


def local(tmp_path: Path) -> Place:
    there = tmp_path / "second"
    there.mkdir()
    return {"type": "local", "path": str(there)}, {}, _into(there)


def _into(folder: Path) -> Callable[[str, bytes], None]:
    def damage(key: str, content: bytes) -> None:
        mode = (folder / key).stat().st_mode
        (folder / key).chmod(0o600)
        (folder / key).write_bytes(content)
        (folder / key).chmod(mode)

    return damage


def bucket(made: Bucket, who: str, mode: str) -> Place:
    place = {"type": "s3", "bucket": made.name, "endpoint": made.endpoint, "mode": mode}

    def damage(key: str, content: bytes) -> None:
        made.owner.put_object(Bucket=made.name, Key=key, Body=content)

    return {**place, "credential": "second"}, {"second": key_of(made, who)}, damage


def server(made: sftp_lab.Server) -> Place:
    folder = behind(made, f"m-{secrets.token_hex(4)}")
    folder.mkdir()
    if sftp_lab.ROOT:
        shutil.chown(folder, made.user)
    place = options(made, folder.name, type="sftp", credential="second")
    return place, {"second": made.key}, _into(folder)


@pytest.fixture(params=["local", "s3", "s3 append_only", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """(its configuration, its credential, what damages an object there) of each kind."""
    if request.param == "local":
        return local(tmp_path)
    if request.param == "sftp":
        return server(request.getfixturevalue("openssh"))
    if request.param == "s3":
        gateway: s3_lab.Server = request.getfixturevalue("gateway")
        rights = {"host": {"read": [""], "write": [""], "delete": [""]}}
        return bucket(make_bucket(gateway, **rights), "host", "standard")
    return bucket(request.getfixturevalue("kept"), "db1", "append_only")


@pytest.fixture
def host(tmp_path: Path, place: Place) -> Host:
    made = Host(tmp_path, name="db1")
    made.fill(1000)
    made.configuration["destinations"]["second"] = place[0]
    made.job.update(destinations=["disk", "second"])
    made.configure()
    give(made, place[1])
    return made


def copies(host: Host) -> dict[str, dict[str, str]]:
    done = host.lifeboat("list", "shop", "--json")
    return {one["id"]: one["copies"] for one in json.loads(done.stdout)}


def archive_key(host: Host) -> str:
    return host.archive().relative_to(host.disk).as_posix()


def damaged(host: Host, place: Place, key: str) -> None:
    stored = host.disk / key
    place[2](key, b"x" + stored.read_bytes()[1:])


def damaged_as(host: Host, place: Place, key: str, name: str) -> None:
    """Something of the right size under another name."""
    there = place[0].get("path")
    if place[0]["type"] == "local":
        (Path(there) / name).touch()
    place[2](name, b"y" + (host.disk / key).read_bytes()[1:])


def test_verify_names_the_command_that_heals_a_corrupt_copy_and_it_does(
    host: Host, place: Place
) -> None:
    id_ = host.run()
    damaged(host, place, archive_key(host))

    found = host.lifeboat("verify", "shop")
    assert found.returncode == 1
    assert "`lifeboat push shop`" in found.stderr

    pushed = host.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.strip() == f"shop {id_} second: intact, stored again"
    assert copies(host) == {id_: {"disk": "intact", "second": "intact"}}
    # it is whole by itself: the other copy is gone, and everything comes back
    shutil.rmtree(host.disk)
    host.disk.mkdir()
    host.fill(5)
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_what_was_killed_while_healing_is_corrupt_still_and_healed_by_the_next(
    host: Host, place: Place
) -> None:
    id_ = host.run()
    damaged(host, place, archive_key(host))
    assert host.lifeboat("verify", "shop").returncode == 1
    kill = (
        "import os, signal\nfrom lifeboat.operations.upkeep import mending\n"
        "mending.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    )
    for step in ("store_beside", "say_mended"):
        assert host.lifeboat("push", "shop", before=kill.format(step=step)).returncode == -9
        assert copies(host)[id_]["second"] == "corrupt"
        assert host.archive().stat().st_size  # the good one is where it was

    only_missing = host.lifeboat("push", "shop", "--missing")
    assert only_missing.stdout.strip() == "nothing is missing"
    assert host.lifeboat("push", "shop").returncode == 0
    assert copies(host)[id_] == {"disk": "intact", "second": "intact"}
    assert host.lifeboat("verify", "shop", "--all").returncode == 0
    assert host.lifeboat("push", "shop").stdout.strip() == "nothing is missing"


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_all_that_a_copy_is_made_of_can_be_stored_again(host: Host, place: Place) -> None:
    id_ = host.run()
    second = Path(place[0]["path"])
    (second / f"catalog/db1/shop/{id_}.json").unlink()
    damaged(host, place, f"archives/db1/shop/{id_}/SHA256SUMS")
    (second / archive_key(host)).unlink()
    assert copies(host) == {id_: {"disk": "intact", "second": "missing"}}

    pushed = host.lifeboat("push", "shop", "--missing")  # it is not missing: its remains are there
    assert pushed.stdout.strip() == "nothing is missing"
    pushed = host.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stderr
    assert copies(host) == {id_: {"disk": "intact", "second": "intact"}}
    key = ("--identity", str(host.key), "--at", "second")
    proved = host.lifeboat("verify", "shop", "--level", "content", *key)
    assert proved.returncode == 0, proved.stdout + proved.stderr


@pytest.mark.parametrize("place", ["local", "s3"], indirect=True)
def test_names_of_the_future_keep_no_copy_from_being_healed(host: Host, place: Place) -> None:
    """Whoever may add names can add some that look like what was stored again last."""
    id_ = host.run()
    key = archive_key(host)
    for year in range(2090, 2095):
        damaged_as(host, place, key, f"{key}.mended-{year}0101T000000Z")
    damaged(host, place, key)
    assert host.lifeboat("verify", "shop").returncode == 1
    time.sleep(1.1)  # servers tell whole seconds

    pushed = host.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert copies(host) == {id_: {"disk": "intact", "second": "intact"}}
    assert host.lifeboat("verify", "shop").returncode == 0


@pytest.mark.parametrize("place", ["local"], indirect=True)
@pytest.mark.parametrize("gone", [False, True], ids=["wrong", "gone"])
def test_by_hand_the_note_says_which_of_the_files_to_take(
    host: Host, place: Place, tmp_path: Path, gone: bool
) -> None:
    host.run()
    key = archive_key(host)
    archive = Path(place[0]["path"]) / key
    right = archive.read_bytes()
    damaged(host, place, key)
    assert host.lifeboat("verify", "shop").returncode == 1
    assert host.lifeboat("push", "shop").returncode == 0
    (archive.parent / f"{archive.name}.mended-20380101T000000Z").write_bytes(b"anybody's")
    there = tmp_path / "by hand"
    shutil.copytree(archive.parent, there)
    if gone:
        (there / archive.name).unlink()

    note = (there / "RESTORE.md").read_text()
    (block,) = [one for one in note.split("```bash\n")[1:] if ".mended-" in one]
    done = subprocess.run(
        ["bash", "-c", block.split("```")[0]],
        cwd=there,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert (there / archive.name).read_bytes() == right
    assert "FAILED" not in done.stdout


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_without_a_good_copy_nothing_is_stored_and_verify_says_so(host: Host, place: Place) -> None:
    id_ = host.run()
    key = archive_key(host)
    damaged(host, place, key)
    _into(host.disk)(key, b"x")

    found = host.lifeboat("verify", "shop")
    pushed = host.lifeboat("push", "shop")

    assert (found.returncode, pushed.returncode) == (1, 0)
    assert f"no other copy of {id_} is known to be good" in found.stderr
    assert "lifeboat push" not in found.stderr
    assert f"{id_} is corrupt at disk, second, and good nowhere" in pushed.stderr
    assert not list(Path(place[0]["path"]).rglob("*.mended-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root seals")
@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_what_was_stored_again_is_sealed_and_pruned_as_the_rest(host: Host, place: Place) -> None:
    host.job["keep"] = {"last": 1}
    host.configure()
    second, group = Path(place[0]["path"]), pwd.getpwnam("nobody").pw_gid
    id_ = host.run()
    assert seal("db1", str(second), group).failure == ""
    (second / f"catalog/db1/shop/{id_}.json").write_bytes(b"{}")  # root may; a disk may, too
    damaged(host, place, archive_key(host))
    assert host.lifeboat("verify", "shop").returncode == 1
    assert host.lifeboat("push", "shop").returncode == 0
    assert copies(host)[id_]["second"] == "intact"

    sealed = seal("db1", str(second), group).sealed
    mended = [one.relative_to(second).as_posix() for one in second.rglob("*.mended-*Z")]
    assert len(mended) == 3  # the manifest, an archive, the mark
    assert set(mended) <= set(sealed)
    assert seal("db1", str(second), group).sealed == []

    host.run()
    assert host.lifeboat("prune", "shop", "--apply").returncode == 0
    assert not list(second.glob("catalog/db1/shop/*.json.mended-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root seals")
@pytest.mark.parametrize("place", ["sftp"], indirect=True)
def test_a_server_that_seals_takes_what_is_stored_again_and_seals_that_too(
    host: Host, place: Place, openssh: sftp_lab.Server
) -> None:
    place[0]["mode"] = "append_only"
    host.configure()
    folder, group = behind(openssh, Path(place[0]["path"]).name), pwd.getpwnam("nobody").pw_gid
    id_ = host.run()
    assert seal("db1", str(folder), group).failure == ""
    damaged(host, place, archive_key(host))
    assert host.lifeboat("verify", "shop").returncode == 1

    pushed = host.lifeboat("push", "shop")

    assert pushed.returncode == 0, pushed.stderr
    assert copies(host)[id_]["second"] == "intact"
    assert seal("db1", str(folder), group).failure == ""
    (mended,) = folder.glob("archives/**/*.mended-*")
    assert (mended.stat().st_uid, mended.stat().st_mode & 0o222) == (0, 0)
    assert (mended.parent.stat().st_uid, mended.parent.stat().st_mode & 0o1000) == (0, 0o1000)
