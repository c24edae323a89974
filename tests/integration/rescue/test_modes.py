# SPDX-License-Identifier: GPL-3.0-or-later
"""In user scope all that lifeboat writes is closed to others by itself, not by the directory around it."""

from __future__ import annotations

from tests.integration.rescue.host import Host


def test_files_are_0640_and_directories_0750_at_most(host: Host) -> None:
    host.root.joinpath("config").chmod(0o700)  # as the role makes it
    made = host.run()
    host.restore(made)
    page = host.root / "config" / "RUNBOOK.md"
    for words in (
        ("freshness", "--unit", "all"),
        ("drill", "shop", "--identity", str(host.key)),
        ("runbook", "--output", str(page)),
    ):
        done = host.lifeboat(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    written = [page, *(host.root / "state").rglob("*"), *host.disk.rglob("*")]
    assert {"audit.jsonl", "watch", "RUNBOOK.md", "restores"} <= {one.name for one in written}
    wide = [one for one in written if one.stat().st_mode & (0o027 if one.is_dir() else 0o137)]
    assert wide == []
