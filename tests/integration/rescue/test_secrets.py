# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key is handed over and never lies on the host: every write of every process is traced."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .host import PHRASE, Host

STRACE = shutil.which("strace")
_WRITE = re.compile(r"(?:write|pwrite64|writev|sendto|sendmsg)\((\d+)<([^>]*)>")


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("how", ["file", "-"])
def test_the_identity_is_written_to_no_file(host: Host, tmp_path: Path, how: str) -> None:
    id_ = host.run()
    host.fill(7)
    secret = next(
        line for line in host.key.read_text().splitlines() if line.startswith("AGE-SECRET-KEY")
    )
    trace = tmp_path / "trace"
    argv = host.argv(
        "restore", "shop", id_, "--identity", str(host.key) if how == "file" else "-",
        "--confirm", PHRASE, "--target-host", "h1",
    )  # fmt: skip
    done = subprocess.run(
        [str(STRACE), "-f", "-y", "-s", "4096", "-o", str(trace),
         "-e", "trace=write,pwrite64,writev,sendto,sendmsg,execve", *argv],
        input=host.key.read_bytes(), capture_output=True, check=False, start_new_session=True,
    )  # fmt: skip
    lines = [line for line in trace.read_text(errors="replace").splitlines() if secret in line]
    places = {found.group(2) for line in lines if (found := _WRITE.search(line))}

    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    assert not [line for line in lines if "execve(" in line]
    assert places, "the trace saw nothing: it proves nothing"
    assert {place.split(":")[0] for place in places} == {"pipe"}


def test_the_identity_is_in_no_message(host: Host) -> None:
    id_ = host.run()
    secret = host.key.read_text().splitlines()[-1]

    done = host.restore(id_, "--json")

    assert done.returncode == 0
    assert secret not in done.stdout + done.stderr
    kept = [path for path in host.root.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if secret.encode() in path.read_bytes()]
