"""What a database, a role or a server is set to does not change what comes back, nor who we are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.model import Swap, Workspace
from lifeboat.sources.postgresql.source import PostgreSQL

from .conftest import Backup, Server, back_up


def restored(source: PostgreSQL, backup: Backup, work: Workspace) -> Swap:
    target = source.target(backup.record, None)
    assert target.refusals == ()
    swap = source.plan(backup.record, target, "s0")
    source.stage(swap, backup.record, backup.plains, work)
    source.count(swap, work)
    source.swap(swap)
    source.discard(swap)
    return swap


MONEY = """
CREATE DOMAIN price AS money;
CREATE TABLE t (a money DEFAULT '{one}', b money[], c price);
INSERT INTO t VALUES ('{one}', ARRAY['{one}'::money, NULL], '-{one}');
"""
CENTS = "SELECT encode(cash_send(a), 'hex'), encode(cash_send(b[1]), 'hex'), encode(cash_send(c), 'hex') FROM t"


@pytest.mark.parametrize("locale", ["es_CL", "de_DE"])
def test_money_comes_back_as_the_same_amount_on_a_server_of_another_country(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path, locale: str
) -> None:
    """In Chile `$ 12,34` is what C reads as $1,234.00."""
    there = make_server(locales=("es_CL", "de_DE"), settings=(f"lc_monetary={locale}.UTF-8",))
    here = make_server(locales=("es_CL", "de_DE"), settings=("lc_monetary=C",))
    there.sql("CREATE DATABASE till")
    there.sql(MONEY.format(one="12,34"), "till")
    shown = "SELECT * FROM t"
    backup = back_up(there.source("till"), work, tmp_path / "archives")
    restored(here.source("till"), backup, work)
    assert here.sql(CENTS, "till") == there.sql(CENTS, "till")
    assert here.sql(shown, "till") == there.sql(shown, "till")
    here.sql("INSERT INTO t DEFAULT VALUES", "till")
    assert here.sql("SELECT count(DISTINCT a) FROM t", "till") == "1"


def test_money_of_a_locale_that_the_server_lacks_is_refused(
    make_server: Callable[..., Server], server: Server, work: Workspace, tmp_path: Path
) -> None:
    there = make_server(locales=("es_CL",), settings=("lc_monetary=es_CL.UTF-8",))
    there.sql("CREATE DATABASE till")
    there.sql(MONEY.format(one="1234"), "till")
    backup = back_up(there.source("till"), work, tmp_path / "archives")
    (refused,) = server.source("till").target(backup.record, None).refusals
    assert "es_CL.UTF-8" in refused
    there.sql("DROP TABLE t", "till")
    backup = back_up(there.source("till"), work, tmp_path / "archives")
    assert server.source("till").target(backup.record, None).refusals == ()


def test_money_of_a_locale_that_writes_it_alike_is_taken(
    make_server: Callable[..., Server], server: Server, work: Workspace, tmp_path: Path
) -> None:
    """As a drill's own server does, which knows no locale but C."""
    there = make_server(locales=("en_US",), settings=("lc_monetary=en_US.UTF-8",))
    there.sql("CREATE DATABASE till")
    there.sql(MONEY.format(one="1234.56"), "till")
    backup = back_up(there.source("till"), work, tmp_path / "archives")
    try:
        restored(server.source("till"), backup, work)
        assert server.sql(CENTS, "till") == there.sql(CENTS, "till")
    finally:
        server.sql("DROP DATABASE IF EXISTS till WITH (FORCE)")
