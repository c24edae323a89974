"""What comes back from a PostgreSQL backup is the database that was: everything, or an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lifeboat.errors import SourceError, UsageError, VerifyError
from lifeboat.inventory import differences, read
from lifeboat.model import Swap, Workspace
from lifeboat.sources.postgresql import parallel as postgresql_parallel
from lifeboat.sources.postgresql.source import PostgreSQL

from .conftest import Backup, FilePlain, Server, back_up

SHOP = r'''
CREATE ROLE shop_owner LOGIN PASSWORD 'owner';
CREATE ROLE "Second ""Owner""" NOLOGIN;
CREATE ROLE shop_reader LOGIN CONNECTION LIMIT 7 PASSWORD 'rea''d\er';
CREATE ROLE shop_group NOLOGIN;
CREATE ROLE shop_member LOGIN IN ROLE shop_group;
COMMENT ON ROLE shop_reader IS 'reads;
 nothing else';
ALTER ROLE shop_reader SET work_mem = '5MB';
CREATE DATABASE shop OWNER shop_owner ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'
  TEMPLATE template0 CONNECTION LIMIT 33;
COMMENT ON DATABASE shop IS 'it''s "the" shop\';
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO shop_reader WITH GRANT OPTION;
ALTER DATABASE shop SET search_path = "$user", public, "odd, one";
ALTER DATABASE shop SET my.setting = 'it''s';
ALTER ROLE shop_reader IN DATABASE shop SET statement_timeout = '90s';
\connect shop
CREATE EXTENSION pg_trgm;
CREATE SCHEMA "odd, one" AUTHORIZATION "Second ""Owner""";
CREATE TABLE public.book (id serial PRIMARY KEY, title text NOT NULL, at timestamptz DEFAULT now());
ALTER TABLE public.book OWNER TO shop_owner;
INSERT INTO public.book (title) SELECT 'book ' || n FROM generate_series(1, 500) n;
CREATE INDEX ON public.book USING gin (title gin_trgm_ops);
CREATE TABLE "odd, one"."ta""ble
two" (x int, y text);
ALTER TABLE "odd, one"."ta""ble
two" OWNER TO "Second ""Owner""";
INSERT INTO "odd, one"."ta""ble
two" VALUES (1, E'tab\t newline\n \\ é'), (2, NULL);
CREATE TABLE public.part (k int, v int) PARTITION BY RANGE (k);
CREATE TABLE public.part_low PARTITION OF public.part FOR VALUES FROM (0) TO (10);
CREATE TABLE public.part_high PARTITION OF public.part FOR VALUES FROM (10) TO (100);
INSERT INTO public.part SELECT n, n FROM generate_series(0, 29) n;
CREATE TABLE public.parent (a int); CREATE TABLE public.child () INHERITS (public.parent);
INSERT INTO public.parent VALUES (1); INSERT INTO public.child VALUES (2), (3);
CREATE MATERIALIZED VIEW public.titles AS SELECT title FROM public.book;
CREATE MATERIALIZED VIEW public.never AS SELECT 1 AS one WITH NO DATA;
CREATE VIEW public.recent AS SELECT * FROM public.book WHERE at > now() - interval '1 day';
CREATE SEQUENCE public.counter START 1000; SELECT nextval('public.counter'), nextval('public.counter');
CREATE TABLE public.secret_row (who text, what text);
ALTER TABLE public.secret_row ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.secret_row TO shop_group USING (who = current_user);
INSERT INTO public.secret_row VALUES ('a', '1'), ('b', '2');
GRANT SELECT ON public.secret_row TO shop_group;
SELECT lo_from_bytea(0, 'large object one'), lo_from_bytea(0, 'two');
GRANT SELECT ON public.book TO shop_reader;
'''

# Everything about the database that a user could notice, as text.
LOOK = r"""
SELECT 'database', pg_get_userbyid(datdba), encoding, datcollate, datctype, datconnlimit,
       (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a),
       shobj_description(oid, 'pg_database')
  FROM pg_database WHERE datname = current_database();
