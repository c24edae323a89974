# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill that meets a fault says so, marks no more than it knows, and leaves nothing running or on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import DrillHost, running


def test_without_a_key_nothing_is_begun(host: DrillHost) -> None:
    done = host.lifeboat("drill", "shop")

    assert done.returncode == 2
    assert "needs the private key" in done.stderr
    assert host.history()[0]["passed"] is False
    assert host.left() == []


def test_another_key_fails_the_drill_and_says_nothing_of_the_copy(
    host: DrillHost, tmp_path: Path
) -> None:
    host.key = tmp_path / "other.key"
    subprocess.run(["age-keygen", "-o", str(host.key)], check=True, capture_output=True)

    told = host.told(expected=1)

    assert "does not open" in told["problem"]
    assert told["opened_by"] == []
    assert host.state() == "intact"
    assert host.history()[0]["exit_code"] == 1


def test_facts_that_cannot_be_used_fail_the_drill_and_say_nothing_of_the_copy(
    host: DrillHost,
) -> None:
    ours = """
import lifeboat.sources.sqlite.source as s
def stage(*given): raise KeyError("of_a_later_version")
s.SQLite.stage = stage
"""
    told = host.told(expected=1, before=ours)

    assert "of_a_later_version" in told["sources"]["db"]["problem"]
    assert told["mark"] == ""
    assert host.state() == "intact"


def test_something_else_than_was_backed_up_fails_and_marks_the_copy(host: DrillHost) -> None:
    tamper(host, "db.inventory", b'"rows": 1000', b'"rows": 1001')

    told = host.told(expected=1)

    assert "is not what was backed up" in told["sources"]["db"]["problem"]
    assert "rows is 1000, the backup recorded 1001" in told["sources"]["db"]["detail"]
    assert told["mark"] == "bad"
    assert host.state() == "corrupt"
    assert host.left() == []
    # that its bytes are right makes it no better
    assert host.lifeboat("verify", "shop", "--all").returncode == 1
    assert host.state() == "corrupt"


def test_a_check_that_fails_fails_the_drill(host: DrillHost) -> None:
    host.job["drill"] = {"check": ["sh", "-c", "echo not well >&2; exit 3"]}
    host.configure()

    told = host.told(expected=1)

    assert "status 3" in told["problem"]
    assert told["detail"] == "not well"
    assert host.state() == "intact"
    assert host.left() == []


def test_a_check_that_hangs_is_ended(host: DrillHost) -> None:
    host.job["drill"] = {"check": ["sleep", "321"], "check_timeout": "1s"}
    host.configure()

    assert "no answer in 1 seconds" in host.told(expected=1)["problem"]
    assert running("sleep 321") == []


def test_a_source_that_fails_leaves_the_others_tried(host: DrillHost, tmp_path: Path) -> None:
    host.job["sources"]["note"] = {"type": "files", "paths": [str(tmp_path / "note")]}
    (tmp_path / "note").write_text("n")
    host.configure()
    host.run()
    del host.job["sources"]["db"]
    host.configure()

    told = host.told(expected=1)

    assert "has no source 'db'" in told["sources"]["db"]["problem"]
    assert told["sources"]["note"]["how"] == "restored"
    assert told["mark"] == ""


def test_a_missing_server_program_is_named_with_its_package(
    host: DrillHost, postgresql_source: dict[str, Any], tmp_path: Path
) -> None:
    host.job["sources"] = {"pg": postgresql_source}
    host.configure()
    host.run()
    empty = tmp_path / "empty"
    empty.mkdir()
    hide = f"""
import lifeboat.sources.postgresql.arena as arena, os
arena._FOLDERS = ()
os.environ["PATH"] = {str(empty)!r} + ":" + ":".join(
    one for one in os.environ["PATH"].split(":") if not os.path.exists(one + "/initdb"))
"""

    told = host.told(expected=1, before=hide)

    assert "initdb is not on this machine" in told["sources"]["pg"]["problem"]
    assert "install the package postgresql-" in told["sources"]["pg"]["hint"]
    assert host.state() == "intact"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_told_and_leaves_nothing(host: DrillHost) -> None:
    host.arenas.mkdir(parents=True, exist_ok=True)
    mount(host.arenas, "32k")
    try:
        early = host.told(expected=1)
        late = host.told(
            expected=1,
            before="import lifeboat.operations.drills.source as d; d.free_bytes = lambda _: 1 << 60",
        )
        assert "a drill needs about" in early["sources"]["db"]["problem"]
        assert "No space left" in json.dumps(late["sources"]["db"])
        assert late["mark"] == ""
        assert host.left() == []
    finally:
        subprocess.run(["umount", str(host.arenas)], check=True)
        host.arenas.rmdir()


