"""The parts of the PostgreSQL source that need no server: quoting, names, trailers, roles of globals."""

from __future__ import annotations

import io

import pytest
from lifeboat.errors import SourceError
from lifeboat.sources.postgresql.dump import complain_database, complain_globals
from lifeboat.sources.postgresql.restore import (
    finish_statements,
    role_statements,
    setting_statements,
    statements,
)
from lifeboat.sources.postgresql.role import _matches, _verifier
from lifeboat.sources.postgresql.session import conninfo, identifier, literal, pgpass
from lifeboat.sources.postgresql.swap import fitting

GLOBALS = rb"""--
-- PostgreSQL database cluster dump
--

\restrict aB3

SET default_transaction_read_only = off;

CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b''c';
CREATE ROLE "Odd ""one"";
x";
ALTER ROLE "Odd ""one"";
x" WITH NOSUPERUSER NOLOGIN;
COMMENT ON ROLE app IS 'line;
-- two
DROP ROLE postgres;';
CREATE ROLE old;
ALTER ROLE old WITH SUPERUSER;
ALTER ROLE app SET search_path TO 'a', 'b';
ALTER ROLE app IN DATABASE shop SET work_mem TO '1MB';
GRANT old TO app WITH INHERIT TRUE GRANTED BY postgres;
GRANT app TO old;
GRANT app TO "Odd ""one"";
x" GRANTED BY "post gres";
GRANT gone TO app;
CREATE TABLESPACE fast OWNER app LOCATION '/fast';

\unrestrict aB3

--
-- PostgreSQL database cluster dump complete
--

"""
ODD = 'Odd "one";\nx'


def test_role_statements_make_missing_roles_and_touch_no_other() -> None:
    found = list(role_statements(statements(io.BytesIO(GLOBALS)), {"app", ODD}, {"old"}))
    odd = '"Odd ""one"";\nx"'
    assert found == [
        "CREATE ROLE app;",
        "ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b''c';",
        f"CREATE ROLE {odd};",
        f"ALTER ROLE {odd} WITH NOSUPERUSER NOLOGIN;",
        "COMMENT ON ROLE app IS 'line;\n-- two\nDROP ROLE postgres;';",
        "ALTER ROLE app SET search_path TO 'a', 'b';",
        "GRANT old TO app WITH INHERIT TRUE;",
        f"GRANT app TO {odd};",
    ]


def test_role_statements_are_none_when_nothing_is_missing() -> None:
    assert list(role_statements(statements(io.BytesIO(GLOBALS)), (), {"app", "old"})) == []


@pytest.mark.parametrize(
    ("head", "tail", "size", "complaint"),
    [
        (b"PGDMP\x01", b"x\0\0\0\0\0", 900, ""),
        (b"PGDMP\x01", b"x\0\0\0\0", 900, "cut off"),
        (b"PGDMP\x01", b"a row\n", 900, "cut off"),
        (b"--\n-- Postgre", b"\0\0\0\0\0", 900, "PGDMP"),
        (b"", b"", 0, "nothing"),
    ],
)
def test_a_database_archive_is_judged_by_its_ends(
    head: bytes, tail: bytes, size: int, complaint: str
) -> None:
    told = complain_database(head, tail, size)
    assert complaint in told
    assert bool(complaint) == bool(told)


@pytest.mark.parametrize("cut", [1, 3, 20, 60, 200])
def test_cut_globals_are_complained_of(cut: int) -> None:
    assert complain_globals(GLOBALS[:64], GLOBALS, len(GLOBALS)) == ""
    told = complain_globals(GLOBALS[:64], GLOBALS[: -cut - 2], len(GLOBALS) - cut)
    assert "missing" in told


def test_globals_may_end_with_the_unrestrict_line() -> None:
    ending = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n\\unrestrict xY9\n\n"
    assert complain_globals(b"--", ending, 70) == ""
    assert "nothing" in complain_globals(b"", b"", 0)


def test_quoting_leaves_no_way_out() -> None:
    assert identifier('a"; DROP') == '"a""; DROP"'
    assert literal("it's") == "'it''s'"
    assert literal("back\\'") == " E'back\\\\'''"
    assert conninfo("a'b\\c=d") == "dbname='a\\'b\\\\c=d'"
    assert pgpass("a:b\\c") == "*:*:*:*:a\\:b\\\\c\n"
    with pytest.raises(SourceError, match="line end"):
        pgpass("a\nb")


@pytest.mark.parametrize("name", ["shop", "x" * 63, "é" * 31, "漢" * 21])
def test_names_beside_fit_and_keep_whole_characters(name: str) -> None:
    made = fitting(name, "a1b2c3", "new")
    assert len(made.encode()) <= 63
    assert made.endswith("_lb_a1b2c3_new")
    kept, _hash, _end = made.rpartition("_lb_")[0].rpartition("_")
    assert name.startswith(kept)
    assert made != name


def test_two_names_that_begin_alike_stay_two_beside() -> None:
    alike = "customer_database_of_the_northern_region_in_year_"
    assert fitting(alike + "east", "a1b2c3", "old") != fitting(alike + "west", "a1b2c3", "old")
    assert fitting("shop", "a1b2c3", "old") == "shop_lb_a1b2c3_old"


def test_settings_keep_lists_as_lists_and_text_as_text() -> None:
    wanted = {
        "settings": [
            {"role": None, "setting": 'search_path="$user", public, "odd, ""one"'},
            {"role": "r", "setting": 'my.setting=it\'s, "so"'},
            {"role": None, "setting": 'search_path=""'},
        ],
    }
    assert list(setting_statements("d", wanted)) == [
        "ALTER DATABASE \"d\" SET \"search_path\" TO '$user', 'public', 'odd, \"one'",
        'ALTER ROLE "r" IN DATABASE "d" SET "my"."setting" TO \'it\'\'s, "so"\'',
        'ALTER DATABASE "d" SET "search_path" TO \'\'',
    ]


def test_a_privilege_that_is_not_a_word_is_refused() -> None:
    wanted = {
        "comment": None,
        "owner": "o",
        "grants": [{"role": None, "privilege": "CONNECT ON x; DROP", "grantable": False}],
    }
    with pytest.raises(SourceError, match="not a privilege"):
        list(finish_statements("d", wanted))


def test_a_password_is_recognised_in_its_verifier() -> None:
    # the example of RFC 7677, section 3
    salt, stored = "W22ZaJ0SNY7soEsUEjb6gQ==", "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    made = _verifier("pencil", __import__("base64").b64decode(salt), 4096)
    assert made.startswith(f"SCRAM-SHA-256$4096:{salt}${stored}:")
    assert _matches("pencil", made)
    assert not _matches("pencils", made)
    assert not _matches("pencil", "md5deadbeef")
    assert not _matches("pencil", None)