SELECT 'setting', setrole::regrole, setconfig FROM pg_db_role_setting s JOIN pg_database d
  ON d.oid = s.setdatabase WHERE datname = current_database() ORDER BY setrole::regrole::text;
SELECT 'relation', n.nspname, relname, relkind, pg_get_userbyid(relowner), relacl, relrowsecurity
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE c.oid >= 16384 AND nspname !~ '^pg_' ORDER BY 2, 3;
SELECT 'extension', extname, extversion FROM pg_extension ORDER BY 2;
SELECT 'book', * FROM public.book ORDER BY id;
SELECT 'odd', * FROM "odd, one"."ta""ble
two" ORDER BY x;
SELECT 'part', * FROM public.part ORDER BY k;
SELECT 'family', tableoid::regclass, a FROM public.parent ORDER BY a;
SELECT 'sequence', schemaname, sequencename, last_value FROM pg_sequences ORDER BY 2, 3;
SELECT 'matview', count(*) FROM public.titles;
SELECT 'policy', policyname, roles, qual FROM pg_policies;
SELECT 'secret', * FROM public.secret_row ORDER BY who;
SELECT 'large', oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid;
SHOW search_path; SHOW my.setting;
"""
ROLES = """
SELECT a.rolname, a.rolcanlogin, a.rolconnlimit, r.rolconfig, a.rolpassword, shobj_description(a.oid, 'pg_authid')
  FROM pg_authid a JOIN pg_roles r USING (oid) WHERE a.rolname ~ 'shop|Second' ORDER BY 1;
SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member > 16384 ORDER BY 1, 2;
"""
MAPPING = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER abroad FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'elsewhere');
CREATE USER MAPPING FOR shop_owner SERVER abroad OPTIONS (user 'me', password 'abroad');
"""
DROP_ROLES = '''
DROP ROLE IF EXISTS shop_owner, "Second ""Owner""", shop_reader, shop_group, shop_member;
'''


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """The database `shop` with everything in it; yields what it looks like."""
    server.sql(SHOP)
    yield server.sql(LOOK, "shop")
    for database in server.databases():
        if database != "postgres":
            server.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
    server.sql(DROP_ROLES)


@pytest.fixture
def backup(server: Server, shop: str, work: Workspace, tmp_path: Path) -> Backup:
    return back_up(server.source(), work, tmp_path / "archives")


def entries(backup: Backup) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in backup.inventory.splitlines()]
    return {f"{one['kind']} {one['name']}": one for one in lines}


def test_the_inventory_counts_every_object_once(backup: Backup) -> None:
    found = entries(backup)
    assert found["table public.book"]["rows"] == 500
    assert found['table "odd, one"."ta""ble\ntwo"']["rows"] == 2
    assert found["table public.part_low"]["rows"] == 10
    assert found["table public.parent"]["rows"] == 1
    assert found["table public.secret_row"]["rows"] == 2
    assert "rows" not in found["partitioned_table public.part"]
    assert found["sequence public.counter"]["last_value"] == 1001
    assert found["large_object_store all"]["large_objects"] == 2
    assert "rows" not in found["materialized_view public.titles"]
    assert backup.record.totals["rows"] == 500 + 2 + 30 + 3 + 2
    assert "uncounted" not in backup.record.totals


def test_a_destroyed_database_comes_back_with_its_roles(
    server: Server, shop: str, backup: Backup, work: Workspace
) -> None:
    roles = server.sql(ROLES)
    server.sql("DROP DATABASE shop")
    server.sql(DROP_ROLES)
    source = server.source()
    target = source.target(backup.record, None)
    assert (target.exists, target.refusals) == (False, ())
    swap = source.plan(backup.record, target, "t1")
    source.stage(swap, backup.record, backup.plains, work)
    counted = source.count(swap, work).path.read_bytes()
    assert differences(read(backup.inventory.splitlines()), read(counted.splitlines())) == []
    assert not source.swapped(swap)
    source.swap(swap)
    assert source.swapped(swap)
    assert server.sql(LOOK, "shop") == shop
    assert server.sql(ROLES) == roles


