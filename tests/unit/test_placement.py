# SPDX-License-Identifier: GPL-3.0-or-later
"""A placement changes where a program runs, and shows no value on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat.errors import ProcessError
from lifeboat.model import DESCRIPTOR, Command
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
    assert (wrapped.program, wrapped.accepts) == ("pg_dump", DUMP.accepts)
    assert DUMP.env.items() <= wrapped.env.items()
    assert not placement.local


def test_user_and_directory_are_those_of_the_container() -> None:
    placement = Placement(engine="docker", container="shop-db", as_user="postgres")
    wrapped = placement.wrap(Command(("psql",), cwd="/var"))
    assert wrapped.argv == (
        "docker", "exec", "-i", "--user", "postgres", "--workdir", "/var", "shop-db", "psql",
    )  # fmt: skip
    assert (wrapped.user, wrapped.cwd) == ("", "/")


ENGINE = """#!/bin/sh
[ "$1" = container ] && echo '[{"State": {"Status": "running", "Running": true}}]' && exit
shift 3
exec "$@"
"""
SEES = "cat $1 && cat && ! env | grep -q 's3c[r]3t' && ! tr '\\0' ' ' </proc/$PPID/environ | grep -q 's3c[r]3t'"


@pytest.mark.parametrize("stdin", [b"", b"what it reads\nbesides\n"])
def test_a_secret_reaches_a_program_in_a_container_by_a_pipe_alone(
    stdin: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(ENGINE)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("secret", "a variable of the container")
    secret = rb" s3cr3t \x2f %s '$(id)' \\ "
    placement = Placement("docker", "shop-db")
    wrapped = placement.wrap(Command(("sh", "-c", SEES, "sh", DESCRIPTOR), secret=secret))
    assert b"s3cr3t" not in repr(wrapped).encode()
    assert run(wrapped, stdin=stdin) == secret + b"\n" + stdin


def test_a_secret_of_several_lines_for_a_container_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(ValueError, match="is one line"):
        Placement("docker", "shop-db").wrap(Command(("age", DESCRIPTOR), secret=b"a\nb"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
def test_another_user_s_containers_are_asked_for_as_that_user() -> None:
    wrapped = Placement("podman", "shop-db", owner="nobody").wrap(DUMP)
    assert wrapped.user == "nobody"
    assert wrapped.env["XDG_RUNTIME_DIR"] == "/run/user/65534"
    assert "XDG_RUNTIME_DIR" not in wrapped.argv


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
def test_another_user_is_not_given_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    command = Command(("env",), env={"PGUSER": "eve"})
    seen = run(Placement(as_user="nobody").wrap(command))
    assert b"s3cr3t" not in seen
    assert b"PGUSER=eve" in seen
    assert b"s3cr3t" in run(command)
