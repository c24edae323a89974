"""A managed server: over the network only, as a role that may create databases and is no superuser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceAbsent, SourceError
from lifeboat.inventory import differences, read
from lifeboat.model import Workspace
from lifeboat.sources.postgresql.source import PostgreSQL

from .conftest import PASSWORD, Backup, Server, back_up, secret

APP = """
CREATE ROLE cloud LOGIN CREATEDB PASSWORD {password};
CREATE ROLE app_reader NOLOGIN;
CREATE DATABASE app OWNER cloud TEMPLATE template0;
ALTER DATABASE app SET work_mem = '9MB';
\\connect app
SET ROLE cloud;
CREATE EXTENSION pg_trgm;
CREATE TABLE note (id int PRIMARY KEY, text text);
INSERT INTO note SELECT n, 'note ' || n FROM generate_series(1, 300) n;
CREATE INDEX ON note USING gin (text gin_trgm_ops);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * n; END $$;
CREATE VIEW long AS SELECT * FROM note WHERE length(text) > 7;
GRANT SELECT ON note TO app_reader;
COMMENT ON DATABASE app IS 'of the cloud';
"""


def test_a_role_that_may_dump_and_not_restore_is_told_before_the_night(app: Server) -> None:
    assert managed(app).check()["warning"] == ""
    app.sql("ALTER ROLE cloud NOCREATEDB")
    told = managed(app).check()["warning"]
    assert told.startswith("a restore would be refused: the role cloud may not create databases")
    nobody = managed(app, restore_user="nobody", restore_password=secret())
    assert "a restore would be refused: " in nobody.check()["warning"]


@pytest.fixture
def app(server: Server) -> Iterator[Server]:
    clear(server)
    quoted = " E'" + PASSWORD.replace("\\", "\\\\").replace("'", "''") + "'"
    server.sql(APP.format(password=quoted))
    yield server
    clear(server)


def clear(server: Server) -> None:
    for name in server.databases():
        if name != "postgres" and name.startswith(("app", "other")):
            server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    for role in ("cloud", "app_reader", "stranger", "cloud2"):
        server.sql(f"DROP ROLE IF EXISTS {role}")


def managed(server: Server, database: str = "app", **options: Any) -> PostgreSQL:
    """As the configuration of a managed server has it. No peer login, no file of the server's."""
    options = {"user": "cloud", "password": secret(), **options}
    return PostgreSQL("db", database=database, host="127.0.0.1", port=server.port, **options)


@pytest.fixture
def backup(app: Server, work: Workspace, tmp_path: Path) -> Backup:
    return back_up(managed(app), work, tmp_path / "archives")


def restored(source: PostgreSQL, backup: Backup, work: Workspace, into: str | None = None) -> Any:
    target = source.target(backup.record, into)
    assert target.refusals == ()
    swap = source.plan(backup.record, target, "m1")
    source.stage(swap, backup.record, backup.plains, work)
    counted = source.count(swap, work)
    with open(counted.path, "rb") as found:
        lines = backup.inventory.splitlines(keepends=True)
        assert list(differences(read(lines), read(found))) == []
    source.swap(swap)
    assert source.swapped(swap)
    return swap


def test_it_is_replaced_and_put_back(app: Server, backup: Backup, work: Workspace) -> None:
    app.sql("DELETE FROM note WHERE id > 5", "app")
    source = managed(app)
    swap = restored(source, backup, work)
    assert app.sql("SELECT count(*), twice(21) FROM note", "app") == "300|42"
    assert app.sql("SHOW work_mem", "app") == "9MB"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"
    assert app.sql(owner) == "cloud"
    source.back(source.undoing(swap))
    assert app.sql("SELECT count(*) FROM note", "app") == "5"
    source.discard(swap)
    assert set(app.databases()) & {swap.side, swap.kept} == set()


def test_it_comes_back_under_another_name(app: Server, backup: Backup, work: Workspace) -> None:
    restored(managed(app), backup, work, "other")
    assert app.sql("SELECT count(*) FROM note", "other") == "300"
    assert app.sql("SELECT count(*) FROM note", "app") == "300"


def test_other_credentials_restore_than_dump(app: Server, backup: Backup, work: Workspace) -> None:
    app.sql("CREATE ROLE cloud2 LOGIN CREATEDB IN ROLE cloud")
    app.sql("ALTER ROLE cloud2 PASSWORD 'x y'")
    source = managed(app, restore_user="cloud2", restore_password=secret("x y"))
    app.sql("DROP DATABASE app WITH (FORCE)")
    restored(source, backup, work)
    assert app.sql("SELECT count(*) FROM note", "app") == "300"


def _no_databases(server: Server) -> None:
    server.sql("ALTER ROLE cloud NOCREATEDB")


def _owned_by_a_stranger(server: Server) -> None:
    server.sql("CREATE ROLE stranger; DROP DATABASE app; CREATE DATABASE app OWNER stranger")


def _role_gone(server: Server) -> None:
    server.sql("REVOKE SELECT ON note FROM app_reader; DROP ROLE app_reader", "app")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_databases, "the role cloud may not create databases"),
        (_owned_by_a_stranger, "cloud does not own database app"),
        (_role_gone, "the roles app_reader are missing, and cloud may not create any"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    app: Server, backup: Backup, spoil: Callable[[Server], None], said: str
) -> None:
    spoil(app)
    assert said in " ".join(managed(app).target(backup.record, None).refusals)


def test_owners_that_are_not_ours_are_named(app: Server, backup: Backup) -> None:
    app.sql("CREATE ROLE stranger")
    facts = {**backup.record.facts, "owners": ["cloud", "stranger"]}
    record = replace(backup.record, facts=facts)
    refusals = " ".join(managed(app).target(record, None).refusals)
    assert "cloud is not a member of stranger, who own what is restored" in refusals


def test_sessions_of_others_that_may_not_be_ended_leave_the_old_state(
    app: Server, backup: Backup, work: Workspace
) -> None:
    """The superuser's session is not ours to end: nothing is renamed, and it is said."""
    source = managed(app)
    swap = source.plan(backup.record, source.target(backup.record, None), "m2")
    source.stage(swap, backup.record, backup.plains, work)
    other = app.psql("app")
    other.stdin.write(b"SELECT 1;\n")
    assert other.stdout.readline() == b"1\n"
    try:
        with pytest.raises(SourceError, match="'app' is in use by sessions that are not ours"):
            source.swap(swap)
    finally:
        other.communicate(b"\\q\n", timeout=30)
    assert not source.swapped(swap)
    source.discard(swap)
    assert "app" in app.databases()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user do it")
def test_a_host_without_a_server_s_user_has_no_such_source_yet() -> None:
    source = PostgreSQL("db", database="app", admin_os_user="no-such-user")
    with pytest.raises(SourceAbsent, match="there is no user no-such-user on this host"):
        source.prepare("lifeboat")