@pytest.mark.parametrize("dumped_by", [1, 3])
@pytest.mark.parametrize("restored_by", [1, 3])
def test_several_connections_bring_back_the_same(
    server: Server, shop: str, work: Workspace, tmp_path: Path, dumped_by: int, restored_by: int
) -> None:
    backup = back_up(server.source(parallel=dumped_by), work, tmp_path / "archives")
    source = server.source(parallel=restored_by)
    source.check_content(backup.plains, work)
    server.sql("DROP DATABASE shop")
    swap = source.plan(backup.record, source.target(backup.record, None), "tp")
    source.stage(swap, backup.record, backup.plains, work)
    counted = source.count(swap, work).path.read_bytes()
    assert differences(read(backup.inventory.splitlines()), read(counted.splitlines())) == []
    source.swap(swap)
    assert server.sql(LOOK, "shop") == shop
    left = [path.name for path in work.bulk.iterdir() if not path.name.endswith(".jsonl")]
    assert left == []


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.99, 0.99999])
def test_a_directory_that_was_cut_off_is_refused(
    server: Server, shop: str, work: Workspace, tmp_path: Path, share: float
) -> None:
    source = server.source(parallel=2)
    backup = back_up(source, work, tmp_path / "archives")
    archive = tmp_path / "archives" / "database"
    os.truncate(archive, int(archive.stat().st_size * share))
    with pytest.raises((SourceError, VerifyError)):
        source.check_content(backup.plains, work)


def test_a_member_that_pg_dump_does_not_write_is_refused(
    server: Server, shop: str, work: Workspace, tmp_path: Path
) -> None:
    source = server.source(parallel=2)
    backup = back_up(source, work, tmp_path / "archives")
    with tarfile.open(tmp_path / "archives" / "database", "w") as archive:
        planted = tarfile.TarInfo("./../outside.dat")
        archive.addfile(planted)
    with pytest.raises(VerifyError, match="outside"):
        source.check_content(backup.plains, work)
    assert not (work.bulk / "outside.dat").exists()


def test_a_full_disk_is_told_before_a_parallel_dump(
    server: Server, shop: str, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_parallel, "free_bytes", lambda _path: 1000)
    with (
        server.source(parallel=2).open(work) as dump,
        pytest.raises(SourceError, match="`parallel` needs"),
    ):
        next(iter(dump.streams()))


def test_user_mappings_come_back_and_hidden_ones_are_told(
    server: Server, shop: str, work: Workspace, tmp_path: Path
) -> None:
    server.sql(MAPPING, "shop")
    whole = back_up(server.source(), work, tmp_path / "archives")
    source = server.source()
    swap = source.plan(whole.record, source.target(whole.record, None), "tm")
    source.stage(swap, whole.record, whole.plains, work)
    look = "SELECT srvname, umoptions FROM pg_user_mappings"
    assert "password=abroad" in server.sql(look, swap.side)
    source.discard(swap)

    server.sql("CREATE ROLE dump_only LOGIN; GRANT pg_read_all_data TO dump_only")
    server.sql("GRANT CONNECT ON DATABASE shop TO dump_only; ALTER ROLE dump_only BYPASSRLS")
    server.sql("ALTER ROLE dump_only IN DATABASE shop SET lo_compat_privileges = on")
    less = back_up(server.source(user="dump_only"), work, tmp_path / "less")
    server.sql("REVOKE ALL ON DATABASE shop FROM dump_only; DROP OWNED BY dump_only")
    server.sql("REVOKE pg_read_all_data FROM dump_only; DROP ROLE dump_only")
    assert any("options of 1 user mappings" in one for one in less.warnings)
    assert not any("user mappings" in one for one in whole.warnings)


