"""The newest backup is bad, in both ways that there are: the last good one is what a restore takes."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.lab import stored
from tests.lab.bolibana import lose_rows
from tests.lab.guide import Guide
from tests.lab.hosts import lifeboat, on, told

TREES = ("/var/backups/lifeboat", "/mnt/external")
DAMAGE = """
set -e
for path in {tree}/archives/web1/bolibana/{id}/db.database*; do
  cp "$path" /srv/damaged
  printf x | dd of=/srv/damaged bs=1 seek=99 conv=notrunc status=none
  rm "$path"
  install -o lifeboat -g lifeboat -m 0640 /srv/damaged "$path"
done
"""


@pytest.fixture(scope="module")
def good() -> str:
    return str(told("web1", "run", "bolibana")["id"])


def chosen() -> str:
    return str(told("web1", "restore", "bolibana", "--dry-run")["id"])


def copies(id_: str) -> dict[str, str]:
    return next(one["copies"] for one in told("web1", "list", "bolibana") if one["id"] == id_)


def test_copies_that_are_damaged_are_found_and_a_whole_one_is_taken(
    guide: Guide, good: str
) -> None:
    for tree in TREES:
        ran = on("web1", "sh", "-c", DAMAGE.format(tree=tree, id=good))
        assert ran.returncode == 0, ran.stderr
    shown = guide.on_host("web1", "When the newest backup is bad", codes=(1,))
    assert "corrupt" in shown
    assert copies(good) == {"disk": "corrupt", "external": "corrupt", "offsite": "intact"}
    assert chosen() == good


def test_where_no_whole_copy_is_left_the_last_good_backup_is_taken(good: str) -> None:
    older = next(one["id"] for one in told("web1", "list", "bolibana") if one["id"] < good)
    lost = f"archives/web1/bolibana/{good}/db.database"
    assert stored.remove("bolibana-backups", lost) == 1
    assert lifeboat("web1", "verify", good).returncode == 1
    assert chosen() == older


def test_data_that_was_damaged_before_is_suspect_and_the_last_good_backup_is_taken(
    web1: Host, guide: Guide
) -> None:
    before = chosen()
    lose_rows(web1, 5)
    suspect = told("web1", "run", "bolibana")["id"]
    shown = guide.on_host("web1", "When the newest backup is bad", 1)
    assert f"from backup {before}" in shown
    assert "suspect" in copies(suspect).values()
    assert all(one["expired"] == [] for one in told("web1", "prune", "bolibana"))
