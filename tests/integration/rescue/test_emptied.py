# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application has lost is never counted as a good backup of it, however small it was."""

from __future__ import annotations

import json

from .host import Host


def test_a_source_that_is_empty_all_at_once_is_suspect(host: Host) -> None:
    host.fill(20)
    uploads = host.data / "uploads"
    uploads.mkdir()
    for number in range(20):
        (uploads / str(number)).write_text("upload")
    host.job["sources"]["uploads"] = {"type": "files", "paths": [str(uploads)]}
    host.configure()
    for _night in range(3):
        host.run()
    host.fill(0)
    for one in uploads.iterdir():
        one.unlink()
    done = host.lifeboat("run", "shop", "--json")
    told = json.loads(done.stdout)
    assert told["suspect"] == [
        "db is empty, and held 20 things usually",
        "uploads is empty, and held 20 things usually",
    ]
    [newest, *_older] = json.loads(host.lifeboat("list", "--json").stdout)
    assert not newest["good"]
    assert host.lifeboat("accept", told["id"]).returncode == 0
    again = host.lifeboat("run", "shop", "--json")
    assert json.loads(again.stdout)["suspect"] == []