def test_bytes_of_no_encoding_come_back(server: Server, work: Workspace, tmp_path: Path) -> None:
    """What an old cluster made in the C locale holds: SQL_ASCII, with whatever applications wrote."""
    like = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    server.sql(f"CREATE DATABASE raw {like}")
    try:
        server.sql(
            "CREATE TABLE word (a text); SET client_encoding = 'SQL_ASCII';"
            r"INSERT INTO word VALUES (E'caf\351'), ('größe')",
            "raw",
        )
        shown = "SELECT string_agg(encode(convert_to(a, 'SQL_ASCII'), 'hex'), ' ') FROM word"
        before = server.sql(shown, "raw")
        assert "636166e9" in before
        source = server.source("raw")
        backup = back_up(source, work, tmp_path / "archives")
        swap = source.plan(backup.record, source.target(backup.record, None), "t0")
        source.stage(swap, backup.record, backup.plains, work)
        source.swap(swap)
        assert server.sql(shown, "raw") == before
        source.discard(swap)
    finally:
        server.sql("DROP DATABASE raw WITH (FORCE)")


def test_a_null_in_an_array_is_one_whatever_the_database_is_set_to(
    server: Server, work: Workspace, tmp_path: Path
) -> None:
    server.sql("CREATE DATABASE nulls")
    try:
        server.sql(
            "CREATE TABLE t (a text[], b text[] DEFAULT '{NULL,x}'); INSERT INTO t VALUES (ARRAY[NULL, 'NULL']);"
            "ALTER DATABASE nulls SET array_nulls = off",
            "nulls",
        )
        shown = "SET array_nulls = on; INSERT INTO t VALUES ('{}'); SELECT a, b FROM t ORDER BY 1"
        source = server.source("nulls")
        backup = back_up(source, work, tmp_path / "archives")
        before = server.sql(shown, "nulls")
        assert '{NULL,"NULL"}' in before
        swap = source.plan(backup.record, source.target(backup.record, None), "t0")
        source.stage(swap, backup.record, backup.plains, work)
        source.swap(swap)
        source.discard(swap)
        assert server.sql(shown, "nulls") == before
        assert server.sql("SHOW array_nulls", "nulls") == "off"
    finally:
        server.sql("DROP DATABASE nulls WITH (FORCE)")


def test_an_event_trigger_that_forbids_everything_does_not_forbid_a_restore(
    server: Server, work: Workspace, tmp_path: Path
) -> None:
    server.sql("CREATE DATABASE closed")
    try:
        server.sql(
            "CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW m AS SELECT * FROM t;"
            "CREATE TABLE child (a int); CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$;"
            "CREATE EVENT TRIGGER a ON ddl_command_start EXECUTE FUNCTION no();"
            "CREATE EVENT TRIGGER b ON sql_drop EXECUTE FUNCTION no()",
            "closed",
        )
        source = server.source("closed")
        backup = back_up(source, work, tmp_path / "archives")
        swap = source.plan(backup.record, source.target(backup.record, None), "t0")
        source.stage(swap, backup.record, backup.plains, work)
        source.swap(swap)
        source.discard(swap)
        shown = "SELECT a, (SELECT string_agg(evtname::text || evtenabled::text, '') FROM pg_event_trigger) FROM m"
        assert server.sql(shown, "closed") == "1|aObO"
        assert server.sql("SHOW session_replication_role", "closed") == "origin"
    finally:
        server.sql("DROP DATABASE closed WITH (FORCE)")


def test_an_event_trigger_that_no_setting_quiets_is_told_at_the_backup(
    server: Server, work: Workspace, tmp_path: Path
) -> None:
    server.sql("CREATE DATABASE closed")
    try:
        server.sql(
            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE FUNCTION no() RETURNS event_trigger"
            " LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$;"
            "CREATE EVENT TRIGGER gate ON ddl_command_start EXECUTE FUNCTION no();",
            "closed",
        )
        assert back_up(server.source("closed"), work, tmp_path / "quiet").warnings == ()
        server.sql("ALTER EVENT TRIGGER gate ENABLE ALWAYS", "closed")
        told = back_up(server.source("closed"), work, tmp_path / "always").warnings
        recent = server.sql("SELECT current_setting('server_version_num')::int >= 170000") == "t"
        assert [one for one in told if "event trigger gate fires ALWAYS" in one] != [] or recent
    finally:
        server.sql("DROP DATABASE closed WITH (FORCE)")


