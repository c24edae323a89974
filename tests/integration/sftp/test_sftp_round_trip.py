# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole command with a copy in the attic: back up, lose all but the attic, bring it back."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host
from tests.integration.sftp.places import behind, options
from tests.lab import sftp as lab

STRACE = shutil.which("strace")


@pytest.fixture
def host(tmp_path: Path, openssh: lab.Server) -> Host:
    """A host with a disk and an attic, which is empty and not even a directory yet."""
    made = Host(tmp_path)
    made.fill(1000)
    use(made, openssh, f"h-{secrets.token_hex(4)}")
    return made


def use(host: Host, server: lab.Server, folder: str) -> None:
    attic = options(server, folder, type="sftp", credential="attic_key", timeout="20s")
    host.configuration["destinations"]["attic"] = attic
    host.job["destinations"] = ["disk", "attic"]
    host.configure()
    credentials = host.root / "config" / "credentials"
    credentials.mkdir(mode=0o700, exist_ok=True)
    (credentials / "attic_key").touch(mode=0o600)
    (credentials / "attic_key").write_text(json.dumps(server.key))


def attic(host: Host, server: lab.Server) -> Path:
    path = host.configuration["destinations"]["attic"]["path"]
    return behind(server, path.rsplit("/", 1)[1])


def states(host: Host) -> dict[str, dict[str, str]]:
    told = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    return {one["id"]: one["copies"] for one in told}


def test_what_is_left_in_the_attic_alone_brings_everything_back(
    host: Host, openssh: lab.Server
) -> None:
    id_ = host.run()
    assert states(host) == {id_: {"disk": "intact", "attic": "intact"}}
    shutil.rmtree(host.disk)
    host.disk.mkdir()
    host.database.unlink()
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    assert list(attic(host, openssh).rglob(".*")) == []


def test_what_lies_there_other_than_it_was_sent_is_found_by_the_run_that_sent_it(
    host: Host, openssh: lab.Server
) -> None:
    # A fake: a disk of the attic that changes what it was given.
    before = f"""
import pathlib
import lifeboat.destinations.sftp.destination as sftp
real = sftp.SFTP.store
def store(self, key, growing):
    real(self, key, growing)
    path = pathlib.Path({str(attic(host, openssh))!r}) / key
    with open(path, "r+b") as stored:
        stored.seek(50)
        stored.write(b"spoilt")
sftp.SFTP.store = store
"""
    done = host.lifeboat("run", "shop", before=before)
    assert done.returncode == 4, done.stderr
    assert list(states(host).values()) == [{"disk": "intact", "attic": "corrupt"}], done.stderr


def test_a_run_without_the_attic_is_told_and_push_mends_it(area: Path, tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.fill(1000)
    server = lab.OpenSSH(area / "attic")
    use(host, server, "h1")
    done = host.lifeboat("run", "shop")
    assert done.returncode == 3
    assert "destination attic: cannot reach" in done.stderr
    id_ = done.stdout.strip()
    with server:
        assert states(host)[id_]["disk"] == "intact"
        pushed = host.lifeboat("push", "shop", "--missing")
        assert pushed.returncode == 0, pushed.stderr
        assert states(host) == {id_: {"disk": "intact", "attic": "intact"}}


def test_retention_deletes_in_the_attic_what_it_does_not_keep(
    host: Host, openssh: lab.Server
) -> None:
    host.job["keep"] = {"last": 1}
    host.configure()
    first, second = host.run(), host.run()
    pruned = host.lifeboat("prune", "shop", "--apply")
    assert pruned.returncode == 0, pruned.stderr
    catalog = attic(host, openssh) / "catalog/h1/shop"
    assert [one.name for one in catalog.glob("*.json")] == [f"{second}.json"]
    assert list(catalog.glob(f"{first}.pruned-*"))


def test_a_run_ends_well_though_its_connection_is_cut(host: Host, openssh: lab.Server) -> None:
    host.fill(300_000)
    ended = threading.Event()

    def cut() -> None:
        for _number in range(3):
            ended.wait(0.7)
            openssh.cut()

    cutting = threading.Thread(target=cut, daemon=True)
    cutting.start()
    id_ = host.run()
    ended.set()
    cutting.join(10)
    assert states(host)[id_]["attic"] == "intact"


def test_a_run_that_is_killed_leaves_a_part_that_the_next_one_sweeps(
    host: Host, openssh: lab.Server
) -> None:
    host.fill(300_000)
    code = (
        "import lifeboat.destinations.sftp.stream as stream, time\n"
        "class Slow(stream.Upload):\n"
        "    def write(self, block):\n"
        "        super().write(block); time.sleep(0.05)\n"
        "import lifeboat.destinations.sftp.destination as sftp\n"
        "sftp.Upload = Slow\n"
    )
    killed = subprocess.Popen(host.argv("run", "shop", before=code), start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(attic(host, openssh).rglob(".part-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    assert len(list(attic(host, openssh).rglob(".part-*"))) == 1
    assert states(host) == {}
    time.sleep(1.1)  # a server tells times in whole seconds
    host.run()
    assert list(attic(host, openssh).rglob(".part-*")) == []


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_the_key_is_written_to_no_file_and_in_no_argument(
    host: Host, openssh: lab.Server, tmp_path: Path
) -> None:
    secret = openssh.key.splitlines()[3]
    trace = tmp_path / "trace"
    done = subprocess.run(
        [str(STRACE), "-f", "-y", "-s", "4096", "-o", str(trace),
         "-e", "trace=read,write,pwrite64,writev,sendto,sendmsg,execve", *host.argv("run", "shop")],
        capture_output=True, check=False, start_new_session=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [one for one in trace.read_text(errors="replace").splitlines() if secret in one]
    assert lines, "the trace saw nothing: it proves nothing"
    assert [
        one for one in lines if not re.search(r"read\(\d+<[^>]*/credentials/attic_key>", one)
    ] == []
    assert secret not in done.stdout + done.stderr
