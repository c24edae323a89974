# SPDX-License-Identifier: GPL-3.0-or-later
"""A program inside a container is as good as one here: its bytes, its end, its failures, and ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.errors import MissingDependency, ProcessError, SourceAbsent, SourceError
from lifeboat.model import Command
from lifeboat.pipeline import Pipeline, feed
from lifeboat.placement import Placement
from lifeboat.process import Conversation, run

from .conftest import ROOT, Container, podman, wait_for

EVERY_BYTE = r"s = bytes(range(256)) * 4096; import sys; sys.stdout.buffer.write(s)"


def place(container: Container, **how: str) -> Placement:
    return Placement("podman", container.name, source="db", **how)


def test_every_byte_comes_through_both_ways(container: Container) -> None:
    wrapped = place(container).wrap(Command(("python3", "-c", EVERY_BYTE)))
    with Pipeline(wrapped, [], stall_timeout_s=20) as flow:
        got = b"".join(flow.blocks())
        flow.check()
    assert got == bytes(range(256)) * 4096
    assert run(place(container).wrap(Command(("cat",))), stdin=got) == got


def test_variables_arrive_and_their_values_are_in_no_argument_list(container: Container) -> None:
    asked = Command(("sh", "-c", 'echo "$WORD $(id -un) $(pwd)"'), {"WORD": "s3cr3t"}, cwd="/etc")
    wrapped = place(container, as_user="postgres").wrap(asked)
    assert run(wrapped) == b"s3cr3t postgres /etc\n"
    assert "s3cr3t" not in " ".join(wrapped.argv + wrapped.inside.unfed)


def test_a_shell_that_was_used_for_another_host_leads_nobody_there(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONTAINER_HOST", "DOCKER_HOST"):
        monkeypatch.setenv(name, "tcp://127.0.0.1:9")
    monkeypatch.setenv("CONTAINER_CONNECTION", "elsewhere")
    assert run(place(container).wrap(Command(("echo", "here")))) == b"here\n"


@pytest.mark.parametrize("argv", [("cat",), ("sh", "-c", "exit 7")])
def test_an_exit_status_comes_through(container: Container, argv: tuple[str, ...]) -> None:
    wrapped = place(container).wrap(Command(argv, accepts=(0, 7)))
    assert run(wrapped) == b""


def test_a_status_and_a_signal_inside_are_told_with_the_container(container: Container) -> None:
    with pytest.raises(
        ProcessError, match=f"sh in container {container.name} stopped with status 3"
    ):
        run(place(container).wrap(Command(("sh", "-c", "echo why >&2; exit 3"))))
    with pytest.raises(ProcessError, match="was ended by signal 15"):
        run(place(container).wrap(Command(("sh", "-c", "kill $$"))))


@pytest.mark.parametrize("stdin", [b"", b"some"])
def test_a_program_that_the_container_lacks_is_named(container: Container, stdin: bytes) -> None:
    with pytest.raises(MissingDependency, match="program no-such-dump is not in container lb-test"):
        run(place(container).wrap(Command(("no-such-dump", "--all"))), stdin=stdin)
    with pytest.raises(
        MissingDependency, match=r"program passwd is not in .*, or cannot be run there"
    ):
        run(place(container).wrap(Command(("/etc/passwd",))), stdin=stdin)


def test_a_container_that_is_not_there_is_absent() -> None:
    with pytest.raises(SourceAbsent, match=r"source db: there is no container lb-none.* user root"):
        run(Placement("docker", "lb-none", source="db").wrap(Command(("true",))))


def test_stopped_and_paused_are_told_and_nothing_hangs(
    make_container: Callable[..., Container],
) -> None:
    other = make_container()
    podman("pause", other.name)
    with pytest.raises(SourceError, match=r"source db: container .* is paused") as paused:
        run(place(other).wrap(Command(("true",))))
    podman("unpause", other.name)
    podman("stop", "-t", "0", other.name)
    with pytest.raises(SourceError, match="does not run: it is exited") as stopped:
        run(place(other).wrap(Command(("true",))))
    assert paused.value.hint == f"podman unpause {other.name}"
    assert stopped.value.hint == f"podman start {other.name}"


def test_a_dump_that_is_given_up_ends_inside_too(container: Container) -> None:
    wrapped = place(container).wrap(Command(("sh", "-c", "sleep 611 & sleep 612")))
    with Pipeline(wrapped, [Command(("cat",))], stall_timeout_s=60):
        assert wait_for(lambda: len(container.processes("sleep 611", "sleep 612")) >= 2)
    assert wait_for(lambda: not container.processes("sleep 61"))


def test_a_program_that_gives_no_answer_ends_inside_too(container: Container) -> None:
    with pytest.raises(ProcessError, match="gave no answer"):
        run(place(container).wrap(Command(("sleep", "621"))), timeout_s=2)
    assert wait_for(lambda: not container.processes("sleep 621"))


def test_a_restore_that_is_given_up_ends_inside_too(container: Container) -> None:
    with Conversation(place(container).wrap(Command(("cat", "-", "/dev/null")))) as talk:
        talk.say(b"line\n")
        assert talk.line(10) == b"line\n"
        assert container.processes("cat - /dev/null")
    assert wait_for(lambda: not container.processes("cat - /dev/null"))


def test_when_we_are_killed_nothing_lives_on_inside(container: Container, tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import tests.conftest
from lifeboat.placement import Placement
from lifeboat.model import Command
from lifeboat.pipeline import Pipeline
wrapped = Placement("podman", {container.name!r}).wrap(Command(("sleep", "631")))
with Pipeline(wrapped, [Command(("cat",))]) as flow:
    for block in flow.blocks(): pass
"""
    ours = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        assert wait_for(lambda: container.processes("sleep 631"))
    finally:
        os.kill(ours.pid, signal.SIGKILL)
        ours.wait()
    assert wait_for(lambda: not container.processes("sleep 631"))


def test_a_cut_input_ends_the_program_and_is_told(container: Container, tmp_path: Path) -> None:
    class Broken:
        def readinto(self, buffer: bytearray) -> int:
            raise OSError("the disk is gone")

        def close(self) -> None:
            pass

    with pytest.raises(OSError, match="the disk is gone"), Pipeline(Broken(), []) as flow:
        feed(flow, place(container).wrap(Command(("cat", "-", "/etc/hostname"))))
    assert wait_for(lambda: not container.processes("cat - /etc/hostname"))
