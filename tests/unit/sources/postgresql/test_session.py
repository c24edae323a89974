# SPDX-License-Identifier: GPL-3.0-or-later
"""A psql in a container that ends without a word: `exec` can lose the last ones, which no server stages."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.placement import HERE, Placement
from lifeboat.sources.postgresql.session import Access

RUNNING = json.dumps([{"State": {"Status": "running", "Running": True}}])
# Its psql answers each statement with the mark, once $SILENT starts of it have ended at once, and says
# which session it is.
PODMAN = f"""#!/bin/sh
case "$*" in
  *inspect*) echo '{RUNNING}'; exit ;;
esac
echo started >> $COUNTED
[ "$(wc -l < $COUNTED)" -le "$SILENT" ] && exit 2
exec sed -un -e "s/.*'lifeboat.session'.*/${{PGOPTIONS##*=}}/p" \
  -e 's/^.echo \\(--[0-9a-f]*\\) :SQLSTATE/\\1 00000/p' \
  -e 's/^.echo \\(--[0-9a-f]*\\)$/\\1/p'
"""


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each start of its psql is written down; $SILENT is how many of them end at once."""
    path = tmp_path / "podman"
    path.write_text(PODMAN)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    return tmp_path / "counted"


def access(placement: Placement, psql: str = "psql") -> Access:
    return Access("db", placement, "", 5432, "app", "", psql)


def test_a_session_in_a_container_that_ends_without_a_word_is_opened_once_more(
    podman: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILENT", "1")
    with access(Placement("podman", "shop")).session("shop") as session:
        assert session.ask("SELECT") == []
    assert len(podman.read_text().splitlines()) == 2


def test_one_that_stays_silent_is_told_with_its_status_and_the_containers_log(
    podman: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILENT", "9")
    with (
        pytest.raises(SourceError, match="psql ended with status 2 and said nothing") as told,
        access(Placement("podman", "shop")).session("shop"),
    ):
        pass
    assert told.value.hint == "see why: podman logs shop"
    assert len(podman.read_text().splitlines()) == 2


def test_one_that_ends_after_its_first_answers_is_not_opened_again(
    podman: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked in it may have been done."""
    monkeypatch.setenv("SILENT", "0")
    with (
        pytest.raises(SourceError, match="said nothing"),
        access(Placement("podman", "shop")).session("shop") as session,
    ):
        session.stop()
        session.ask("SELECT")
    assert len(podman.read_text().splitlines()) == 1


def test_a_psql_of_this_host_loses_no_words_and_is_not_opened_again(tmp_path: Path) -> None:
    psql = tmp_path / "psql"
    psql.write_text(f"#!/bin/sh\necho started >> {tmp_path}/counted\nexit 2\n")
    psql.chmod(0o755)
    with (
        pytest.raises(SourceError, match="status 2 and said nothing") as told,
        access(HERE, str(psql)).session("shop"),
    ):
        pass
    assert told.value.hint == "see why: in the server's log"
    assert (tmp_path / "counted").read_text() == "started\n"
