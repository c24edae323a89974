# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore takes no backups away, and nothing that it needs itself to be ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from .host import Host


def _tree(host: Host) -> Path:
    """A directory that job `www` protects, with one for copies in it."""
    top = host.data / "srv"
    (top / "backups").mkdir(parents=True)
    (top / "page").write_text("page")
    source = {"type": "files", "paths": [str(top)]}
    host.configuration["jobs"]["www"] = {"sources": {"tree": source}, "destinations": ["disk"]}
    return top


def _restored(host: Host, id_: str, *words: str) -> tuple[int, str]:
    gate = ("--confirm", "RESTORE PRODUCTION", "--target-host", host.name)
    done = host.lifeboat("restore", "www", id_, "--identity", str(host.key), *gate, *words)
    return done.returncode, done.stderr


@pytest.mark.parametrize("linked", [False, True])
def test_a_restore_never_takes_away_the_backups_of_any_job(host: Host, linked: bool) -> None:
    top = _tree(host)
    place = top / "backups"
    if linked:
        place = host.base / "elsewhere"
        place.symlink_to(top / "backups")
    host.configuration["destinations"]["inner"] = {"type": "local", "path": str(place)}
    host.job["destinations"] = ["inner"]
    host.configure()
    host.fill(10)
    before = host.lifeboat("run", "www").stdout.strip()
    later = host.run()
    code, said = _restored(host, before)
    assert code == 6, said
    assert "the destination inner of job shop" in said
    assert later in host.lifeboat("list", "shop").stdout
    if linked:
        return
    (top / "page").write_text("lost")  # what else lies there can be put back all the same
    assert _restored(host, before, "--path", "page")[0] == 0
    assert (top / "page").read_text() == "page"


def test_a_restore_never_takes_away_its_own_journal(host: Host) -> None:
    source = {"type": "files", "paths": [str(host.root)]}
    host.configuration["jobs"]["www"] = {"sources": {"tree": source}, "destinations": ["disk"]}
    host.configure()
    before = host.lifeboat("run", "www").stdout.strip()
    code, said = _restored(host, before)
    assert code == 6, said
    assert "the state of lifeboat" in said


@pytest.mark.parametrize(
    ("exclude", "warned"),
    [([], True), (["*.tmp", "/srv"], True), (["backups"], False), (["/{place}"], False)],
)
def test_a_source_that_holds_backups_is_warned_of(
    host: Host, exclude: list[str], warned: bool
) -> None:
    top = _tree(host)
    place = str(top / "backups")
    host.configuration["destinations"]["inner"] = {"type": "local", "path": place}
    host.job["destinations"] = ["inner"]
    tree = host.configuration["jobs"]["www"]["sources"]["tree"]
    tree["paths"] = ["/"] if len(exclude) > 1 else [str(top)]
    tree["one_file_system"] = False
    tree["exclude"] = [one.format(place=place.strip("/")) for one in exclude]
    host.configure()
    done = host.lifeboat("config", "check")
    assert done.returncode == 0, done.stderr
    told = f"backs up the destination inner ({place}) too"
    assert (told in done.stderr) == warned
