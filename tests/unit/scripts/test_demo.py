# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/demo says what it is, and does nothing when it is not understood."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.unit.docs.markdown import ROOT


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / "demo"), *words],
        env={"PATH": "/usr/bin:/bin", "HOME": os.devnull},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_printed_and_nothing_is_run(word: str) -> None:
    told = demo(word)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("demo -- lose a database and get it back")
    assert "set -euo" not in told.stdout


@pytest.mark.parametrize("words", [("--hlep",), ("now",), ("--quiet", "--help")])
def test_what_is_not_understood_is_one_clear_error(words: tuple[str, ...]) -> None:
    told = demo(*words)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.splitlines() == [
        f"demo: unknown argument '{words[0]}': it takes none but --help; nothing was done"
    ]
