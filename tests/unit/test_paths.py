# SPDX-License-Identifier: GPL-3.0-or-later
"""Each scope has its own places, and the user scope touches nothing of the system's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from lifeboat.errors import UsageError
from lifeboat.paths import Paths, paths


def everything(made: Paths) -> dict[str, Path]:
    return {name: path for name, path in vars(made).items() if isinstance(path, Path)}


def test_system_scope_is_what_the_documentation_says() -> None:
    made = paths("system", environ={"HOME": "/home/eve", "XDG_CONFIG_HOME": "/home/eve/x"})
    assert made.config_file == Path("/etc/lifeboat/config.json")
    assert made.credentials == Path("/etc/lifeboat/credentials")
    assert made.command == Path("/usr/local/bin/lifeboat")
    assert made.job_lock("shop") == Path("/var/lib/lifeboat/locks/shop.lock")
    assert made.journals.parent == made.state == Path("/var/lib/lifeboat")
    assert made.history == Path("/var/log/lifeboat/history.jsonl")
    assert made.units == Path("/etc/systemd/system")


def test_user_scope_lies_in_the_users_own_places() -> None:
    made = paths("user", environ={"HOME": "/home/eve"})
    assert made.config_file == Path("/home/eve/.config/lifeboat/config.json")
    assert made.state == Path("/home/eve/.local/state/lifeboat")
    assert made.command == Path("/home/eve/.local/bin/lifeboat")
    assert made.units == Path("/home/eve/.config/systemd/user")
    assert all(path.is_relative_to("/home/eve") for path in everything(made).values())


def test_user_scope_honours_the_xdg_variables(tmp_path: Path) -> None:
    made = paths(
        "user",
        environ={
            "HOME": "/home/eve",
            "XDG_CONFIG_HOME": "/c",
            "XDG_STATE_HOME": "/s",
            "XDG_RUNTIME_DIR": str(tmp_path),
        },
    )
    assert made.config == Path("/c/lifeboat")
    assert made.spool == Path("/s/lifeboat/spool")
    assert made.runtime == tmp_path / "lifeboat"


def test_a_runtime_directory_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    environ = {"HOME": "/home/eve", "XDG_RUNTIME_DIR": str(tmp_path / "gone")}
    assert paths("user", environ=environ).runtime == Path("/home/eve/.local/state/lifeboat/run")


def test_a_root_gathers_all_of_the_user_scope_but_the_units(tmp_path: Path) -> None:
    made = paths("user", root=str(tmp_path), environ={"HOME": "/home/eve"})
    inside = {name for name, path in everything(made).items() if path.is_relative_to(tmp_path)}
    assert inside == set(everything(made)) - {"units"}


def test_no_two_places_are_the_same(tmp_path: Path) -> None:
    for made in (paths(), paths("user", root=str(tmp_path))):
        found = list(everything(made).values())
        assert len(set(found)) == len(found) == len(dataclasses.fields(made)) - 1


def test_what_is_no_scope_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown scope"):
        paths("global")
    with pytest.raises(UsageError, match="only user scope"):
        paths("system", root="/tmp/x")
