# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for drills are private, reachable for their servers, and gone afterwards."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from lifeboat.errors import MissingDependency
from lifeboat.throwaway import (
    clear,
    left,
    make_arena,
    passable,
    program,
    server_user,
    socket_folder,
    sweep,
)


def test_a_place_is_passed_through_and_not_listed(tmp_path: Path) -> None:
    made = make_arena(tmp_path / "drills", "shop")

    assert stat.S_IMODE(made.stat().st_mode) == 0o711
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o711
    clear(made)
    assert not made.parent.exists()


def test_only_what_is_of_the_job_is_swept(tmp_path: Path) -> None:
    ours, others = make_arena(tmp_path, "shop"), make_arena(tmp_path, "shop-2")

    sweep(tmp_path, "shop")

    assert left(tmp_path) == [others]
    assert not ours.exists()


def test_a_socket_whose_path_would_be_too_long_lies_elsewhere_and_is_swept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = make_arena(tmp_path / ("x" * 90), "shop")
    directory = arena / "0" / "arena"
    directory.mkdir(parents=True)
    killed = socket_folder(directory, "redis.sock", "")
    sockets = killed.__enter__()

    assert len(str(sockets / "redis.sock")) < 107
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    sweep(arena.parent, "shop")
    assert not sockets.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers of other users")
def test_root_keeps_drills_where_other_users_may_pass(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    assert str(passable(closed / "drills")).startswith("/var/tmp/lifeboat-drills-")
    assert passable(Path("/var/lib/lifeboat/restores/drills")) == Path(
        "/var/lib/lifeboat/restores/drills"
    )


def test_a_missing_server_program_is_told_with_its_hint() -> None:
    with pytest.raises(MissingDependency, match="no-such-server") as caught:
        program("no-such-server", "", "install it")
    assert caught.value.hint == "install it"


@pytest.mark.parametrize(
    ("there", "chosen"), [(("lifeboat-drill", "nobody"), "lifeboat-drill"), (("nobody",), "nobody")]
)
def test_root_s_servers_run_as_one_who_owns_nothing(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], chosen: str
) -> None:
    known = dict.fromkeys((*there, "postgres", "mysql", "redis", "lifeboat"), 900)

    def getpwnam(name: str) -> SimpleNamespace:
        return SimpleNamespace(pw_uid=known[name])

    monkeypatch.setattr("lifeboat.throwaway.os.geteuid", lambda: 0)
    monkeypatch.setattr("lifeboat.throwaway.pwd.getpwnam", getpwnam)
    assert server_user() == chosen


def test_others_run_their_servers_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifeboat.throwaway.os.geteuid", lambda: 1000)
    assert server_user() == ""
