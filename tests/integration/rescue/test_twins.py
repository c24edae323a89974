# SPDX-License-Identifier: GPL-3.0-or-later
"""Two destinations that are one place are one copy, and neither's retention empties the other."""

from __future__ import annotations

import json

import pytest

from .host import Host


@pytest.mark.parametrize("linked", [False, True])
def test_one_place_with_two_names_is_one_copy_and_loses_nothing(host: Host, linked: bool) -> None:
    path = host.disk
    if linked:
        path = host.base / "elsewhere"
        path.symlink_to(host.disk)
    host.job["keep"] = {"last": 10}
    host.configuration["destinations"]["second"] = {
        "type": "local",
        "path": f"{path}/.",
        "keep": {"last": 1},
    }
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    checked = host.lifeboat("config", "check")
    assert checked.returncode == 2
    assert "second is the same place as disk" in checked.stderr
    for _night in range(2):  # backups go on all the same
        done = host.lifeboat("run", "shop", "--json")
        assert done.returncode == 3, done.stderr
        states = {one["name"]: one["state"] for one in json.loads(done.stdout)["destinations"]}
        assert states == {"disk": "intact", "second": "lost"}
    assert host.lifeboat("prune", "shop", "--apply", "--no-limit").returncode == 0
    assert len(list(host.disk.glob("catalog/*/*/*.json"))) == 2