def test_swap_back_and_discard_are_idempotent_and_read_the_world(
    server: Server, backup: Backup, work: Workspace
) -> None:
    server.sql("DELETE FROM public.book WHERE id > 3", "shop")
    source = server.source()
    target = source.target(backup.record, None)
    assert target.exists
    assert target.totals == {"tables": 7, "rows": 40}
    assert len(target.tables) == 7
    assert "public.book" in target.tables
    swap = source.plan(backup.record, target, "t2")
    source.stage(swap, backup.record, backup.plains, work)
    assert not source.swapped(swap)

    source.swap(swap)
    source.swap(swap)
    assert source.swapped(swap)
    assert server.sql("SELECT count(*) FROM public.book", "shop") == "500"
    assert server.sql("SELECT count(*) FROM public.book", swap.kept) == "3"
    assert set(server.databases()) == {"postgres", "shop", swap.kept}

    source.back(swap)
    source.back(swap)
    assert not source.swapped(swap)
    assert server.sql("SELECT count(*) FROM public.book", "shop") == "3"
    assert set(server.databases()) == {"postgres", "shop", swap.side}

    source.swap(swap)
    source.discard(swap)
    source.discard(swap)
    assert source.swapped(swap)
    assert set(server.databases()) == {"postgres", "shop"}
    assert server.sql("SELECT count(*) FROM public.book", "shop") == "500"


