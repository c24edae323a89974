# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever comes later sees what is being done, until it ends, and nothing of what was done before."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.integration.rescue.host import Host

from .prometheus import wait_for


def test_a_run_is_followed_to_its_end(host: Host, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text("#!/bin/sh\nhead -c 2000000 /dev/zero; sleep 3\n")
    dump.chmod(0o755)
    feed = {"type": "command", "dump": [str(dump)], "restore": ["/bin/cat"], "extension": "bin"}
    host.job["sources"] = {"feed": feed}
    host.configure()
    lock, runtime = host.root / "state/locks/shop.lock", host.root / "state/run"
    runtime.mkdir(parents=True)
    left = '{"phase": "drop", "what": "x", "done_bytes": 0, "total_bytes": 0, "ended": true, "problem": ""}'
    (runtime / "shop.progress").write_text(left)
    time.sleep(0.01)
    with subprocess.Popen(host.argv("run", "shop"), stderr=subprocess.DEVNULL) as run:
        wait_for(lambda: lock.exists() and lock.read_text(), 10)
        seen = host.lifeboat("watch", "shop")
        assert run.wait() == 0
    assert seen.stderr.splitlines()[0].startswith("shop: backup, process ")
    assert seen.stderr.splitlines()[1].startswith("dump feed.")
    assert "drop" not in seen.stderr
    assert "went well" in seen.stdout
    assert "nothing is running for shop" in host.lifeboat("watch", "shop").stdout
