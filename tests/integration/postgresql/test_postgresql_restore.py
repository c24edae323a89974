"""What comes back from a PostgreSQL backup is the database that was: everything, or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.inventory import differences, read
from lifeboat.model import Workspace

from .conftest import Backup, Server, back_up

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
  ON d.oid = s.setdatabase WHERE datname = current_database() ORDER BY 2::text;
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