def test_swap_ends_sessions_that_come_back_at_once(
    server: Server, backup: Backup, work: Workspace
) -> None:
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t3")
    source.stage(swap, backup.record, backup.plains, work)
    script = f"until [ -e {work.bulk}/stop ]; do psql -X -qAtc 'SELECT pg_sleep(8)' shop; done"
    clients = [
        subprocess.Popen(
            ["sh", "-c", script],
            env=server.environment("shop_owner"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _each in range(3)
    ]
    time.sleep(0.5)
    began = time.monotonic()
    try:
        source.swap(swap)
        assert time.monotonic() - began < 5
    finally:
        (work.bulk / "stop").touch()
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop_owner'"
        )
        for client in clients:
            client.wait(30)
    assert source.swapped(swap)
    source.discard(swap)


def test_a_database_that_cannot_be_renamed_stays_as_it_was(
    server: Server, shop: str, backup: Backup, work: Workspace
) -> None:
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t4")
    source.stage(swap, backup.record, backup.plains, work)
    server.sql(f'DROP DATABASE "{swap.side}"')  # the first rename is possible, the second is not
    with pytest.raises(SourceError, match="does not exist"):
        source.swap(swap)
    assert not source.swapped(swap)
    assert server.sql(LOOK, "shop") == shop
    source.discard(swap)
    assert set(server.databases()) == {"postgres", "shop"}


@pytest.mark.parametrize("gone", ["target", "kept"])
def test_an_undo_without_one_of_its_databases_is_refused(
    server: Server, backup: Backup, work: Workspace, gone: str
) -> None:
    server.sql("DELETE FROM public.book WHERE id > 3", "shop")
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t6")
    source.stage(swap, backup.record, backup.plains, work)
    source.swap(swap)
    assert source.undoing(swap) == swap
    name = getattr(swap, gone)
    server.sql(f"DROP DATABASE {name}")
    with pytest.raises(SourceError, match=f"{name}' is not there any more, so nothing was undone"):
        source.undoing(swap)
    if gone == "target":
        server.sql("CREATE DATABASE shop")
        source.back(source.undoing(swap))
        assert server.sql("SELECT count(*) FROM public.book", "shop") == "3"


def test_the_kept_database_is_not_discarded_when_it_is_the_last(
    server: Server, backup: Backup, work: Workspace
) -> None:
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t5")
    source.stage(swap, backup.record, backup.plains, work)
    source.swap(swap)
    server.sql("DROP DATABASE shop")
    with pytest.raises(SourceError, match="last of it"):
        source.discard(swap)
    assert swap.kept in server.databases()


def test_a_failed_stage_leaves_nothing_after_discard(
    server: Server, shop: str, backup: Backup, work: Workspace, tmp_path: Path
) -> None:
    whole = (tmp_path / "archives" / "database").read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    plains = {**backup.plains, "database": FilePlain("database", "pgdump", cut)}
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t6")
    with pytest.raises(SourceError, match=r"pg_restore into .* failed"):
        source.stage(swap, backup.record, plains, work)
    assert swap.side in server.databases()
    source.stage(swap, backup.record, backup.plains, work)  # what lies there is replaced
    source.discard(swap)
    assert set(server.databases()) == {"postgres", "shop"}
    assert server.sql(LOOK, "shop") == shop


def test_restore_into_another_name_leaves_the_original_alone(
    server: Server, shop: str, backup: Backup, work: Workspace
) -> None:
    name = "o'ther=\"=\nx"
    source = server.source()
    target = source.target(backup.record, name)
    assert (target.name, target.exists) == (name, False)
    swap = source.plan(backup.record, target, "t7")
    source.stage(swap, backup.record, backup.plains, work)
    source.swap(swap)
    assert server.sql(LOOK, name) == shop
    assert server.sql(LOOK, "shop") == shop
    server.sql('DROP DATABASE "o\'ther=""=\nx"')


def compared(source: PostgreSQL, swap: Swap, backup: Backup, work: Workspace) -> None:
    with open(source.count(swap, work).path, "rb") as lines:
        pair = source.alike(swap, read(backup.inventory.splitlines()), read(lines))
        assert differences(*pair) == []


def test_the_rows_of_some_tables_alone_come_beside(
    server: Server, shop: str, backup: Backup, work: Workspace
) -> None:
    source = server.source()
    narrowed = source.narrowed(["book", '"odd, one"."ta""ble\ntwo"'], False)
    target = narrowed.target(backup.record, "some")
    assert target.refusals == ()
    assert target.label.endswith('the rows of public.book, "odd, one"."ta""ble\ntwo" alone')
    swap = source.plan(backup.record, target, "t9")  # as an operation has it, in a new process too
    source.stage(swap, backup.record, backup.plains, work)
    compared(source, swap, backup, work)
    source.swap(swap)
    rows = "SELECT * FROM {} ORDER BY 1"
    for table in ("public.book", '"odd, one"."ta""ble\ntwo"'):
        assert (
            server.sql(rows.format(table), "some") == server.sql(rows.format(table), "shop") != ""
        )
    assert server.sql("SELECT * FROM public.secret_row", "some") == ""
    assert server.sql(LOOK, "shop") == shop


def test_a_table_that_the_backup_lacks_is_told_with_those_it_has(
    server: Server, backup: Backup, work: Workspace
) -> None:
    source = server.source()
    target = source.narrowed(["bok"], False).target(backup.record, "some")
    swap = source.plan(backup.record, target, "t10")
    source.stage(swap, backup.record, backup.plains, work)
    with pytest.raises(SourceError, match=r"has no table public\.bok") as caught:
        compared(source, swap, backup, work)
    assert "public.book" in caught.value.hint
    source.discard(swap)
    assert set(server.databases()) == {"postgres", "shop"}


def test_tables_alone_replace_nothing(server: Server, backup: Backup) -> None:
    narrowed = server.source().narrowed(["book"], False)
    (refused,) = narrowed.target(backup.record, None).refusals
    assert "--into NAME" in refused
    (refused,) = narrowed.target(backup.record, "shop").refusals
    assert "this one is there" in refused
    with pytest.raises(UsageError, match="--merge is for files"):
        server.source().narrowed(["book"], True)
    with pytest.raises(UsageError, match="not a table's name"):
        server.source().narrowed(["a.b.c"], False)


def test_existing_roles_are_never_altered(server: Server, backup: Backup, work: Workspace) -> None:
    server.sql("ALTER ROLE shop_reader CONNECTION LIMIT 99 PASSWORD 'changed since'")
    now = server.sql(ROLES)
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t8")
    source.stage(swap, backup.record, backup.plains, work)
    source.discard(swap)
    assert server.sql(ROLES) == now


def test_what_an_existing_role_was_a_member_of_is_told(
    server: Server, backup: Backup, work: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    server.sql("DROP OWNED BY shop_group; DROP ROLE shop_group", "shop")
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t8")
    source.stage(swap, backup.record, backup.plains, work)
    source.discard(swap)
    assert "yours to type: GRANT shop_group TO shop_member;" in caplog.text
    server.sql("GRANT shop_group TO shop_member")
    source.stage(swap, backup.record, backup.plains, work)
    source.discard(swap)
    assert caplog.text.count("yours to type") == 1


def test_a_role_that_neither_server_nor_globals_have_is_named(
    server: Server, backup: Backup, work: Workspace
) -> None:
    record = replace(backup.record, facts={**backup.record.facts, "roles": ["ghost"]})
    source = server.source()
    swap = source.plan(record, source.target(record, None), "t9")
    with pytest.raises(SourceError, match="'ghost' is needed"):
        source.stage(swap, record, backup.plains, work)
    assert set(server.databases()) == {"postgres", "shop"}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"server_number": 990001, "server_version": "99.1"}, "older than the 99.1"),
        ({"extensions": {"plpgsql": "1.0", "postgis": "3.3"}}, "lacks the extensions postgis"),
        ({"size_bytes": 1 << 60}, "disk has"),
    ],
)
def test_a_target_that_cannot_take_the_backup_is_refused(
    server: Server, backup: Backup, change: dict[str, object], refusal: str
) -> None:
    record = replace(backup.record, facts={**backup.record.facts, **change})
    assert refusal in " ".join(server.source().target(record, None).refusals)


