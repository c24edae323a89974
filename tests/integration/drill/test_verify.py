# SPDX-License-Identifier: GPL-3.0-or-later
"""`lifeboat verify` says all that a copy must be: whole, readable, complete, described, and of which age."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lifeboat.manifest import decode, encode

from .conftest import DrillHost


def verified(host: DrillHost, *words: str, expected: int = 0) -> dict[str, Any]:
    done = host.lifeboat("verify", *words, "--json")
    assert done.returncode == expected, done.stdout + done.stderr
    (finding,) = json.loads(done.stdout)
    return dict(finding)


def test_age_and_sources_are_told(host: DrillHost) -> None:
    content = ("--level", "content", "--identity", str(host.key))

    told = verified(host, "shop", *content)

    assert told["state"] == "readable"
    assert 0 <= told["age_s"] < 600
    assert told["sources"] == {"db": "good"}


def test_a_named_backup_that_lacks_a_dump_is_not_valid(host: DrillHost) -> None:
    host.job["sources"]["gone"] = {"type": "files", "paths": [str(host.base / "nothing")]}
    host.configure()
    done = host.lifeboat("run", "shop")
    assert done.returncode == 3
    partial = done.stdout.strip()

    told = verified(host, partial, expected=1)

    assert told["state"] == "intact"  # the bytes are right
    assert told["problem"] == "it does not hold gone: that failed"
    assert host.lifeboat("verify", "shop", "--all").returncode == 0  # its copies are what they say


def lossy(loses: str) -> str:
    """A fake: a compressor that loses the rest and says that all is well. Each hash is right."""
    return f"""
import lifeboat.filters.zstd as zstd
from lifeboat.model import Command
zstd.Zstd.encode = lambda self: Command(("sh", "-c", {loses!r}))
"""


@pytest.mark.parametrize(
    ("loses", "told"),
    [
        ("head -c 1000 | zstd -qc; cat >/dev/null", ""),
        ("zstd -qc | head -c 1000; cat >/dev/null", "premature end"),
        ("zstd -qc | tr a-f g-l", ""),
    ],
    ids=["dump", "compressed", "altered"],
)
def test_a_stream_that_was_stored_as_it_came_and_has_no_end_is_found(
    host: DrillHost, loses: str, told: str
) -> None:
    host.fill(50_000)
    done = host.lifeboat("run", "shop", before=lossy(loses))
    assert done.returncode == 0, done.stderr
    id_ = done.stdout.strip()
    assert verified(host, id_)["state"] == "intact"
    refused = host.restore(id_)
    assert refused.returncode == 1
    assert (
        f"name one by its id; whether this one is whole, and counts, tells `lifeboat verify {id_}"
        in (refused.stderr)
    )

    content = ("--level", "content", "--identity", str(host.key))
    found = verified(host, id_, *content, expected=1)

    assert (found["state"], told in found["problem"]) == ("corrupt", True), found["problem"]
    # its bytes are as they were sent, and yet it counts as good no more
    found = verified(host, id_, expected=1)
    assert (found["state"], "hold no whole backup" in found["problem"]) == ("corrupt", True)
    assert host.state() == "corrupt"
    assert "stores it there again" not in found["hint"]
    assert host.lifeboat("push", "shop").returncode == 0
    assert host.state() == "corrupt"


@pytest.mark.parametrize("by", ["verify", "drill"])
def test_what_holds_no_whole_backup_is_told_of_every_copy_of_it(
    host: DrillHost, tmp_path: Path, by: str
) -> None:
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        there = {"type": "local", "path": str(tmp_path / name)}
        host.configuration["destinations"][name] = there
        host.job["destinations"].append(name)
    host.configure()
    host.fill(50_000)
    done = host.lifeboat("run", "shop", before=lossy("zstd -qc | head -c 1000; cat >/dev/null"))
    id_ = done.stdout.strip()
    # somebody else's manifest, under this id: what a copy beside it holds says nothing of its own
    other = tmp_path / f"third/catalog/h1/shop/{id_}.json"
    other.write_bytes(encode(replace(decode(other.read_bytes(), "third"), tool="lifeboat 0.0.1")))

    if by == "drill":
        assert host.told("--at", "disk", expected=1)["mark"] == "bad"
    else:
        content = ("--level", "content", "--identity", str(host.key))
        verified(host, id_, "--at", "disk", *content, expected=1)

    (copies,) = [
        one["copies"]
        for one in json.loads(host.lifeboat("list", "shop", "--json").stdout)
        if one["id"] == id_
    ]
    assert (copies["disk"], copies["second"]) == ("corrupt", "corrupt")
    assert copies["third"] == "intact"
    assert host.lifeboat("verify", id_, "--at", "second").returncode == 1


def test_bytes_that_go_wrong_while_they_are_read_say_nothing_of_the_content(
    host: DrillHost,
) -> None:
    id_ = host.run()
    # A fake: a disk that gives other bytes the second time.
    before = """
import lifeboat.operations.upkeep.verify as verify
from lifeboat.errors import VerifyError
def fetch(*given):
    raise VerifyError("its bytes are not those of its manifest")
verify.fetch = fetch
"""
    words = ("verify", id_, "--level", "content", "--identity", str(host.key))
    assert host.lifeboat(*words, before=before).returncode == 1
    assert host.state() == "corrupt"

    assert verified(host, id_)["state"] == "intact"
    assert host.state() == "intact"


def test_a_copy_without_what_describes_it_is_found(host: DrillHost) -> None:
    next(host.disk.glob("archives/*/*/*/RESTORE.md")).unlink()

    told = verified(host, "shop", "--level", "content", "--identity", str(host.key), expected=1)

    assert told["state"] == "corrupt"
    assert "RESTORE.md" in told["problem"]
