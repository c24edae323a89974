# SPDX-License-Identifier: GPL-3.0-or-later
"""`list` and `status` tell what an operator has to know, and type, next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .host import PHRASE, Host
from .test_killed import at_method


def told(host: Host, *words: str, exit_code: int = 0) -> Any:
    done = host.lifeboat(*words, "--json")
    assert done.returncode == exit_code, done.stderr
    return json.loads(done.stdout)


def two_sources(host: Host) -> None:
    (host.data / "tree").mkdir()
    (host.data / "tree" / "one").write_text("1")
    host.job["sources"]["files"] = {"type": "files", "paths": [str(host.data / "tree")]}
    host.configure()


def columns(host: Host) -> dict[str, list[str]]:
    """{id: the cells of its line}."""
    lines = host.lifeboat("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "JOB", "TYPE", "AGE", "GOOD", "HOLDS", "COPIES"]
    cells = [line.split() for line in lines[1:]]
    return {one[0]: one for one in cells}


def test_a_list_says_what_each_backup_holds(host: Host) -> None:
    two_sources(host)
    whole, part = host.run(), host.run("--only", "files")

    listed = {one["id"]: one for one in told(host, "list")}
    assert (listed[whole]["subset"], listed[whole]["sources"]) == (False, [])
    assert (listed[part]["subset"], listed[part]["sources"]) == (True, ["files"])
    assert columns(host)[whole][-3:] == ["yes", "all", "disk:intact"]
    assert columns(host)[part][-3:] == ["yes", "files", "disk:intact"]


def test_a_list_says_why_a_backup_is_not_good(host: Host) -> None:
    two_sources(host)
    corrupt = host.run()
    host.archive().write_bytes(b"not an archive")
    assert host.lifeboat("verify", "shop").returncode == 1
    host.database.unlink()
    done = host.lifeboat("run", "shop")
    assert done.returncode == 3, done.stderr
    partial = done.stdout.strip()

    words = {one["id"]: one["why_not_good"] for one in told(host, "list")}
    assert words == {corrupt: "corrupt", partial: "partial"}
    assert columns(host)[partial][-3:] == ["partial", "files", "disk:partial"]
    assert columns(host)[corrupt][-3:] == ["corrupt", "all", "disk:corrupt"]


def test_a_restore_that_was_cut_off_is_told_with_what_to_type(host: Host) -> None:
    id_ = host.run()
    assert [one["destination"] for one in told(host, "status")] == ["disk"]
    host.restore(id_, before=at_method("swap", "before"))

    waiting = told(host, "status", exit_code=2)[0]
    assert (waiting["destination"], waiting["state"]) == ("", "critical")
    assert waiting["next"] == "lifeboat recover shop"
    assert f"the restore of {id_} was cut off while swapping" in waiting["reason"]
    for command in ("list", "status"):
        done = host.lifeboat(command)
        assert "`lifeboat recover shop` ends it" in done.stdout + done.stderr
    assert [one["id"] for one in told(host, "list")] == [id_]  # the result stays a list of backups

    assert host.lifeboat(*waiting["next"].split()[1:]).returncode == 0
    assert [one["destination"] for one in told(host, "status")] == ["disk"]


def test_a_restore_that_nobody_decided_on_is_told_until_it_is(host: Host) -> None:
    id_ = host.run()
    assert host.restore(id_).returncode == 0
    waiting = told(host, "status", exit_code=1)[0]
    assert (waiting["state"], waiting["next"]) == ("warning", "lifeboat confirm shop")
    assert f"the restore of {id_} is neither confirmed nor undone" in host.lifeboat("list").stderr

    undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr
    waiting = told(host, "status")[0]
    assert (waiting["state"], waiting["next"]) == ("good", "lifeboat confirm shop")
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert [one["destination"] for one in told(host, "status")] == ["disk"]


def test_a_restore_that_runs_is_not_told_as_cut_off(host: Host) -> None:
    id_ = host.run()
    seen = host.base / "seen"
    ask = host.argv("status", "--json")
    before = f"""
import lifeboat.sources.sqlite.source as sqlite
real = sqlite.SQLite.swap
def swap(self, *words):
    __import__("subprocess").run({ask!r}, stdout=open({str(seen)!r}, "w"))
    return real(self, *words)
sqlite.SQLite.swap = swap
"""
    assert host.restore(id_, before=before).returncode == 0
    told_meanwhile = json.loads(seen.read_text())[0]
    assert (told_meanwhile["state"], told_meanwhile["next"]) == ("good", "")
    assert "is swapping now (restore, process " in told_meanwhile["reason"]


def test_two_hosts_of_one_name_are_told_of_each_other(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    hosts = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        hosts.append(Host(tmp_path / place, "h1", disk))
        hosts[-1].fill(10)
    first, second = hosts
    alone = first.lifeboat("run", "shop")
    anew = second.lifeboat("run", "shop")  # as a host that was built anew would
    assert "do two hosts" not in alone.stderr + anew.stderr
    told = first.lifeboat("run", "shop")
    assert told.returncode == 0, told.stderr
    assert f"{anew.stdout.strip()} was not made here: do two hosts have the name h1?" in told.stderr
    assert "do two hosts" in second.lifeboat("run", "shop").stderr
