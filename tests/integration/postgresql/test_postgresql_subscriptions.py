"""A subscription lives beside its database: no restore makes a second one, or leaves the old one pulling."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Swap, Workspace
from lifeboat.sources.postgresql.source import PostgreSQL

from .conftest import Backup, Server, back_up

SUBSCRIBED = """
CREATE TABLE item (id int PRIMARY KEY);
CREATE SUBSCRIPTION feed CONNECTION 'host={host} port={port} user=postgres dbname=origin password=S3CR3T'
  PUBLICATION all_items WITH (create_slot = false, slot_name = feed_slot);
"""


@pytest.fixture(scope="module")
def publisher(make_server: Callable[..., Server]) -> Server:
    server = make_server(settings=("wal_level=logical",))
    server.sql("CREATE DATABASE origin")
    server.sql(
        "CREATE TABLE item (id int PRIMARY KEY); CREATE PUBLICATION all_items FOR TABLE item;"
        "INSERT INTO item SELECT generate_series(1, 10)",
        "origin",
    )
    hba = server.data / "pg_hba.conf"
    hba.write_text("local all postgres trust\n" + hba.read_text())
    server.control("reload")
    return server


@pytest.fixture
def follower(publisher: Server, server: Server) -> Iterator[Server]:
    """A server whose database `feeding` has what the publisher has, and goes on having it."""
    publisher.sql("SELECT pg_create_logical_replication_slot('feed_slot', 'pgoutput')", "origin")
    server.sql("CREATE DATABASE feeding")
    server.sql(SUBSCRIBED.format(host=publisher.folder, port=publisher.port), "feeding")
    wait(server, "feeding", "SELECT count(*) >= 10 FROM item")
    yield server
    for name in server.databases():
        if name.startswith("feed"):
            if (
                server.sql(
                    "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM"
                    f" pg_database WHERE datname = '{name}')"
                )
                != "0"
            ):
                server.sql(LET_GO, name)
            server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    wait(publisher, "origin", "SELECT NOT bool_or(active) FROM pg_replication_slots")
    publisher.sql("SELECT pg_drop_replication_slot('feed_slot')", "origin")


LET_GO = """
ALTER SUBSCRIPTION feed DISABLE; ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed;
"""


def wait(server: Server, database: str, until: str) -> None:
    for _attempt in range(200):
        if server.sql(until, database) == "t":
            return
        time.sleep(0.1)
    raise AssertionError(until)


def subscriptions(server: Server) -> str:
    return server.sql(
        "SELECT datname, subname, subenabled FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid"
    )


def slots(publisher: Server) -> str:
    return publisher.sql("SELECT slot_name FROM pg_replication_slots")


def staged(source: PostgreSQL, backup: Backup, work: Workspace, into: str | None = None) -> Swap:
    swap = source.plan(backup.record, source.target(backup.record, into), "f0")
    source.stage(swap, backup.record, backup.plains, work)
    source.count(swap, work)
    return swap


def test_a_backup_says_that_it_has_subscriptions(
    follower: Server, work: Workspace, tmp_path: Path
) -> None:
    backup = back_up(follower.source("feeding"), work, tmp_path / "archives")
    (told,) = backup.warnings
    assert "the subscription feed" in told
    assert "S3CR3T" not in told
    assert "--no-subscriptions" in backup.by_hand["database"]


def test_a_copy_of_a_subscribed_database_takes_nothing_from_the_publisher(
    publisher: Server, follower: Server, work: Workspace, tmp_path: Path
) -> None:
    source = follower.source("feeding")
    backup = back_up(source, work, tmp_path / "archives")
    swap = staged(source, backup, work, "feed_copy")
    source.swap(swap)
    assert subscriptions(follower) == "feeding|feed|t"
    swap = staged(source, backup, work, "feed_other")
    source.discard(swap)
    assert swap.side not in follower.databases()
    assert slots(publisher) == "feed_slot"
    publisher.sql("INSERT INTO item VALUES (11)", "origin")
    wait(follower, "feeding", "SELECT count(*) = 11 FROM item")
    assert follower.sql("SELECT count(*) FROM item", "feed_copy") == "10"
    publisher.sql("DELETE FROM item WHERE id = 11", "origin")


@pytest.mark.parametrize("restorer", ["", "feed_owner"])
def test_a_restore_over_a_subscription_is_refused_with_what_to_type(
    publisher: Server, follower: Server, work: Workspace, tmp_path: Path, restorer: str
) -> None:
    backup = back_up(follower.source("feeding"), work, tmp_path / "archives")
    if restorer:
        follower.sql(
            f"CREATE ROLE {restorer} LOGIN CREATEDB; ALTER DATABASE feeding OWNER TO {restorer}"
        )
    try:
        source = follower.source("feeding", restore_user=restorer)
        (refused,) = (
            one for one in source.target(backup.record, None).refusals if "subscription" in one
        )
    finally:
        if restorer:
            follower.sql(f"ALTER DATABASE feeding OWNER TO postgres; DROP ROLE {restorer}")
    typed = re.search("`(.*)`", refused)
    assert typed is not None
    follower.sql(typed.group(1), "feeding")
    source = follower.source("feeding")
    assert source.target(backup.record, None).refusals == ()
    swap = staged(source, backup, work)
    source.swap(swap)
    source.discard(swap)
    assert subscriptions(follower) == ""
    assert slots(publisher) == "feed_slot"
    assert follower.sql("SELECT count(*) FROM item", "feeding") == "10"


def test_a_subscription_that_came_meanwhile_is_not_renamed_away(
    publisher: Server, follower: Server, work: Workspace, tmp_path: Path
) -> None:
    """Neither before the swap, nor before an undo: its database would go on pulling under another name."""
    source = follower.source("feeding")
    backup = back_up(source, work, tmp_path / "archives")
    follower.sql(LET_GO, "feeding")
    swap = staged(source, backup, work)
    anew = SUBSCRIBED.format(host=publisher.folder, port=publisher.port).split(";", 1)[1]
    anew = anew.replace("WITH (", "WITH (copy_data = false, ")
    follower.sql(anew, "feeding")
    with pytest.raises(SourceError, match="subscription feed"):
        source.swap(swap)
    assert not source.swapped(swap)
    assert subscriptions(follower) == "feeding|feed|t"
    follower.sql(LET_GO, "feeding")
    source.swap(swap)
    follower.sql(anew, "feeding")
    with pytest.raises(SourceError, match=r"subscription feed.*nothing was undone"):
        source.undoing(swap)
    follower.sql(LET_GO, "feeding")
    source.back(source.undoing(swap))
    source.discard(swap)
    assert slots(publisher) == "feed_slot"
