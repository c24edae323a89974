# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the code that reads and gives back owners, and knows mount points."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat import ownership

TABLE = rb"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
22 21 0:5 / /srv/with\040blank rw - tmpfs none rw
23 21 8:1 /x /srv/app/config.db rw - ext4 /dev/vda1 rw
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "mountinfo").write_bytes(TABLE)
    return tmp_path / "mountinfo"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/srv/with blank", ["/srv/with blank"]),
        ("/srv/app/config.db", ["/srv/app/config.db"]),
        ("/srv", ["/srv/app/config.db", "/srv/with blank"]),
        ("/srv/app/config", []),
        ("/", ["/", "/srv/app/config.db", "/srv/with blank"]),
    ],
)
def test_mounts_at_or_below_a_path_are_found(table, path, found):
    assert [str(one) for one in ownership.mounts_within(Path(path), table)] == found


def test_what_is_recorded_can_be_given_back(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.touch()
    one.chmod(0o2751)
    other.touch()
    with open(other, "rb") as opened:
        ownership.give(opened.fileno(), ownership.facts(one))
    assert ownership.facts(other) == ownership.facts(one)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_names_win_over_numbers_because_another_host_has_others(tmp_path):
    path = tmp_path / "x"
    path.touch()
    recorded = {"owner": "daemon", "group": "", "uid": 77, "gid": 78, "mode": "0600"}
    with open(path, "rb") as opened:
        ownership.give(opened.fileno(), recorded)
    found = path.stat()
    assert (ownership.user_name(found.st_uid), found.st_gid) == ("daemon", 78)


def test_mode_and_attributes_are_taken_from_a_model_and_never_through_a_link(tmp_path):
    model, path, link = (tmp_path / name for name in ("model", "path", "link"))
    model.touch()
    model.chmod(0o640)
    os.setxattr(model, "user.colour", b"blue")
    link.symlink_to(model)
    with open(path, "wb") as opened:
        with pytest.raises(OSError, match="symbolic links"):
            ownership.give_as(opened.fileno(), link)
        ownership.give_as(opened.fileno(), model)
    assert ownership.facts(path) == ownership.facts(model)
    assert os.getxattr(path, "user.colour") == b"blue"
