"""The role that dumps has what the dump takes and nothing else, and asking again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.model import Workspace
from lifeboat.sources.postgresql import role as postgresql_role

from .conftest import PASSWORD, Server, back_up, secret

ROLE = 'dump "er"'
QUOTED = '"dump ""er"""'


@pytest.fixture
def vault(server: Server) -> Iterator[str]:
    server.sql("CREATE DATABASE vault")
    server.sql("REVOKE CONNECT ON DATABASE vault FROM PUBLIC")
    server.sql("CREATE SCHEMA inner_one; CREATE TABLE inner_one.t AS SELECT 1 AS n", "vault")
    yield "vault"
    server.sql("DROP DATABASE vault WITH (FORCE)")
    server.sql(f"DROP ROLE IF EXISTS {QUOTED}")


def test_prepare_makes_a_role_that_can_dump_and_then_changes_nothing(
    server: Server, vault: str, work: Workspace, tmp_path: Path
) -> None:
    admin = server.source("vault", password=None)
    planned = admin.prepare(ROLE, dry_run=True)
    assert planned == [
        f"CREATE ROLE {QUOTED} LOGIN",
        f"ALTER ROLE {QUOTED} SET default_transaction_read_only = on",
        f'GRANT CONNECT ON DATABASE "vault" TO {QUOTED}',
        f"GRANT pg_read_all_data TO {QUOTED}",
    ]
    assert admin.prepare(ROLE, dry_run=True) == planned  # a dry run did nothing
    assert admin.prepare(ROLE) == planned
    assert admin.prepare(ROLE) == []
    source = server.source("vault", user=ROLE)
    source.check()
    assert back_up(source, work, tmp_path / "archives").record.totals["rows"] == 1
    with pytest.raises(AssertionError, match=r"read-only transaction|permission denied"):
        server.sql("INSERT INTO inner_one.t VALUES (2)", "vault", user=ROLE)


def test_prepare_adds_what_row_security_and_large_objects_take(
    server: Server, vault: str, work: Workspace, tmp_path: Path
) -> None:
    admin = server.source("vault")
    admin.prepare(ROLE)
    server.sql(
        "ALTER TABLE inner_one.t ENABLE ROW LEVEL SECURITY; SELECT lo_from_bytea(0, 'x')", "vault"
    )
    assert admin.prepare(ROLE) == [
        f"ALTER ROLE {QUOTED} BYPASSRLS",
        f'ALTER ROLE {QUOTED} IN DATABASE "vault" SET lo_compat_privileges = on',
    ]
    assert admin.prepare(ROLE) == []
    source = server.source("vault", user=ROLE)
    source.check()
    totals = back_up(source, work, tmp_path / "archives").record.totals
    assert (totals["rows"], totals["large_object_stores"]) == (1, 1)


def test_prepare_sets_a_password_once_and_never_shows_it(server: Server, vault: str) -> None:
    admin = server.source("vault", password=secret())
    server.sql("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()")
    told = admin.prepare(ROLE)
    assert told[-1] == f"ALTER ROLE {QUOTED} PASSWORD '***'"
    assert admin.prepare(ROLE) == []
    server.source("vault", host="127.0.0.1", user=ROLE, password=secret()).check()
    server.sql("ALTER SYSTEM RESET log_statement; SELECT pg_reload_conf()")
    assert PASSWORD not in (server.folder / "log").read_text()
    other = server.source("vault", password=secret("another"))
    assert other.prepare(ROLE, dry_run=True) == [f"ALTER ROLE {QUOTED} PASSWORD '***'"]


def test_prepare_grants_table_by_table_before_server_14(
    server: Server, vault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = postgresql_role._NEEDS.replace(">= 140000", ">= 990000")
    monkeypatch.setattr(postgresql_role, "_NEEDS", needs)
    admin = server.source("vault")
    assert f'GRANT SELECT ON ALL TABLES IN SCHEMA "inner_one" TO {QUOTED}' in admin.prepare(ROLE)
    assert admin.prepare(ROLE) == []
    server.source("vault", user=ROLE).check()
    server.sql("CREATE TABLE inner_one.later (n int)", "vault")
    assert len(admin.prepare(ROLE)) == 3
