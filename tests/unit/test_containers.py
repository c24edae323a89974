# SPDX-License-Identifier: GPL-3.0-or-later
"""What docker and podman complain of is told as what it means; the rest is in tests/integration/containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat.containers import Engine
from lifeboat.errors import MissingDependency, SourceAbsent, SourceError

DENIED = (
    "Got permission denied while trying to connect to the Docker daemon socket at"
    " unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied"
)
DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that says what is in the file, and fails: no such daemon can be had here."""
    path = tmp_path / "docker"
    path.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "said"


@pytest.mark.parametrize(
    ("said", "kind", "message", "hint"),
    [
        (DENIED, SourceError, "source db: the user .* may not use docker", "usermod -aG docker"),
        (DOWN, SourceError, "source db: docker does not answer", "see that it runs"),
        ("Error: No such container: shop", SourceAbsent, "there is no container shop", "ps -a"),
        ("something else", SourceError, "source db: docker stopped with status 1", ""),
    ],
)
def test_what_docker_says_is_told_as_what_it_means(
    docker: Path, said: str, kind: type[SourceError], message: str, hint: str
) -> None:
    docker.write_text(said)
    with pytest.raises(SourceError, match=message) as told:
        Engine("docker", where="source db: ").require_running("shop")
    assert type(told.value) is kind
    assert hint in told.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="a user may have a docker of his own")
@pytest.mark.parametrize(
    ("host", "left"),
    [("ssh://elsewhere", ""), ("unix:///run/docker.sock", "unix:///run/docker.sock")],
)
def test_a_shell_that_was_used_for_another_docker_is_not_asked_there(
    docker: Path, monkeypatch: pytest.MonkeyPatch, host: str, left: str
) -> None:
    (docker.parent / "docker").write_text('#!/bin/sh\necho "$DOCKER_HOST $DOCKER_CONTEXT"\n')
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert Engine("docker").ask("ps") == f"{left} default\n"


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependency, match="the program podman is not on this machine"):
        Engine("podman", "root").ask("ps")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as another user")
def test_a_user_without_a_session_is_told_what_makes_one() -> None:
    with pytest.raises(SourceError, match="the user daemon has no session") as told:
        Engine("podman", "daemon").container("shop")
    assert told.value.hint.startswith("loginctl enable-linger daemon; or set `user` of the job")
