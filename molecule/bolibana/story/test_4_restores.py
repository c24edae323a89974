"""Everything, the database alone, the media alone: the application stops, starts, and works."""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab.bolibana import (
    UNITS,
    answers,
    instant,
    lose_rows,
    media,
    rows,
    units_since,
    upload,
)
from tests.lab.guide import Guide
from tests.lab.hosts import PHRASE, told

ONE_OF_THEM = "Restore only the database, or only the media"
STOPPED = [f"stop {one}" for one in UNITS]
STARTED = [f"start {one}" for one in reversed(UNITS)]


@pytest.fixture(scope="module")
def good(web1: Host) -> tuple[str, str, str]:
    """(id, rows, media) of the state that is to come back: nothing has changed since the newest."""
    return str(told("web1", "list", "bolibana")[0]["id"]), rows(web1), media(web1)


@pytest.fixture
def operator(guide: Guide) -> Path:
    return guide.home / "operator.secret.asc"


@pytest.fixture
def paper(guide: Guide) -> Path:
    """What is typed off the paper in the safe."""
    return guide.place / "keys" / "recovery.secret.asc"


def restored(guide: Guide, title: str, key: Path, number: int = 0) -> str:
    """Type the block, paste the key, type the phrase."""
    answer = {"paste the private key": key.read_text().strip(), f"type {PHRASE}": PHRASE}
    return guide.on_host("web1", title, number, answers=answer)


def test_everything_comes_back_and_the_application_works(
    web1: Host, guide: Guide, good: tuple[str, str, str], operator: Path
) -> None:
    id_, before, files = good
    lose_rows(web1, 10)
    web1.check_output("rm -r /srv/bolibana/media/scans; echo EXTRA=1 >>/etc/bolibana/environment")
    since = instant(web1)
    shown = restored(guide, "Restore everything", operator)
    assert f"restored {id_}" in shown
    assert "export: left out" in shown
    assert (rows(web1), media(web1)) == (before, files)
    assert not web1.file("/etc/bolibana/environment").contains("EXTRA=1")
    assert units_since(web1, since) == STOPPED + STARTED
    assert answers(4002)


def test_what_was_there_comes_back_by_undo(web1: Host, guide: Guide) -> None:
    guide.on_host("web1", "Restore everything", 1, answers={f"type {PHRASE}": PHRASE})
    assert not web1.file("/srv/bolibana/media/scans").exists
    assert web1.file("/etc/bolibana/environment").contains("EXTRA=1")
    assert answers(10)


def test_the_database_alone_leaves_the_media_as_they_are(
    web1: Host, guide: Guide, good: tuple[str, str, str], operator: Path
) -> None:
    there, since = media(web1), instant(web1)
    restored(guide, ONE_OF_THEM, operator)
    assert rows(web1) == good[1]
    assert media(web1) == there
    assert units_since(web1, since) == STOPPED + STARTED
    assert answers(4002)


def test_the_media_alone_leave_the_database_as_it_is_and_the_recovery_key_opens_them(
    web1: Host, guide: Guide, good: tuple[str, str, str], paper: Path
) -> None:
    upload("newer", "pages of copper")
    there, since = rows(web1), instant(web1)
    restored(guide, ONE_OF_THEM, paper, 1)
    assert rows(web1) == there
    assert media(web1) == good[2]
    assert units_since(web1, since) == STOPPED + STARTED
    guide.on_host("web1", "Restore everything", 2)  # let go of what was replaced
    assert told("web1", "recover") == []
