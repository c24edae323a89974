"""What a database, a role or a server is set to does not change what comes back, nor who we are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat.errors import ProcessError, SourceAbsent, SourceError
from lifeboat.model import Swap, Workspace
from lifeboat.sources.postgresql.source import PostgreSQL

from .conftest import OS_USER, PASSWORD, Backup, Server, back_up, secret


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


EXACT = r"""
CREATE TABLE t (id int PRIMARY KEY, f float8 DEFAULT 0.1::float8 + 0.2::float8, r real, i interval,
  at timestamptz DEFAULT '2026-03-04 05:06:07.890123+00', d date DEFAULT '0044-03-15 BC', b bytea, x xml, s text,
  n numeric, g interval[] DEFAULT ARRAY['-1 day +2:03:00'::interval, NULL]);
INSERT INTO t (id, f, r, i, b, x, s, n) VALUES
  (1, 0.1::float8 + 0.2::float8, 1.0::real / 3, '-1 year -2 mons +3 days -04:05:06.789',
   '\\x00ff5c27', '<a/>', E'\\\\ \' \t é', '1e-30'),
  (2, 'NaN', '-Infinity', '1 day -2:03', '', NULL, '\\N', 'NaN');
CREATE TABLE child (t int REFERENCES t); INSERT INTO child VALUES (1), (NULL);
CREATE VIEW v AS SELECT id FROM t WHERE (s = NULL) IS NULL AND i < '-1 day +2:00'::interval;
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT E'\\\\' || '\\' $$;
"""
# Under settings of its own: what is looked at is what is there, and not how a database shows it.
SHOWN = r"""
SET extra_float_digits = 3; SET intervalstyle = postgres; SET datestyle = iso; SET timezone = 'UTC';
SET bytea_output = hex; SET transform_null_equals = off; SET standard_conforming_strings = on;
SELECT * FROM t ORDER BY id; SELECT * FROM child; SELECT pg_get_viewdef('v'), f();
SELECT pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef ORDER BY 1;
SELECT setrole, setconfig FROM pg_db_role_setting WHERE setdatabase =
  (SELECT oid FROM pg_database WHERE datname = current_database());
"""
SETTINGS = (
    "default_transaction_read_only = on",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '50ms'",
    "session_replication_role = replica",
    "row_security = off",
    "bytea_output = escape",
    "extra_float_digits = -15",
    "intervalstyle = sql_standard",
    "datestyle = 'German, DMY'",
    "timezone = 'Asia/Kathmandu'",
    "client_encoding = 'LATIN1'",
    "client_min_messages = error",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "array_nulls = off",
    "xmloption = document",
    "xmlbinary = hex",
    "check_function_bodies = off",
    "enable_seqscan = off",
    "default_toast_compression = pglz",
    "synchronize_seqscans = on",
    "gin_fuzzy_search_limit = 1",
)


@pytest.fixture
def odd(server: Server) -> Iterator[Server]:
    yield server
    for name in server.databases():
        if name.startswith("odd"):
            server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    listed = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname ~ '^odd'"
    for role in filter(None, server.sql(listed).split("\n")):
        server.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def idle(server: Server) -> tuple[str, ...]:
    recent = server.sql("SELECT current_setting('server_version_num')::int >= 140000") == "t"
    return ("idle_session_timeout = '50ms'",) if recent else ()


def test_a_database_that_is_set_oddly_comes_back_exactly(
    odd: Server, work: Workspace, tmp_path: Path
) -> None:
    odd.sql("CREATE DATABASE odd")
    odd.sql(EXACT, "odd")
    for one in (*SETTINGS, *idle(odd)):
        odd.sql(f"ALTER DATABASE odd SET {one}")
    shown = odd.sql("SET statement_timeout = 0;" + SHOWN, "odd")
    source = odd.source("odd")
    source.check()
    backup = back_up(source, work, tmp_path / "archives")
    assert backup.warnings == ()
    assert backup.record.totals == {"tables": 2, "rows": 4, "views": 1}
    restored(source, backup, work)
    assert odd.sql("SET statement_timeout = 0;" + SHOWN, "odd") == shown


def test_roles_that_are_set_oddly_dump_and_restore(
    odd: Server, work: Workspace, tmp_path: Path
) -> None:
    quoted = PASSWORD.replace("'", "''")
    odd.sql(
        f"""SET standard_conforming_strings = on; CREATE ROLE odd LOGIN CREATEDB PASSWORD '{quoted}'"""
    )
    odd.sql("CREATE DATABASE odd OWNER odd")
    odd.sql("SET ROLE odd;" + EXACT, "odd")
    shown = odd.sql(SHOWN, "odd")
    for one in (*SETTINGS, *idle(odd)):
        odd.sql(f"ALTER ROLE odd SET {one}")
    access = {"user": "odd", "password": secret()}
    source = PostgreSQL("db", database="odd", host="127.0.0.1", port=odd.port, **access)
    source.check()
    backup = back_up(source, work, tmp_path / "archives")
    restored(source, backup, work)
    assert odd.sql(SHOWN, "odd") == shown


# What whoever owns a database may put before the server's own functions and operators.
TRAPS = """
CREATE FUNCTION public.trap() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN
    ALTER ROLE odd_owner SUPERUSER; END IF; END $$;
CREATE FUNCTION public.set_config(text, text, bool) RETURNS text LANGUAGE sql AS
  $$ SELECT public.trap(); SELECT pg_catalog.set_config($1, $2, $3) $$;
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS
  $$ SELECT public.trap(); SELECT pg_catalog.current_setting($1) $$;
