"""What the changelog is made of can be read: the judges say so too, minutes later and four times."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((ROOT / "changelogs" / "config.yaml").read_text(encoding="utf-8"))
KNOWN = {"release_summary", "trivial"} | {name for name, _title in CONFIG["sections"]}


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("changelogs/fragments/*.yml")), ids=lambda path: path.name
)
def test_each_fragment_is_sections_of_sentences(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 160  # as ansible-lint wants it
    told = yaml.safe_load(text)
    assert set(told) <= KNOWN
    for name, sentences in told.items():
        wanted = str if name == "release_summary" else list
        assert isinstance(sentences, wanted)
        assert all(isinstance(one, str) for one in sentences)
