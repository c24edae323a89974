# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of programs succeeds only if every one of them did, and the right one is blamed."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.errors import MissingDependency, ProcessError
from lifeboat.model import DESCRIPTOR, Command
from lifeboat.pipeline import Pipeline, feed
from lifeboat.process import BLOCK, run


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Make a program of a shell script and put it on PATH: program("dump", "exit 7") -> Command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> Command:
        path = folder / name
        path.write_text("#!/bin/sh\n" + script + "\n", encoding="utf-8")
        path.chmod(0o755)
        return Command((name,))

    return make


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """No descriptor and no child process may outlive a pipeline, however it ended."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


CAT = Command(("cat",))
ZEROS = Command(("head", "-c", "9000000", "/dev/zero"))
PYTHON = sys.executable
_LOUD = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the last word >&2; "


def output(flow: Pipeline) -> bytes:
    return b"".join(flow.blocks())


def failure(flow: Pipeline) -> ProcessError:
    with flow:
        output(flow)
        with pytest.raises(ProcessError) as caught:
            flow.check()
    return caught.value


# -- what goes through


@pytest.mark.parametrize("tapped", [True, False])  # without a tap the kernel moves what it can
@pytest.mark.parametrize("filters", [[], [CAT], [CAT, CAT, CAT]])
@pytest.mark.parametrize("size", [0, 1, 4096, BLOCK, BLOCK + 1, 5_000_000])
def test_every_byte_comes_out_and_is_counted(
    tmp_path: Path, filters: list[Command], size: int, tapped: bool
) -> None:
    content = os.urandom(size)
    (tmp_path / "plain").write_bytes(content)
    seen: list[bytes] = []
    for given in (
        Command(("cat", str(tmp_path / "plain"))),
        tmp_path / "plain",
        io.BytesIO(content),
    ):
        seen.clear()
        with Pipeline(given, filters, tap=seen.append if tapped else None) as flow:
            assert output(flow) == content
            flow.check()
            assert (flow.plain_bytes, flow.out_bytes) == (size, size)
            assert (flow.head, flow.tail) == (content[:64], content[-4096:])
        assert b"".join(seen) == (content if tapped else b"")


@pytest.mark.parametrize("size", [0, 1, 39, 64, 65, 4096, BLOCK + 1, 3_000_000])
@pytest.mark.parametrize("filters", [[], [CAT]])
def test_what_a_program_adds_after_its_data_is_cut_off(filters: list[Command], size: int) -> None:
    content, asked, seen = os.urandom(size), [], []  # type: ignore[var-annotated]

    def surplus(last: bytes) -> int:
        asked.append(last)
        return 40

    with Pipeline(
        io.BytesIO(content + b"#" * 40), filters, tap=seen.append, surplus=surplus
    ) as flow:
        assert output(flow) == content
        flow.check()
        assert (flow.plain_bytes, flow.out_bytes) == (size, size)
        assert (flow.head, flow.tail) == (content[:64], content[-4096:])
    assert b"".join(seen) == content
    assert asked == [(content + b"#" * 40)[-64:]]


def test_the_tail_is_whole_when_it_comes_in_drops(program) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", "for n in 1 2 3 4 5; do printf '%02000d' $n; sleep 0.05; done")
    with Pipeline(dump, []) as flow:
        content = output(flow)
        flow.check()
        assert len(content) == 10_000
        assert flow.tail == content[-4096:]


def test_a_huge_output_needs_bounded_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Pipeline(Command(("head", "-c", "1000000000", "/dev/zero")), [CAT]) as flow:
        total = sum(len(block) for block in flow.blocks())
        flow.check()
    assert total == 1_000_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB


def test_the_stream_is_read_like_a_file(program) -> None:  # type: ignore[no-untyped-def]
    with Pipeline(program("dump", "seq 100000"), [CAT]) as flow:
        assert [int(line) for line in flow.stream()] == list(range(1, 100001))
        flow.check()


# -- who is blamed


def test_a_feed_that_fails_with_megabytes_of_complaint_is_blamed(program) -> None:  # type: ignore[no-untyped-def]
    error = failure(Pipeline(program("dump", "echo part; " + _LOUD + "exit 7"), [CAT, CAT]))
    assert error.message == "dump stopped with status 7"
    assert error.status == 7
    assert error.detail.endswith("the last word")
    assert len(error.detail) <= 4096


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_filter_that_dies_early_is_blamed_and_not_the_feed(program, position: int) -> None:  # type: ignore[no-untyped-def]
    filters = [CAT, CAT, CAT]
    filters[position] = program("seal", "head -c 10 >/dev/null; echo no key >&2; exit 3")
    error = failure(Pipeline(Command(("head", "-c", "50000000", "/dev/zero")), filters))
    assert error.message == "seal stopped with status 3"
    assert error.detail == "no key"


def test_a_filter_that_dies_is_blamed_though_the_feed_turns_that_into_its_own_failure(
    program,
) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", "trap '' PIPE; head -c 9000000 /dev/zero 2>/dev/null || exit 1")
    seal = program("seal", "exit 3")
    assert failure(Pipeline(dump, [seal])).message == "seal stopped with status 3"


def test_a_filter_that_stops_reading_and_says_all_is_well_is_a_failure(program) -> None:  # type: ignore[no-untyped-def]
    seal = program("seal", "head -c 10")
    slow = program("dump", "echo 0123456789; sleep 0.3; echo more")
    assert "stopped reading" in failure(Pipeline(io.BytesIO(b"x" * 9_000_000), [seal])).message
    error = failure(Pipeline(slow, [seal]))
    assert "stopped reading" in error.message or error.status == -signal.SIGPIPE


def test_a_killed_feed_is_blamed_with_its_signal(program) -> None:  # type: ignore[no-untyped-def]
    error = failure(Pipeline(program("dump", "echo half; kill -KILL $$"), [CAT]))
    assert error.message == "dump was ended by signal 9"
    assert error.status == -9


def test_a_status_that_the_command_accepts_is_no_failure(program) -> None:  # type: ignore[no-untyped-def]
    made = program("tar", "echo ok; echo changed >&2; exit 1")
    with Pipeline(Command(made.argv, accepts=(0, 1)), [CAT]) as flow:
        assert output(flow) == b"ok\n"
        flow.check()
        assert (flow.feed_status, flow.feed_said) == (1, "changed")


def test_check_reads_what_nobody_read(program) -> None:  # type: ignore[no-untyped-def]
    flow = Pipeline(program("dump", "seq 500000; exit 4"), [CAT])
    with flow, pytest.raises(ProcessError, match="status 4"):
        flow.check()


def test_a_tap_that_raises_is_reported_as_itself() -> None:
    def tap(_block: bytes) -> None:
        raise KeyError("the tap's own")

    with Pipeline(Command(("cat", "/dev/zero")), [CAT], tap=tap) as flow:
        output(flow)
        with pytest.raises(KeyError, match="the tap's own"):
            flow.check()


def test_a_tap_that_raises_ends_a_feed_that_would_never_notice(program) -> None:  # type: ignore[no-untyped-def]
    def tap(_block: bytes) -> None:
        raise KeyError

    began = time.monotonic()
    with (
        Pipeline(program("dump", "echo begun; sleep 600"), [CAT], tap=tap) as flow,
        pytest.raises(KeyError),
    ):
        flow.check()
    assert time.monotonic() - began < 10


def test_a_feed_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "not-there", tmp_path):
        with pytest.raises(ProcessError, match=f"{path} cannot be read"):
            Pipeline(path, [CAT]).__enter__()


# -- what hangs


def test_a_feed_that_stalls_is_ended_with_all_that_it_started(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", f"echo begun; sleep 600 & echo $! > {tmp_path}/pid; wait")
    began = time.monotonic()
    error = failure(Pipeline(dump, [CAT], stall_timeout_s=1.0))
    assert time.monotonic() - began < 20
    assert "dump gave no data for 1 seconds" in error.message
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_outlives_the_feed_and_holds_the_pipe_is_ended(
    program, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", f"sleep 600 & echo $! > {tmp_path}/pid; exit 0")
    assert "gave no data" in failure(Pipeline(dump, [CAT], stall_timeout_s=1.0)).message
    assert _gone(int((tmp_path / "pid").read_text()))


def test_slow_is_not_stalled(program) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.4; done")
    with Pipeline(dump, [CAT], stall_timeout_s=1.5) as flow:
        assert output(flow) == b"1\n2\n3\n4\n5\n6\n"
        flow.check()


def test_leaving_ends_everything_at_once(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dump = program("dump", f"sleep 600 & echo $! > {tmp_path}/pid; cat /dev/zero")
    began = time.monotonic()
    with pytest.raises(RuntimeError), Pipeline(dump, [CAT, CAT]) as flow:
        next(flow.blocks())
        raise RuntimeError
    assert time.monotonic() - began < 10
    assert _gone(int((tmp_path / "pid").read_text()))


def _gone(process: int) -> bool:
    for _attempt in range(50):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z":
            return True  # its new parent has not looked yet
        time.sleep(0.1)
    return False


# -- what is not there


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    missing = Command(("/nowhere/pg_dump", "-Fc"))
    (tmp_path / "plain").touch()
    for chain in ((missing, [CAT]), (tmp_path / "plain", [CAT, missing])):
        with pytest.raises(MissingDependency, match="/nowhere/pg_dump") as caught:
            Pipeline(*chain).__enter__()
        assert "pg_dump" in caught.value.hint
    with pytest.raises(MissingDependency):
        run(missing)


@pytest.mark.parametrize(
    "command",
    [Command(("cat", "a\0b")), Command(("cat", "\ud800")), Command(("/etc/passwd",)),
     Command(("cat",), cwd="/nowhere")],
)  # fmt: skip
def test_what_cannot_be_started_is_a_process_error(command: Command) -> None:
    with pytest.raises(ProcessError):
        run(command)


# -- secrets


def test_a_secret_is_read_at_a_descriptor_and_is_nowhere_else() -> None:
    secret = b"s3cr3t-%d" % os.getpid()
    script = (
        "import os,sys; got=open(sys.argv[1],'rb').read();"
        "here=open('/proc/self/cmdline','rb').read()+open('/proc/self/environ','rb').read();"
        "print(got==os.environb[b'EXPECTED'][::-1], got in here)"
    )
    command = Command(
        (PYTHON, "-c", script, DESCRIPTOR), env={"EXPECTED": secret[::-1].decode()}, secret=secret
    )
    assert run(command) == b"True False\n"
    assert "s3cr3t" not in repr(command)


def test_a_secret_reaches_no_other_program_of_the_chain() -> None:
    command = Command(("cat", DESCRIPTOR), secret=b"for one only")
    count = Command((PYTHON, "-c", "import os,sys; sys.stdin.read(); print(os.listdir('/dev/fd'))"))
    with Pipeline(command, [count]) as flow:
        assert len(eval(output(flow))) <= 4  # 0, 1, 2 and the listing's own
        flow.check()


def test_a_secret_that_no_pipe_holds_is_refused_instead_of_hanging() -> None:
    with pytest.raises(ProcessError, match="too long"):
        run(Command(("cat", DESCRIPTOR), secret=b"x" * 100_000))


# -- one program alone


def test_run_gives_the_output_and_passes_the_input() -> None:
    assert run(CAT, stdin=b"hello") == b"hello"
    assert run(Command(("pwd",), cwd="/")) == b"/\n"
    assert run(Command(("sh", "-c", "echo $A"), env={"A": "b"})) == b"b\n"
    assert len(run(Command(("head", "-c", "5000000", "/dev/zero")), limit=1000)) == 1000


def test_run_tells_a_failure_with_the_end_of_what_was_said(program) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProcessError, match="psql stopped with status 7") as caught:
        run(program("psql", _LOUD + "exit 7"))
    assert caught.value.detail.endswith("the last word")


def test_run_ends_a_program_that_takes_too_long_and_what_it_started(
    program, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    with pytest.raises(ProcessError, match="no answer in 1 seconds"):
        run(program("psql", f"sleep 600 & echo $! > {tmp_path}/pid; wait"), timeout_s=1.0)
    assert time.monotonic() - began < 10
    assert _gone(int((tmp_path / "pid").read_text()))


def test_programs_have_no_terminal_to_ask_a_password_on() -> None:
    done = subprocess.run(["setsid", "true"], check=False)
    assert done.returncode == 0
    with pytest.raises(ProcessError, match="sh stopped"):
        run(Command(("sh", "-c", "exec 3</dev/tty")))


# -- a pipeline into a program


def test_feed_gives_the_sink_every_byte(tmp_path: Path) -> None:
    sink = Command(("sh", "-c", f"cat > {tmp_path}/out; echo fine >&2"))
    with Pipeline(Command(("seq", "300000")), [CAT]) as flow:
        assert feed(flow, sink) == (0, "fine")
    assert (tmp_path / "out").read_bytes().endswith(b"299999\n300000\n")


def test_feed_tells_a_sink_that_stops_early_though_it_says_all_is_well() -> None:
    flow = Pipeline(ZEROS, [CAT])
    with flow, pytest.raises(ProcessError, match="head stopped reading before the end"):
        feed(flow, Command(("head", "-c", "10")))


def test_feed_reads_on_where_a_sink_may_stop_early() -> None:
    sink = Command(("head", "-c", "10"), may_stop=True)
    with Pipeline(Command(("head", "-c", "9000000", "/dev/zero")), []) as flow:
        assert feed(flow, sink) == (0, "")
        assert flow.plain_bytes == 9000000
    with (
        Pipeline(Command(("sh", "-c", "head -c 9000000 /dev/zero; exit 3")), []) as flow,
        pytest.raises(ProcessError, match="status 3"),
    ):
        feed(flow, sink)  # what it left was not whole


def test_feed_tells_the_sinks_own_failure(program) -> None:  # type: ignore[no-untyped-def]
    sink = program("pg_restore", "head -c 10 >/dev/null; echo bad header >&2; exit 1")
    flow = Pipeline(ZEROS, [CAT])
    with flow, pytest.raises(ProcessError, match="pg_restore stopped with status 1") as caught:
        feed(flow, sink)
    assert caught.value.detail == "bad header"


def test_a_sink_never_takes_a_cut_stream_for_a_whole_one(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    sink = program("psql", f"cat >/dev/null; echo committed > {tmp_path}/committed")
    flow = Pipeline(program("decode", "echo half; exit 2"), [CAT])
    with flow, pytest.raises(ProcessError, match="decode stopped with status 2"):
        feed(flow, sink)
    time.sleep(0.3)
    assert not (tmp_path / "committed").exists()


def test_many_pipelines_at_once_do_not_hold_each_others_pipes() -> None:
    """A child that inherits another pipeline's write end would keep it from ending."""
    errors: list[BaseException] = []

    def one() -> None:
        try:
            for _turn in range(5):
                with Pipeline(Command(("seq", "1000")), [CAT]) as flow:
                    assert len(output(flow)) == 3893
                    flow.check()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=one) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)
