# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at a terminal sees while a backup is verified or drilled."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host
from tests.typed import typed

_EACH_EVENT = "import lifeboat.cli.watch as watch; watch._SECONDS = 0.0"
_DRAWN = re.compile(r"\r\x1b\[K([^\r\n]*)")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With an archive of several megabytes that do not compress."""
    made = Host(tmp_path)
    made.fill(1000)
    (made.data / "papers").mkdir()
    (made.data / "papers" / "large").write_bytes(os.urandom(5 << 20))
    made.job["sources"]["papers"] = {"type": "files", "paths": [str(made.data / "papers")]}
    made.configure()
    made.run()
    return made


def drawn(host: Host, columns: int, *words: str, before: str = _EACH_EVENT) -> list[str]:
    """Every state of the line, on a terminal of that width, one after the other."""
    argv = host.argv(*words, before=before)
    code, said = typed(["bash", "-c", f'stty cols {columns}; exec "$@"', "typed", *argv], {})
    assert code == 0, said
    return _DRAWN.findall(said)


def test_verify_shows_how_far_an_archive_was_read(host: Host) -> None:
    lines = drawn(host, 120, "verify", "shop")
    large = [one for one in lines if "papers.tree" in one]
    assert re.match(
        r"\[#{4}\.{20}\]  20% verify papers\.tree\S+ at disk: 1\.0 MiB of 5\.0 MiB", large[1]
    )
    assert large[-1] == "verify papers.tree.tar.zst.age at disk: 5.0 MiB"


def test_verify_says_when_it_reads_the_content(host: Host) -> None:
    lines = drawn(host, 120, "verify", "shop", "--level", "content", "--identity", str(host.key))
    assert {"read db", "read papers"} <= set(lines)


def test_a_drill_shows_each_step_when_it_begins(host: Host) -> None:
    lines = drawn(host, 120, "drill", "shop", "--identity", str(host.key), before="")
    steps = [one.split(":")[0].split("% ")[-1].strip() for one in lines]
    order = ["fetch papers.tree.tar.zst.age from disk", "restore papers", "compare papers"]
    assert [one for one in dict.fromkeys(steps) if one in order] == order


@pytest.mark.parametrize("columns", [20, 60, 80])
def test_the_line_never_wraps(host: Host, columns: int) -> None:
    for words in (("verify", "shop"), ("drill", "shop", "--identity", str(host.key))):
        lines = drawn(host, columns, *words)
        running = [one for one in lines if "%" in one]
        assert running
        assert max(map(len, running)) < columns
