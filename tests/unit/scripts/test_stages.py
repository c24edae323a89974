"""Stories and judges run side by side, and none hides what another says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import stages  # noqa: E402

STORY = """#!/bin/sh
echo "$1 begins"
echo "$1 $2 ${LIFEBOAT_PATIENCE:-1}" >> ran
case $1 in
  left) other=right ;;
  right) other=left ;;
  *) echo "$1 is broken"; exit 3 ;;
esac
for second in 1 2 3 4 5 6 7 8 9 10; do
  ! grep -q "^$other " ran || { echo "$1 met $other"; exit 0; }
  sleep 1
done
exit 4
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "molecule"
    script.write_text(STORY)
    script.chmod(0o755)
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    monkeypatch.setattr(stages, "RESULTS", [])
    monkeypatch.setattr(stages, "cannot_boot_hosts", lambda: None)
    monkeypatch.delenv("LIFEBOAT_PATIENCE", raising=False)
    return tmp_path


def scenario(checkout: Path, name: str, budget: int, suites: str) -> None:
    folder = checkout / "molecule" / name
    folder.mkdir(parents=True)
    (folder / "molecule.yml").touch()
    (folder / "budget").write_text(f"{budget}\n")
    (folder / "suites").write_text(f"{suites}\n")


def test_stories_run_side_by_side_and_each_is_counted(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario(checkout, "left", 5, "bookworm")
    scenario(checkout, "right", 5, "trixie")
    scenario(checkout, "broken", 5, "trixie")

    counts = list(stages.molecule(nightly=False))

    assert [(count.passed, count.failed) for count in counts] == [(1, 0), (0, 1), (1, 0)]
    assert sorted((checkout / "ran").read_text().splitlines()) == [
        "broken trixie 3",
        "left bookworm 3",
        "right trixie 3",
    ]
    said = capfd.readouterr().out
    assert "left begins\nleft met right\nmolecule:left on bookworm: passed" in said
    assert (
        "broken begins\nbroken is broken\nmolecule:broken on trixie: FAILED with status 3" in said
    )
    assert sorted(name for name, _verdict, _seconds in stages.RESULTS) == [
        "molecule:broken on trixie",
        "molecule:left on bookworm",
        "molecule:right on trixie",
    ]


def test_a_story_that_goes_without_mongodb_is_a_skip(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    scenario(checkout, "left", 5, "bookworm")
    (checkout / "molecule/left/prepare.yml").write_text("{{ lookup('env', 'LIFEBOAT_FERRETDB') }}")
    (checkout / "tests/lab").mkdir(parents=True)
    for name, status in (("ferretdb", 0), ("mongo-tools", 1)):
        (checkout / "tests/lab" / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (checkout / "tests/lab" / name).chmod(0o755)

    first = next(iter(stages.molecule(nightly=False)))

    assert (first.skipped, first.passed, first.failed) == (1, 0, 0)
    assert "mongo-tools cannot be built" in capfd.readouterr().out


def test_at_night_each_release_comes_after_the_other_the_longest_first(checkout: Path) -> None:
    scenario(checkout, "short", 5, "trixie")
    scenario(checkout, "long", 8, "trixie")

    assert stages.stories_of(nightly=False) == [("long", "trixie"), ("short", "trixie")]
    assert stages.stories_of(nightly=True) == [
        ("long", "bookworm"),
        ("short", "bookworm"),
        ("long", "trixie"),
        ("short", "trixie"),
    ]


def test_the_judges_sit_while_the_stories_are_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario(checkout, "left", 5, "bookworm")
    judge = checkout / "scripts" / "judges"
    judge.write_text('#!/bin/sh\nexec "${0%/*}/molecule" right\n')
    judge.chmod(0o755)
    monkeypatch.setattr(stages, "JUDGES", ("docs",))
    monkeypatch.setattr(stages, "choose_s3", lambda: None)

    assert stages.main(["judges", "molecule"]) == 0

    said = capfd.readouterr().out
    assert "right met left\njudge docs: passed" in said
    assert "left met right\nmolecule:left on bookworm: passed" in said
    assert said.endswith("lifeboat: 2 passed, 0 failed, 0 skipped\n")
