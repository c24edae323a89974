# SPDX-License-Identifier: GPL-3.0-or-later
"""What was odd when a backup was made, and failed nothing: told by the run, before a restore, and after it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .host import Host


def test_a_file_that_was_cut_off_meanwhile_is_never_restored_without_a_word(
    host: Host, tmp_path: Path
) -> None:
    log = host.data / "logs" / "café.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (4 << 20))
    host.job["sources"]["logs"] = {"type": "files", "paths": [str(log.parent)]}
    host.configure()

    done = host.lifeboat("run", "shop", "--json", env={"PATH": _cutting(tmp_path / "p", log)})

    assert done.returncode == 0, done.stderr
    shrank = "1 files shrank while they were read: zeros stand for what was cut off"
    assert f"warning: logs: {shrank}" in done.stderr
    told = json.loads(done.stdout)
    assert {one["name"]: one["warnings"] for one in told["sources"]} == {"db": [], "logs": [shrank]}
    note = next(host.disk.rglob("RESTORE.md")).read_text()
    assert f"- warning: {shrank}" in note

    done = host.restore(told["id"], "--dry-run")
    assert f"warning then: {shrank}" in done.stdout

    done = host.restore(told["id"])
    assert done.returncode == 0, done.stderr
    assert "café.log is not whole: it shrank while it was backed up" in done.stderr
    assert log.read_bytes().endswith(bytes(1 << 20))


def _cutting(programs: Path, log: Path) -> str:
    """A PATH whose tar is the real one, which cuts the log off itself after its first record."""
    programs.mkdir()
    (programs / "cut").write_text("#!/bin/sh\ntruncate -s 1M '%s'\n" % log)
    (programs / "tar").write_text(
        '#!/bin/bash\ncase "$*" in *--create*) '
        'set -- --checkpoint=1 "--checkpoint-action=exec=%s" "$@";; esac\nexec -a tar %s "$@"\n'
        % (programs / "cut", shutil.which("tar"))
    )
    for name in ("cut", "tar"):
        (programs / name).chmod(0o755)
    return "%s:%s" % (programs, os.environ["PATH"])
