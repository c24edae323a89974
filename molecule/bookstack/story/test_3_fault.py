"""The database does not let lifeboat in: people are told, nothing is left, and all is well afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable

from testinfra.host import Host

from tests.lab import stored, users
from tests.lab.guide import Guide
from tests.lab.hosts import on, wait_for
from tests.typed import blocks

MANUAL = "lifeboat-run@wiki:manual.service"


def heard(*words: str) -> Callable[[], bool]:
    """Whether a message with all these words has come to the channel."""

    def look() -> bool:
        lines = on("s3", "cat", "/srv/heard.jsonl").stdout.splitlines()
        return any(
            at == "discord.com" and all(one in body for one in words)
            for at, _where, body in map(json.loads, lines)
        )

    return look


def test_the_self_test_reaches_the_channel(guide: Guide) -> None:
    guide.on_host("wiki1", "Be told", user="wiki")
    assert heard("Nothing is wrong")()


def test_a_failure_is_told_and_leaves_nothing_behind(
    wiki1: Host, sql: Callable[[str], str]
) -> None:
    sql("ALTER USER bookstack ACCOUNT LOCK")
    users.systemctl("wiki1", "wiki", "start", MANUAL)
    result = users.systemctl("wiki1", "wiki", "show", "--value", "-p", "Result", MANUAL)
    assert result.stdout.strip() == "exit-code"
    assert wait_for(heard("wiki", "db"), 75), on("s3", "cat", "/srv/heard.jsonl").stdout
    assert wiki1.check_output("find /home/wiki/.local/state/lifeboat/spool -type f") == ""
    assert stored.unfinished("acme-wiki-backups") == []


def test_what_is_well_again_is_told_and_measured(wiki1: Host, sql: Callable[[str], str]) -> None:
    sql("ALTER USER bookstack ACCOUNT UNLOCK")
    assert users.systemctl("wiki1", "wiki", "start", MANUAL).returncode == 0
    assert wait_for(heard("recovered"), 75), on("s3", "cat", "/srv/heard.jsonl").stdout
    (name,) = wiki1.file("/srv/wiki-metrics").listdir()
    metrics = wiki1.file(f"/srv/wiki-metrics/{name}")
    assert 'job_name="wiki"' in metrics.content_string
    assert metrics.mode == 0o644


def test_no_block_of_the_guide_is_left_but_what_is_typed_elsewhere(guide: Guide) -> None:
    pulled = "By a push"  # in tests/integration/roles/test_pull.py
    assert guide.left() == blocks(guide.text, f"\n## {pulled}\n")
