# SPDX-License-Identifier: GPL-3.0-or-later
"""Every block of commands in a guide is typed: by the story of its scenario, or by a test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.typed import blocks
from tests.unit.docs import markdown
from tests.unit.docs.markdown import ROOT

GUIDES = sorted(ROOT.glob("docs/guides/*.md"))
TYPED_BY = {"keys": "tests/integration/crypto/test_keys_guide.py"}  # it takes them all, in order


def story(guide: Path) -> str:
    """All that types the blocks of a guide."""
    own = ROOT / TYPED_BY.get(guide.stem, f"molecule/{guide.stem}/story")
    files = [own] if own.is_file() else sorted(own.glob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("guide", GUIDES, ids=markdown.name)
def test_somebody_types_every_block_of_a_guide(guide: Path) -> None:
    """By name of the heading; that no block below it is left out, the story says itself."""
    told = story(guide)
    assert told
    titles = {one.heading for one in markdown.blocks(guide, "sh")}
    assert titles
    assert guide.stem in TYPED_BY or [one for one in titles if f'"{one}"' not in told] == []


@pytest.mark.parametrize("guide", GUIDES, ids=markdown.name)
def test_a_guide_is_short_and_its_commands_are_marked_as_such(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert len(blocks(text)) == len(markdown.blocks(guide, "sh"))