CREATE FUNCTION public.same(text, text) RETURNS bool LANGUAGE sql AS
  $$ SELECT public.trap(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE FUNCTION public.same(name, name) RETURNS bool LANGUAGE sql AS
  $$ SELECT public.trap(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = name, RIGHTARG = name);
CREATE TABLE public.t AS SELECT 1 AS n;
"""


def test_functions_of_a_database_do_not_run_as_us(
    odd: Server, work: Workspace, tmp_path: Path
) -> None:
    odd.sql("CREATE ROLE odd_owner")
    odd.sql("CREATE DATABASE odd OWNER odd_owner")
    odd.sql("SET ROLE odd_owner;" + TRAPS, "odd")
    odd.sql("ALTER DATABASE odd SET search_path = public, pg_catalog")
    source = odd.source("odd")
    source.check()
    restored(source, back_up(source, work, tmp_path / "archives"), work)
    assert odd.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'odd_owner'") == "f"


def test_a_database_that_makes_everybody_another_role_comes_back(
    odd: Server, work: Workspace, tmp_path: Path
) -> None:
    odd.sql("CREATE ROLE odd_low; CREATE ROLE odd_other LOGIN PASSWORD 'x'; CREATE DATABASE odd")
    odd.sql("CREATE TABLE kept AS SELECT 1 AS n; ALTER TABLE kept OWNER TO odd_other", "odd")
    odd.sql(
        "ALTER DATABASE odd SET role = odd_low; ALTER ROLE postgres IN DATABASE odd SET role = odd_low"
    )
    source = odd.source("odd")
    assert source.check()["role"] == "postgres"
    for connections in (1, 2):
        source = odd.source("odd", parallel=connections)
        backup = back_up(source, work, tmp_path / f"archives{connections}")
        assert backup.warnings == ()
        assert backup.record.facts["role_passwords"] is True
        restored(source, backup, work)
    look = (
        "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'; SELECT count(*) FROM pg_roles"
    )
    assert odd.sql("SET ROLE NONE;" + look, "odd").startswith("odd_other")
    assert odd.sql("SHOW role", "odd") == "odd_low"


def test_a_role_that_works_as_another_one_everywhere_stays_that(
    odd: Server, work: Workspace, tmp_path: Path
) -> None:
    """So are logins that are made for a day: their rights are those of the role that they become."""
    quoted = PASSWORD.replace("'", "''")
    odd.sql(
        'SET standard_conforming_strings = on; CREATE ROLE "odd Main" CREATEDB;'
        f"CREATE ROLE odd_day LOGIN PASSWORD '{quoted}' IN ROLE \"odd Main\""
    )
    odd.sql('CREATE DATABASE odd OWNER "odd Main"; ALTER ROLE odd_day SET role = "odd Main"')
    odd.sql('SET ROLE "odd Main"; CREATE TABLE t AS SELECT 1 AS n', "odd")
    access = {"user": "odd_day", "password": secret()}
    source = PostgreSQL("db", database="odd", host="127.0.0.1", port=odd.port, **access)
    assert source.check() == {**source.check(), "role": "odd Main", "warning": ""}
    restored(source, back_up(source, work, tmp_path / "archives"), work)
    assert odd.sql("SELECT tableowner FROM pg_tables WHERE tablename = 't'", "odd") == "odd Main"


def test_what_a_server_says_in_another_language_is_understood(
    make_server: Callable[..., Server], work: Workspace
) -> None:
    there = make_server(locales=("de_DE",), settings=("lc_messages=de_DE.UTF-8",))
    quoted = PASSWORD.replace("'", "''")
    there.sql(f"SET standard_conforming_strings = on; CREATE ROLE odd LOGIN PASSWORD '{quoted}'")
    access = {"host": "127.0.0.1", "user": "odd"}
    with pytest.raises(SourceError, match="Passwort") as refused:  # it does speak German
        there.source("postgres", **access, password=secret("wrong")).check()
    assert not isinstance(refused.value, SourceAbsent)
    for chosen in ({}, {**access, "password": secret()}):
        with pytest.raises(SourceAbsent, match=r"'nowhere'.* does not exist"):
            there.source("nowhere", **chosen).check()
    there.sql("CREATE DATABASE closed; REVOKE ALL ON DATABASE closed FROM PUBLIC")
    for name, ours in (("closed", "postgres"), ("nowhere", "closed")):
        with pytest.raises(SourceError, match="cannot be used") as told:
            source = there.source(name, **access, password=secret(), maintenance_database=ours)
            source.check()
        assert not isinstance(told.value, SourceAbsent)


@pytest.mark.parametrize("user", ["postgres", "odd"])
def test_a_server_that_takes_damaged_pages_for_empty_is_not_backed_up(
    odd: Server, work: Workspace, tmp_path: Path, user: str
) -> None:
    odd.sql("CREATE ROLE odd LOGIN; GRANT pg_read_all_data TO odd; CREATE DATABASE odd")
    odd.sql("CREATE TABLE t AS SELECT n FROM generate_series(1, 10000) n; CHECKPOINT", "odd")
    table = odd.data / odd.sql("SELECT pg_relation_filepath('t')", "odd")
    odd.control("-m", "fast", "stop")
    with open(table, "r+b") as file:  # the header of its second page
        file.seek(8192)
        file.write(b"\xff" * 24)
    odd.start()
    source = odd.source("odd", user=user if user != "postgres" or not OS_USER else "")
    with pytest.raises(ProcessError) as told:
        back_up(source, work, tmp_path / "archives")
    assert "invalid page" in told.value.detail
    odd.sql("ALTER DATABASE odd SET zero_damaged_pages = on")
    with pytest.raises(SourceError, match="zero_damaged_pages is on"):
        source.check()
    with pytest.raises(SourceError, match="zero_damaged_pages is on"), source.open(work):
        pass