def test_prepared_transactions_and_subscriptions_refuse(server: Server, backup: Backup) -> None:
    server.sql(
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p WITH (connect=false)", "shop"
    )
    refusals = server.source().target(backup.record, None).refusals
    server.sql("ALTER SUBSCRIPTION s SET (slot_name=NONE); DROP SUBSCRIPTION s", "shop")
    assert [one for one in refusals if "subscription s" in one]


def test_a_restore_role_without_rights_is_refused(server: Server, backup: Backup) -> None:
    source = server.source(restore_user="shop_owner")
    refusals = " ".join(source.target(backup.record, None).refusals)
    assert "may not create databases" in refusals
    assert 'not a member of Second "Owner"' in refusals


def test_a_cut_or_flipped_archive_is_not_readable(
    server: Server, backup: Backup, work: Workspace, tmp_path: Path
) -> None:
    source = server.source()
    source.check_content(backup.plains, work)
    whole = (tmp_path / "archives" / "database").read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:-400])
    with pytest.raises(VerifyError, match="cannot be read to its end"):
        source.check_content(
            {**backup.plains, "database": FilePlain("database", "pgdump", cut)}, work
        )
    cut.write_bytes((tmp_path / "archives" / "globals").read_bytes()[:-60])
    with pytest.raises(VerifyError, match="is missing"):
        source.check_content({**backup.plains, "globals": FilePlain("globals", "sql", cut)}, work)
    with pytest.raises(VerifyError, match="archive 'globals' is missing"):
        source.check_content({"database": backup.plains["database"]}, work)


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_a_kill_during_the_swap_leaves_old_or_new(
    server: Server, backup: Backup, work: Workspace, delay_s: float
) -> None:
    source = server.source()
    swap = source.plan(backup.record, source.target(backup.record, None), "t10")
    source.stage(swap, backup.record, backup.plains, work)
    # A copy of this process, as it is: no new interpreter, so that the delays are the swap's own.
    child = os.fork()
    if child == 0:
        try:
            source.swap(swap)
        finally:
            os._exit(0)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(0.2)  # a transaction that lost its client ends
    new = source.swapped(swap)
    beside = swap.kept if new else swap.side
    assert set(server.databases()) == {"postgres", "shop", beside}
    assert server.sql("SELECT count(*) FROM public.book", "shop") == "500"  # and may be used
    source.swap(swap)
    assert source.swapped(swap)
    source.back(swap)
    source.discard(swap)
    assert set(server.databases()) == {"postgres", "shop"}