@pytest.mark.parametrize("at", ["fetch", "restore", "check"])
def test_killed_in_its_middle_nothing_runs_and_the_next_operation_cleans_up(
    host: DrillHost, postgresql_source: dict[str, Any], at: str
) -> None:
    host.job["sources"] = {"pg": postgresql_source}
    host.job["drill"] = {"check": ["sleep", "654"]}
    host.configure()
    host.run()
    process = subprocess.Popen(
        host.argv("drill", "shop", "--identity", str(host.key)),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stderr
    for line in process.stderr:
        if line.startswith(at.encode()):
            break
    time.sleep({"fetch": 0.0, "restore": 0.4, "check": 0.2}[at])
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()

    until = time.monotonic() + 10
    while (running(str(host.arenas)) or running("sleep 654")) and time.monotonic() < until:
        time.sleep(0.1)
    assert running(str(host.arenas)) + running("sleep 654") == []
    assert host.lifeboat("recover").returncode == 0
    assert host.left() == []
    assert "drilled" not in str(host.stored())


def test_a_second_drill_of_the_job_is_told_and_a_backup_goes_on(host: DrillHost) -> None:
    host.job["drill"] = {"check": ["sleep", "20"]}
    host.configure()
    process = subprocess.Popen(
        host.argv("drill", "shop", "--identity", str(host.key)), stderr=subprocess.PIPE
    )
    assert process.stderr
    for line in process.stderr:
        if line.startswith(b"check"):
            break
    try:
        assert host.drill().returncode == 5
        assert host.lifeboat("run", "shop").returncode == 0
        assert host.left() != []  # of the one that goes on
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
    assert host.left() == []


def tamper(host: DrillHost, name: str, before: bytes, after: bytes) -> None:
    """Change the plain data of one archive, with the manifest made to agree: by one who may write there."""
    import hashlib

    archive = host.archive(name)
    opened = piped(["age", "-d", "-i", str(host.key)], ["zstd", "-d"], archive.read_bytes())
    assert before in opened
    recipient = host.configuration["encryption"]["age_recipients"][0]
    closed = piped(["zstd", "-c"], ["age", "-r", recipient], opened.replace(before, after))
    archive.unlink()
    archive.write_bytes(closed)
    (document,) = host.disk.glob("catalog/*/*/*.json")
    body = json.loads(document.read_text())
    del body["digest"]
    (one,) = [one for one in body["archives"] if one["name"] == archive.name]
    body["totals"]["size_bytes"] += len(closed) - one["size_bytes"]
    one.update(size_bytes=len(closed), sha256=hashlib.sha256(closed).hexdigest())

    def dump(what: Any) -> bytes:
        text = json.dumps(what, sort_keys=True, indent=1, ensure_ascii=False)
        return (text + "\n").encode()

    document.unlink()
    body["digest"] = "sha256:" + hashlib.sha256(dump(body)).hexdigest()
    document.write_bytes(dump(body))


def mount(place: Path, size: str) -> None:
    words = ["-t", "tmpfs", "-o", f"size={size},mode=711,nr_inodes=1000", "tmpfs", str(place)]
    subprocess.run(["mount", *words], check=True)


def piped(one: list[str], other: list[str], content: bytes) -> bytes:
    for argv in (one, other):
        content = subprocess.run(argv, input=content, check=True, capture_output=True).stdout
    return content
