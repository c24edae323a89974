# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own podman cannot lead root astray. With real containers: tests/integration/containers."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat import ownership
from lifeboat.errors import LifeboatError, MissingDependency, SourceError
from lifeboat.model import Workspace
from lifeboat.placement import Placement
from lifeboat.sources.volume.source import Volume

from tests.unit.contracts.source_contract import Taken, planned, staged

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root restores for another user")
# In place of podman as its owner may have edited it; tar runs as that user, as under `podman unshare`.
STUB = """#!/bin/sh
case "$1 $2" in
 "volume inspect")
   echo '[{{"Driver":"local","Mountpoint":"'$(cat {where})'","Options":{{}},"Labels":{{}}}}]';;
 unshare*) shift; exec "$@";;
esac
"""


class Ground:
    """A volume of nobody's, a directory of root's, and `lead` for what podman says of the volume."""

    def __init__(self, base: Path) -> None:
        self.data = base / "volumes" / "v" / "_data"
        self.data.mkdir(parents=True)
        (self.data / "a").write_text("nobody's")
        for one in (self.data.parent, self.data, self.data / "a"):
            os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)
        self.victim = base / "root-s" / "_data"
        self.victim.mkdir(parents=True, mode=0o700)
        (self.victim / "a").write_text("root's")
        self.where = base / "where"
        self.lead(self.data)
        work = base / "work"
        work.mkdir()
        self.work = Workspace(work, work, work)
        self.source = Volume(name="s", podman="v", placement=Placement(owner="nobody"))
        self.taken = Taken(self.source, self.work, base / "store")

    def lead(self, path: Path | str) -> None:
        self.where.write_text(str(path))


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As tmp_path, but another user gets there too."""
    made = Path(tempfile.mkdtemp(prefix="lb-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def ground(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    stub = open_path / "podman"
    stub.write_text(STUB.format(where=open_path / "where"))
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{open_path}:{os.environ['PATH']}")
    isdir = os.path.isdir
    monkeypatch.setattr(
        os.path, "isdir", lambda path: str(path).startswith("/run/user") or isdir(path)
    )
    return Ground(open_path)


@pytest.mark.parametrize("program", ["docker", "podman"])
def test_a_volume_without_its_engine_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = Volume(name="s", placement=Placement(owner="root"), **{program: "v"})
    with pytest.raises(MissingDependency, match=f"the program {program} is not on this machine"):
        source.check()
    work = Workspace(tmp_path, tmp_path, tmp_path)
    with pytest.raises(MissingDependency, match=program), source.open(work):
        pass
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_volume_is_not_read_with_another_tar(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, open_path: Path
) -> None:
    (open_path / "tar").write_text("#!/bin/sh\necho bsdtar 3.6\n")
    (open_path / "tar").chmod(0o755)
    with pytest.raises(MissingDependency, match="GNU tar"):
        ground.source.check()
    with pytest.raises(LifeboatError):
        Taken(ground.source, ground.work, open_path / "again")


@needs_root
def test_root_restores_where_the_directories_are_the_user_s(ground: Ground) -> None:
    assert ground.source.target(ground.taken.record, None).label.endswith(f" at {ground.data}")
    swap = staged(ground.source, ground.taken, ground.work)
    (ground.data / "a").write_text("changed")
    ground.source.swap(swap)
    assert (ground.data / "a").read_text() == "nobody's"


@needs_root
@pytest.mark.parametrize("step", ["target", "plan", "swap", "back", "discard"])
def test_root_touches_no_directory_of_another(ground: Ground, step: str) -> None:
    source, record = ground.source, ground.taken.record
    swap = target = None
    if step == "plan":
        target = source.target(record, None)
    if step in ("swap", "back", "discard"):
        swap = staged(source, ground.taken, ground.work)
    if step in ("back", "discard"):
        source.swap(swap)
    if swap:  # the user may put root's own directory in the place of theirs
        os.rename(ground.data.parent, ground.data.parent.with_name("away"))
        os.rename(ground.victim.parent, ground.data.parent)
        victim = ground.data
    else:
        ground.lead(ground.victim)
        victim = ground.victim
    with pytest.raises(SourceError, match="is not a directory of the user nobody"):
        if target:
            source.plan(record, target, "t")
        elif swap:
            getattr(source, step)(swap)
        else:
            source.target(record, None)
    assert (victim / "a").read_text() == "root's"
    assert os.listdir(victim.parent) == ["_data"]


@needs_root
def test_a_plan_is_for_the_path_that_was_shown(ground: Ground) -> None:
    target = ground.source.target(ground.taken.record, None)
    other = ground.data.parent / "other"
    other.mkdir()
    os.chown(other, NOBODY.pw_uid, NOBODY.pw_gid)
    ground.lead(other)
    with pytest.raises(SourceError, match="lies elsewhere now"):
        ground.source.plan(ground.taken.record, target, "t")


@needs_root
@pytest.mark.parametrize("path", ["", "v/_data", "/srv/../etc/x", "/srv/x/"])
def test_what_is_no_plain_path_is_refused(ground: Ground, path: str) -> None:
    ground.lead(path)
    with pytest.raises(SourceError, match="is said to lie at"):
        planned(ground.source, ground.taken)


def test_subordinate_users_are_the_user_s_and_root_never_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "subuid"
    table.write_text(f"root:0:99\nnobody:100000:10\n{NOBODY.pw_uid}:0:5\nbroken\nnobody:x:1\n")
    monkeypatch.setattr(ownership, "_SUBUID", table)
    asked = (NOBODY.pw_uid, 100000, 100009, 100010, 99999, 4, 0)
    found = [ownership.belongs(uid, NOBODY) for uid in asked]
    assert found == [True, True, True, False, False, True, False]
