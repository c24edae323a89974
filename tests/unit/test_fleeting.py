# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process keeps for a moment goes with it, also when it is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from lifeboat import fleeting


def killed_holder(place: Path) -> Path:
    """A directory with a password in it, whose process was killed."""
    child = os.fork()
    if not child:
        with fleeting.fleeting(place) as made:
            (made / "pgpass").write_text("secret")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = place.iterdir()
    return left


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with fleeting.fleeting(tmp_path) as made:
        assert made.stat().st_mode & 0o777 == 0o700
        (made / "pgpass").write_text("secret")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_use(tmp_path: Path) -> None:
    left = killed_holder(tmp_path)
    assert (left / "pgpass").exists()
    with fleeting.fleeting(tmp_path) as made:
        assert list(tmp_path.iterdir()) == [made]


def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    with fleeting.fleeting(tmp_path) as made, fleeting.fleeting(tmp_path) as other:
        fleeting.sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([made, other])


def test_of_others_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed_holder(tmp_path)
    (tmp_path / "lifeboat-gpg-1").mkdir()
    (tmp_path / (fleeting.PREFIX + "link")).symlink_to("/etc")
    fleeting.sweep(tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 2

    left = tmp_path / (fleeting.PREFIX + "theirs")
    left.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: left.stat().st_uid + 1)
    fleeting.sweep(tmp_path)
    assert left.exists()


def test_a_place_where_others_could_replace_it_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, sticky = tmp_path / "shared", tmp_path / "sticky"
    for folder, mode in ((shared, 0o775), (sticky, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.setattr(fleeting, "candidates", lambda: [shared, sticky])
    assert fleeting.memory() == sticky

    sticky.chmod(0o700)
    assert fleeting.memory() == sticky
    monkeypatch.setattr(os, "geteuid", lambda: sticky.stat().st_uid + 1)
    if sticky.stat().st_uid:  # what belongs to root, root alone renames
        assert fleeting.memory() not in (shared, sticky)
