# SPDX-License-Identifier: GPL-3.0-or-later
"""A placement changes where a program runs, and shows no value on the way."""

from __future__ import annotations

import os

import pytest
from lifeboat.errors import ProcessError
from lifeboat.model import Command
from lifeboat.placement import HERE, Placement
from lifeboat.process import run

DUMP = Command(
    ("pg_dump", "-Fc", "a b"), env={"PGUSER": "eve", "PGPASSWORD": "s3cr3t"}, accepts=(0, 1)
)


def test_here_changes_nothing() -> None:
    assert HERE.wrap(DUMP) == DUMP
    assert HERE.local


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_gets_variables_by_name_and_no_terminal(engine: str) -> None:
    placement = Placement(engine=engine, container="shop-db")
    wrapped = placement.wrap(DUMP)
    assert wrapped.argv == (
        engine, "exec", "-i", "--env", "PGPASSWORD", "--env", "PGUSER", "shop-db",
        "pg_dump", "-Fc", "a b",
    )  # fmt: skip
    assert (wrapped.env, wrapped.accepts) == (DUMP.env, DUMP.accepts)
    assert not placement.local


def test_another_user_on_this_host_keeps_the_words_as_they_are() -> None:
    wrapped = Placement(as_user="postgres").wrap(DUMP)
    assert wrapped.argv == DUMP.argv
    assert wrapped.user == "postgres"
    assert wrapped.env == DUMP.env


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
def test_another_user_really_runs_it_and_keeps_its_variables() -> None:
    command = Command(("sh", "-c", 'echo "$(id -un) $PGUSER"'), env={"PGUSER": "eve"})
    assert run(Placement(as_user="nobody").wrap(command)) == b"nobody eve\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
def test_another_user_has_none_of_our_groups() -> None:
    command = Placement(as_user="nobody").wrap(Command(("id", "-G")))
    assert run(command).split() == [b"65534"]


def test_a_user_that_is_not_there_is_named() -> None:
    with pytest.raises(ProcessError, match="there is no user nobody-at-all"):
        run(Placement(as_user="nobody-at-all").wrap(DUMP))
