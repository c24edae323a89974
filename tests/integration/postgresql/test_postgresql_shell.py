# SPDX-License-Identifier: GPL-3.0-or-later
"""Neither the operator's shell nor settings of the server change what is dumped, restored, or where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import PASSWORD, Server, secret
from .test_postgresql_restore import DROP_ROLES, LOOK, SHOP

# What a shell may have that was used for another server; the service alone would win over all we say.
ELSEWHERE = {
    "PGSERVICE": "elsewhere",
    "PGHOST": "elsewhere.invalid",
    "PGHOSTADDR": "127.0.0.9",
    "PGPORT": "1",
    "PGDATABASE": "elsewhere",
    "PGUSER": "nobody_at_all",
    "PGPASSWORD": "elsewhere",
    "PGPASSFILE": "/elsewhere",
    "PGOPTIONS": "-c bytea_output=escape -c default_transaction_read_only=on",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "German",
    "PGTZ": "Asia/Tokyo",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/elsewhere",
    "PGGSSENCMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGREQUIREPEER": "nobody_at_all",
    "PGREQUIREAUTH": "password",
    "PGTARGETSESSIONATTRS": "read-only",
    "PG_COLOR": "always",
    "PSQL_HISTORY": "/elsewhere",
    "TAR_OPTIONS": "--exclude=*.dat --exclude=toc*",
    "POSIXLY_CORRECT": "1",
    "LC_ALL": "tr_TR.UTF-8",
    "LANGUAGE": "tr:de",
}
# What an administrator may have set for whoever logs in.
ODD = """standard_conforming_strings=off bytea_output=escape client_encoding=latin1 datestyle=german
intervalstyle=sql_standard timezone=Asia/Tokyo extra_float_digits=-5 xmlbinary=hex
statement_timeout=300 lock_timeout=300 idle_in_transaction_session_timeout=1 row_security=off search_path=nowhere
check_function_bodies=on escape_string_warning=off client_min_messages=debug1
default_transaction_isolation=serializable array_nulls=off transform_null_equals=on
lo_compat_privileges=on default_transaction_read_only=on"""


@pytest.fixture
def shop(server: Server) -> Iterator[Server]:
    password = PASSWORD.replace("'", "''")
    server.sql(
        "SET standard_conforming_strings = on;"
        f"CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '{password}'"
    )
    server.sql(SHOP)
    yield server
    for name in server.databases():
        if name != "postgres":
            server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.sql(DROP_ROLES + "DROP ROLE keeper")


@pytest.mark.parametrize(
    ("hostile", "options"),
    [("shell", {"parallel": 2}), ("settings", {})],
    ids=["shell", "settings"],
)
def test_what_is_around_changes_nothing(
    shop: Server,
    work: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hostile: str,
    options: dict[str, object],
) -> None:
    # as ourselves: a program that is started as another user has none of our variables
    source = shop.source(
        host="127.0.0.1",
        user="keeper",
        password=secret(),
        restore_user="keeper",
        restore_password=secret(),
        **options,
    )
    before = shop.sql(LOOK, "shop")
    plain = Taken(source, work, tmp_path / "plain")
    with monkeypatch.context() as around:
        if hostile == "shell":
            (tmp_path / "services").write_text("[elsewhere]\nhost=/elsewhere\nport=1\n")
            for name, value in ELSEWHERE.items():
                around.setenv(name, value)
            around.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        else:
            set_ = (one.split("=") for one in ODD.split())
            shop.sql("".join(f"ALTER ROLE keeper SET {key} = '{value}';" for key, value in set_))
            shop.sql("ALTER DATABASE shop SET default_transaction_read_only = on")
            plain = Taken(source, work, tmp_path / "plain")
            before = shop.sql(LOOK, "shop")
        taken = Taken(source, work, tmp_path / "store")
        source.check_content(taken.plains, work)
        swap = staged(source, taken, work)
        assert differences(source, taken, swap, work) == []
        source.swap(swap)
        source.discard(swap)
        assert source.check()["server"]
    assert shop.sql(LOOK, "shop") == before
    assert taken.record.inventory_digest == plain.record.inventory_digest
